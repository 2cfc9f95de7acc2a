"""Options of a film as the source: its length against the voice, reference placement, its sound, its frame rate."""

from __future__ import annotations

import gradio as gr

from ..config.request import REFERENCE_PLACEMENTS
from .components import Components

SOURCE_OPTIONS = ("short_source", "long_source", "reference_placement", "background", "output_rate")


def panel(c: Components) -> None:
    """The components; hidden until the source is a film."""
    with gr.Column(visible=False, elem_id="source-options") as c.source_options:
        gr.HTML('<p class="help">For a video:</p>')
        c.short_source = gr.Radio(
            [("Hold the last frame", "hold"), ("Run back and forth", "ping-pong"), ("End the film", "stop")],
            value="hold", label="If it ends before the voice", elem_id="short-source",
        )  # fmt: skip
        c.long_source = gr.Radio(
            [("End with the voice", "trim"), ("Let the rest follow as it is", "keep")],
            value="trim", label="If it goes on after the voice", elem_id="long-source",
        )  # fmt: skip
        c.reference_placement = gr.Radio(
            [(words.split(":")[0].split(",")[0].capitalize(), name) for name, words in REFERENCE_PLACEMENTS.items()],
            value="auto", label="Reference placement", elem_id="reference-placement",
            info=" ".join(_sentence(words) for words in REFERENCE_PLACEMENTS.values()),
        )  # fmt: skip
        c.background = gr.Slider(
            0, 1, value=0, step=0.05, label="Its own sound under the voice", elem_id="background",
            info="0: only the voice. 1: music and noise of the video stay as loud as they are.",
        )  # fmt: skip
        c.output_rate = gr.Radio(
            [("25, as it is made", "25"), ("The video's own", "source")],
            value="25", label="Frames per second", elem_id="output-rate",
            info="The video's own rate repeats or drops frames, for a cut that has to match the original.",
        )  # fmt: skip


def _sentence(words: str) -> str:
    """`soft: a picture` as `Soft: a picture.`"""
    return f"{words[0].upper()}{words[1:]}."
