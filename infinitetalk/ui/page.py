"""The page itself: its zones, what follows every input, and how it is served. What happens is in `handlers.py`."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import audio_stream_encoder

from ..config.request import load_preset, preset_names
from ..errors import InputError, OutputError
from ..media.limits import share_with_strangers
from ..media.picture_files import forget_other_formats
from . import api, handlers, result_panel, source_panel
from .access import LOOPBACK, Access
from .blocks import WholeAnswers
from .compare import panel as compare
from .components import Components
from .films import panel as films
from .form import FORM_FIELDS, REMEMBERED
from .headings import heading
from .jobs import log_to
from .one_line_errors import print_one_line_errors
from .preset_choice import offer
from .studio import Studio
from .theme import STATIC_DIR, studio_css, studio_head, studio_theme
from .timeline.component import timeline
from .timeline.pictures import SourcePictures
from .visitors import MOST_SECONDS
from .wiring import LAST, QUICK, Wiring

TITLE = "InfiniteTalk Studio"
MAX_UPLOAD = "2gb"
CACHE_CHECK_SECONDS, CACHE_AGE_SECONDS = 3600, 24 * 3600  # copies made for browsers; the job folders are not touched
# BrowserState scrambles what it stores; a fixed word keeps it readable after a restart. It holds nothing secret.
BROWSER_WORD = "infinitetalk-one"

HEADER = f"""
<header class="top">
  <div><h1>{TITLE}</h1><p>Give a portrait a voice.</p></div>
  <button type="button" id="theme-switch" title="Light or dark" aria-label="Switch between light and dark">
    <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true"><circle cx="10" cy="10" r="7.25" fill="none"
    stroke="currentColor" stroke-width="1.5"/><path d="M10 2.75a7.25 7.25 0 0 1 0 14.5z" fill="currentColor"/></svg>
  </button>
</header>
"""


def _timeline_zone(c: Components, pictures: SourcePictures) -> None:
    with gr.Column(elem_classes=["card", "empty"], elem_id="timeline-card"):
        gr.HTML(heading(4, "Timeline", "Which picture guides which stretch. Pin another one where the film needs it."))
        c.edits = gr.State(None)
        c.timeline = timeline(pictures)


def build_page(studio: Studio, preset: str) -> gr.Blocks:
    """The studio's page. Nothing is loaded: networks are read for the first film, or by `warm_up`."""
    c = Components()
    with WholeAnswers(
        title=TITLE,
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(CACHE_CHECK_SECONDS, CACHE_AGE_SECONDS),
    ) as page:
        gr.HTML(HEADER)
        c.remembered = gr.BrowserState({}, storage_key="infinitetalk-options", secret=BROWSER_WORD)
        c.job = gr.BrowserState("", storage_key="infinitetalk-film", secret=BROWSER_WORD)
        c.mine = gr.BrowserState([], storage_key="infinitetalk-films", secret=BROWSER_WORD)
        with gr.Row(elem_id="zones"):
            source_panel.panel(c, preset)
            result_panel.panel(c, load_preset(preset).audio_guidance_scale)
        pictures = SourcePictures()
        _timeline_zone(c, pictures)
        compare.panel(c)
        films.panel(c, studio)
        c.check()
        wiring = Wiring(c, studio)
        source_panel.wire(wiring)
        _wire_plan(wiring, pictures)
        _wire_memory(page, wiring, preset)
        result_panel.wire(page, wiring)
        films.wire(wiring)
        compare.wire(wiring)
        _publish_api(studio)
    return page


def _wire_plan(wiring: Wiring, pictures: SourcePictures) -> None:
    """The plan follows every input."""
    c = wiring.components
    planned = (
        wiring.updates(partial(handlers.plan_changed, pictures)), wiring.named(*FORM_FIELDS),
        wiring.named("plan", "timeline"),
    )  # fmt: skip
    gr.on(wiring.changes(*FORM_FIELDS), *planned, **LAST)

    def drawn(source: str | None, state: Any, edit: gr.EventData) -> Any:
        return wiring.answer(handlers.boxes_drawn(source, state, edit))

    def edited(source: str | None, known: Any, edit: gr.EventData) -> Any:
        return wiring.answer(handlers.timeline_edited(source, known, edit))

    # Every edit is sent: gradio's "always_last" sends the first one's data again. A state that is set outside the queue
    # tells nobody that it changed, so the plan is made anew explicitly.
    edits = {"trigger_mode": "multiple"} | QUICK
    for event in (
        c.people.input(drawn, [c.source, c.people], [c.boxes], **edits),
        c.timeline.input(edited, [c.source, c.edits], [c.edits], **edits),
    ):
        event.then(*planned, **LAST)


