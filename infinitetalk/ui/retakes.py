"""One stretch of a finished film once more: the panel under the player, and what its buttons do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr

from ..config.request import parse_seed
from ..errors import InputError
from . import film_handlers, rendering
from .components import Components
from .jobs import Job, failure
from .studio import Studio
from .takes import takes_shown
from .updates import Updates
from .wiring import FILM, FILM_OUTPUTS, QUICK, Wiring

JOINS = [("Fade into what follows", "blend"), ("Make what follows anew", "ripple")]
PANEL = ("retake", "retake_chunk", "retake_take", "retake_prompt")  # what changes with the film
FORM = ("retake_chunk", "retake_seed", "retake_audio_scale", "retake_picture", "retake_prompt", "retake_join")


def panel(c: Components, audio_guidance_scale: float) -> None:
    """The panel's components; hidden until there is a film."""
    with gr.Accordion("Redo a stretch", open=False, visible=False, elem_id="retake") as c.retake:
        gr.HTML(
            '<p class="help">Every stretch is made by itself. One that did not come out well is made again in the time '
            "of that stretch alone; the others stay as they are.</p>"
        )
        with gr.Row():
            c.retake_chunk = gr.Dropdown([], label="Stretch", elem_id="retake-chunk")
            c.retake_take = gr.Dropdown([], label="Shown take", elem_id="retake-take")
        with gr.Row():
            c.retake_seed = gr.Textbox(
                "", label="Seed", placeholder="another", info="Empty: other noise than before.", elem_id="retake-seed"
            )
            c.retake_audio_scale = gr.Slider(
                1, 10, value=audio_guidance_scale, step=0.1, label="Audio guidance",
                info="Higher: the mouth follows the voice more strongly.", elem_id="retake-audio-scale",
            )  # fmt: skip
        c.retake_prompt = gr.Textbox("", label="Prompt", visible=False, elem_id="retake-prompt")
        c.retake_picture = gr.File(
            label="Another picture to guide it (optional)", file_types=["image"], height=100, elem_id="retake-picture"
        )
        c.retake_join = gr.Radio(
            JOINS, value="blend", label="At its end", elem_id="retake-join",
            info="Fading takes half a second. Making anew takes as long as all that follows.",
        )  # fmt: skip
        c.redo = gr.Button("Make this stretch again", elem_id="redo")


def chunk_chosen(studio: Studio, job_id: Any, chunk: Any) -> Updates:
    """The takes of another stretch."""
    job = studio.find(job_id)
    if job is None or not job.ended or job.plan is None:
        return {}
    return takes_shown(job, chunk)


def chunk_picked(studio: Studio, job_id: Any, picked: gr.EventData) -> Updates:
    """The stretch that the timeline says is to be made again."""
    data = getattr(picked, "_data", None)
    return chunk_chosen(studio, job_id, data.get("chunk") if isinstance(data, dict) else None)


def redo(
    studio: Studio, job_id: Any, chunk: Any, seed: Any, audio_guidance_scale: Any, picture: Any, prompt: Any, join: Any
) -> Iterator[Updates]:
    """Make one stretch again and show the film with it."""
    from ..jobs.retakes import TakeOverrides
    from ..pipeline import retake

    job = studio.find(job_id)
    try:
        if job is None or not isinstance(chunk, int):
            raise InputError("There is no film of this page to change; make one first.")
        usual = job.plan.settings.audio_guidance_scale
        overrides = TakeOverrides(
            seed=parse_seed(seed) if str(seed or "").strip() else None,
            audio_guidance_scale=None
            if audio_guidance_scale is None or abs(audio_guidance_scale - usual) < 1e-6
            else audio_guidance_scale,
            reference_image=picture or None,
            prompt=prompt or None,
            join=join,
        )
    except Exception as error:
        yield {"notice": rendering.notice(failure(error).message)}
        return

    def work(models, should_stop):
        return retake(job.directory, chunk, overrides, models, should_stop=should_stop)

    yield from _changed(studio, job, work, chunk)


def take_chosen(studio: Studio, job_id: Any, chunk: Any, take: Any) -> Iterator[Updates]:
    """Show another take of a stretch."""
    from ..pipeline import choose_take

    job = studio.find(job_id)
    if job is None or not isinstance(chunk, int) or not isinstance(take, int):
        yield {}
        return

    def work(models, should_stop):
        return choose_take(job.directory, chunk, take, models, should_stop=should_stop)

    yield from _changed(studio, job, work, chunk)


def _changed(studio: Studio, job: Job, work: Any, chunk: int) -> Iterator[Updates]:
    changed = studio.change(job, work)
    yield {"job": changed.id, "notice": "", "progress": rendering.waiting(0)} | {
        "generate": gr.update(visible=False),
        "cancel": gr.update(visible=True),
        "redo": gr.update(interactive=False),
    }
    yield from film_handlers.watch(studio, changed)
    yield takes_shown(changed, chunk) | {"redo": gr.update(interactive=True)}


# --- wiring ----------------------------------------------------------------------------------------------------------


def wire(wiring: Wiring) -> None:
    """Connect the panel."""
    c, named, studio = wiring.components, wiring.named, wiring.studio
    changing = named(*FILM_OUTPUTS, "redo")
    c.retake_chunk.input(
        wiring.updates(partial(chunk_chosen, studio)), named("job", "retake_chunk"), named(*PANEL), **QUICK
    )

    def picked(job_id: Any, event: gr.EventData) -> Any:
        return wiring.answer(chunk_picked(studio, job_id, event))

    c.timeline.select(picked, c.job, named(*PANEL), **QUICK)
    c.redo.click(wiring.streamed(partial(redo, studio)), named("job", *FORM), changing, **FILM)
    c.retake_take.input(
        wiring.streamed(partial(take_chosen, studio)), named("job", "retake_chunk", "retake_take"), changing, **FILM
    )
