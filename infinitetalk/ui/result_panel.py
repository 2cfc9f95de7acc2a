"""The right of the page: the plan, the buttons that make a film, and the film while and after it is made."""

from __future__ import annotations

from functools import partial

import gradio as gr

from . import film_handlers, handlers, rendering, retakes
from .components import Components
from .form import FORM_FIELDS, Form
from .headings import heading
from .wiring import FILM, FILM_OUTPUTS, QUICK, Wiring

EMPTY_RESULT = """
<div class="empty-result">
  <svg viewBox="0 0 120 80" width="120" height="80" aria-hidden="true" fill="none" stroke="currentColor"
   stroke-width="2" stroke-linecap="round"><circle cx="42" cy="30" r="15"/>
   <path d="M16 70c3-15 13-21 26-21s23 6 26 21M80 26v8M88 18v24M96 23v14M104 27v6"/></svg>
  <p>Your film appears here, chunk by chunk, while it is being made.</p>
</div>
"""

_WITH_SHOWN_FILM = """
(job, overlay) => [job, overlay, document.querySelector('#film video')?.currentSrc || '']
"""


def panel(c: Components, audio_guidance_scale: float) -> None:
    """The components."""
    with gr.Column(elem_id="result-zone", scale=7, min_width=320):
        with gr.Column(elem_classes="card", elem_id="action-card"):
            gr.HTML(heading(3, "Film"))
            c.plan = gr.HTML(rendering.plan_hint(Form().missing()), elem_id="plan")
            c.notice = gr.HTML(elem_id="notice")
            c.progress = gr.HTML(elem_id="progress")
            with gr.Row(elem_id="generate-row"):
                c.generate = gr.Button("Generate", variant="primary", elem_id="generate", scale=3)
                c.cancel = gr.Button("Cancel, keep what is finished", visible=False, elem_id="cancel", scale=3)
                c.later = gr.Button("Add to queue", elem_id="later", scale=1, min_width=170)
        with gr.Column(elem_classes=["card"], elem_id="result") as c.result:
            gr.HTML(EMPTY_RESULT, elem_id="empty-result")
            with gr.Tabs(elem_id="players", selected="live") as c.players:
                with gr.Tab("Live", id="live"):
                    c.live = gr.Video(
                        streaming=True, autoplay=True, show_label=False, label="Live", interactive=False,
                        elem_id="live", buttons=[],
                    )  # fmt: skip
                with gr.Tab("Whole film", id="film") as c.film_tab:
                    c.film_shown = gr.Textbox(visible=False)
                    c.film = gr.Video(
                        show_label=False, label="Whole film", interactive=False, elem_id="film", buttons=[]
                    )
            c.overlay = gr.Checkbox(
                label="Draw motion targets over the film", visible=False, elem_id="overlay",
                container=False,
            )  # fmt: skip
            c.strip = gr.HTML(elem_id="strip")
            with gr.Row(elem_id="film-row"):
                c.facts = gr.HTML(elem_id="facts")
                c.download = gr.DownloadButton(
                    "Download the film", variant="primary", size="md", visible=False, elem_id="download"
                )
            retakes.panel(c, audio_guidance_scale)


# --- wiring ----------------------------------------------------------------------------------------------------------


def wire(page: gr.Blocks, wiring: Wiring) -> None:
    """Connect the panel."""
    c, named, updates, streamed = wiring.components, wiring.named, wiring.updates, wiring.streamed
    studio, running = wiring.studio, named(*FILM_OUTPUTS)
    start = streamed(partial(film_handlers.generate, studio)), named("mine", *FORM_FIELDS), running
    c.generate.click(*start, **FILM)
    example = named("source", "voice", "two_voices", "camera", "head", "pose", "composite")
    c.example.click(updates(handlers.example), c.preset, example, **QUICK).success(*start, **FILM)
    c.overlay.input(
        streamed(partial(film_handlers.overlay, studio)),
        [c.job, c.overlay],
        named("film", "progress", "players"),
        **FILM,
    )
    c.cancel.click(updates(partial(film_handlers.cancel, studio)), c.job, [c.progress], **QUICK)
    page.load(streamed(partial(film_handlers.reattach, studio)), c.job, running, **FILM)
    retakes.wire(wiring)
    # A player that is drawn when its tab is opened may have lost the film that it was given before.
    show = updates(partial(film_handlers.whole_film, studio)), named("job", "overlay", "film_shown"), [c.film]
    c.film_tab.select(*show, **QUICK, js=_WITH_SHOWN_FILM)
    c.live.end(lambda: gr.Tabs(selected="film"), None, c.players, **QUICK).then(*show, **QUICK, js=_WITH_SHOWN_FILM)