def _wire_memory(page: gr.Blocks, wiring: Wiring, preset: str) -> None:
    """What the browser remembers follows the inputs, and comes back when the page is loaded."""
    remembered = wiring.components.remembered
    gr.on(
        wiring.changes(*REMEMBERED), wiring.updates(handlers.remember), wiring.named(*FORM_FIELDS), [remembered],
        **QUICK, trigger_mode="always_last",
    )  # fmt: skip
    page.load(
        wiring.updates(lambda stored: handlers.restore(stored, preset)), remembered,
        wiring.named(*REMEMBERED, "preset_help"), **QUICK,
    )  # fmt: skip


def _publish_api(studio: Studio) -> None:
    """Named endpoints on components of their own, so that programs need not know how the page is laid out."""
    with gr.Column(visible=False):
        inputs = [
            gr.File(label="source"),
            gr.File(label="voice"),
            gr.File(label="second_voice"),
            gr.Textbox(value=preset_names()[0], label="preset"),
            gr.Textbox(value="7", label="seed"),
            gr.Textbox(value="", label="prompt"),
            gr.JSON(label="settings"),
        ]
        answer, film, trigger = gr.JSON(label="answer"), gr.File(label="film"), gr.Button()
    trigger.click(api.presets, None, answer, api_name="presets", queue=False)
    trigger.click(api.plan, inputs, answer, api_name="plan", concurrency_limit=4)
    trigger.click(api.generator(studio), inputs, film, api_name="generate", concurrency_limit=None)


# --- launching -----------------------------------------------------------------------------------------------------


def launch(
    *,
    preset: str,
    host: str,
    port: int,
    share: bool,
    jobs_dir: Path,
    keep_hours: float | None = None,
    block: bool = True,
) -> tuple[gr.Blocks, str]:
    """Serve the page; the networks are loaded in the background once it is up.

    Served to this machine alone, the page lists every film of the jobs folder; else each browser's own.

    Args:
        keep_hours: see `Studio`.

    Returns:
        The page and its address (at once if not `block`).

    Raises:
        UserError: unknown preset, a jobs folder that cannot be written, a port in use.
    """
    from ..media.ffmpeg_tools import ensure_ffmpeg_on_path

    load_preset(preset)
    offer(preset)
    log_to(jobs_dir)
    ensure_ffmpeg_on_path()
    _let_live_sound_finish()
    forget_other_formats()
    print_one_line_errors()
    # gradio asks itself whether it is up, which a proxy for the outside world would not answer.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1,localhost"]))
    shared = share or host not in LOOPBACK
    if shared:
        share_with_strangers(MOST_SECONDS)
    studio = Studio(jobs_dir, shared=shared, keep_hours=keep_hours)
    studio.watch_queue()
    studio.keep_tidy()
    page = build_page(studio, preset)
    try:
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            share=share,
            prevent_thread_lock=True,
            quiet=True,
            theme=studio_theme(),
            css=studio_css(),
            head=studio_head(),
            favicon_path=STATIC_DIR / "favicon.svg",
            footer_links=["api"],
            run_history=False,
            max_file_size=MAX_UPLOAD,
            ssr_mode=False,
            app_kwargs={"lifespan": partial(_guarded, shared=shared, jobs_dir=jobs_dir)},
            enable_monitoring=False,
            _frontend=False,  # gradio would give up where its own first answer takes 3 s, as on a busy machine
        )
    except OSError as error:
        raise OutputError(
            f"Port {port} of {host} is not free or not allowed; choose another one with --port."
        ) from error
    print(f"{TITLE} is ready: {page.share_url or url}", flush=True)
    threading.Thread(target=warm_up, args=(studio, preset), name="warm-up", daemon=True).start()
    if block:
        page.block_thread()
    return page, url


@contextlib.asynccontextmanager
async def _guarded(app: Any, *, shared: bool, jobs_dir: Path) -> AsyncIterator[None]:
    """Put `Access` around everything that gradio has put around the application; the server begins with this."""
    app.middleware_stack = Access(app.middleware_stack, shared=shared, jobs_dir=jobs_dir)
    yield


def _let_live_sound_finish() -> None:
    """Give gradio's live sound encoder time to hand over a whole chunk.

    It waits 5 ms for each piece. While the networks use every core that is too short: up to two seconds of a chunk's
    sound then travel with the next one, and the player stalls at their end.
    """
    audio_stream_encoder.STEADY_WAIT = 0.25
    audio_stream_encoder.STARTUP_WAIT = 1.0


def warm_up(studio: Studio, preset: str) -> None:
    """Read the networks while the visitor is still choosing, so that the first film starts at once."""
    from ..config.request import GenerationRequest, Speaker
    from ..runtime.auto import settled
    from .jobs import failure

    try:
        studio.models(settled(GenerationRequest(source="-", speakers=(Speaker("-"),), preset=preset)))
    except InputError:
        pass
    except Exception as error:
        failure(error)
