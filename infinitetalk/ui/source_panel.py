"""The left of the page: the face, the voices, how they move, and the options."""

from __future__ import annotations

import gradio as gr

from ..config.presets import AUTO
from ..config.request import load_preset, preset_names
from . import compositing, handlers, movement, source_options
from .components import Components
from .headings import heading
from .people.component import people_boxes
from .wiring import LAST, QUICK, Wiring

_FACE_HELP = "A photo or a video of the person who speaks. With nano, a front view with closed lips works best."


def panel(c: Components, preset: str) -> None:
    """The components."""
    with gr.Column(elem_id="source-zone", scale=5, min_width=320):
        c.example = gr.Button(
            "Try the example: a portrait that speaks", elem_id="example", variant="secondary", size="md"
        )
        with gr.Column(elem_classes="card", elem_id="face-card"):
            gr.HTML(heading(1, "Face", _FACE_HELP))
            c.preview = gr.HTML(visible=False, elem_id="preview")
            c.source = gr.File(
                label="Photo or video", file_types=["image", "video"], elem_id="source", height=132, show_label=False
            )
            c.source_notice = gr.HTML()
            c.put_back = gr.Button("Undo: put it back", size="sm", visible=False, elem_id="put-back")
            c.last_source = gr.State(None)
        with gr.Column(elem_classes="card", elem_id="voice-card"):
            gr.HTML(heading(2, "Voice", "Speech of any length. The film will be exactly as long."))
            c.voice = _voice("Voice", "voice")
            c.two_voices = gr.Checkbox(label="Two people speak", elem_id="two-voices", container=False)
            with gr.Column(visible=False, elem_id="second-voice-zone") as c.second:
                c.second_voice = _voice("Voice 2", "second-voice")
                c.arrangement = gr.Radio(
                    [("At the same time", "together"), ("One after the other", "in-turn")],
                    value="together",
                    label="The two voices are heard",
                )
                c.boxes = gr.State(None)
                c.people = people_boxes()
        movement.panel(c)
        with gr.Accordion("Options", open=False, elem_id="options", elem_classes="card"):
            _options(c, preset)


def _voice(label: str, elem_id: str) -> gr.Audio:
    return gr.Audio(label=label, sources=["upload", "microphone"], type="filepath", elem_id=elem_id, buttons=[])


def _options(c: Components, preset: str) -> None:
    settings = load_preset(preset)
    c.preset = gr.Dropdown([*preset_names(), AUTO], value=preset, label="Preset", elem_id="preset")
    c.preset_help = gr.HTML(handlers.preset_changed(preset)["preset_help"])
    c.prompt = gr.Textbox(
        label="Prompt",
        info="What happens in the film, in a sentence; leave empty for a calm talk to the camera.",
        lines=2,
        visible=handlers.preset_changed(preset)["prompt"]["visible"],
        elem_id="prompt",
    )
    with gr.Row(elem_id="seed-row"):
        c.seed = gr.Textbox(
            value="7", label="Seed", info="The same seed gives the same film again.", elem_id="seed", scale=4
        )
        c.dice = gr.Button("Another", size="sm", elem_id="dice", scale=1, min_width=90)
    c.steps = gr.Slider(
        1, 50, value=settings.steps, step=1, label="Steps",
        info="More steps: finer pictures, proportionally more time.", elem_id="steps",
    )  # fmt: skip
    c.audio_guidance_scale = gr.Slider(
        1, 10, value=settings.audio_guidance_scale, step=0.1, label="Audio guidance",
        info="Higher: the mouth follows the voice more strongly, up to exaggeration.", elem_id="audio-guidance-scale",
    )  # fmt: skip
    c.framing = gr.Radio(
        [("The face fills the film", "face"), ("Keep the whole picture", "whole")],
        value=settings.framing,
        label="Framing",
        info="Small models see a face best when it fills the film.",
    )
    compositing.panel(c)
    source_options.panel(c)


# --- wiring ----------------------------------------------------------------------------------------------------------


def wire(wiring: Wiring) -> None:
    """Connect the panel."""
    c, named, updates = wiring.components, wiring.named, wiring.updates
    c.source.change(
        updates(handlers.source_changed), [c.source, c.last_source],
        named("preview", "source_notice", "put_back", "last_source", "source_options"), **QUICK,
    )  # fmt: skip
    c.put_back.click(updates(handlers.put_back), c.last_source, [c.source], **QUICK)
    c.dice.click(updates(handlers.dice), None, [c.seed], **QUICK)
    c.two_voices.change(updates(handlers.voices_changed), c.two_voices, [c.second], **QUICK)
    gr.on(
        [c.two_voices.change, c.source.change], updates(handlers.people_wanted), [c.two_voices, c.source, c.boxes],
        [c.people, c.boxes], **LAST,
    )  # fmt: skip
    c.preset.input(
        updates(handlers.preset_changed), c.preset,
        named("preset_help", "prompt", "steps", "audio_guidance_scale", "framing"), **QUICK,
    )  # fmt: skip
    movement.wire(wiring)
    compositing.wire(wiring)
