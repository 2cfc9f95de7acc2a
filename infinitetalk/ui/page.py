"""The page itself: layout first, then what is wired to what. What happens is in `handlers.py`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import audio_stream_encoder

from ..config.presets import AUTO
from ..config.request import load_preset, preset_names
from ..errors import InputError, OutputError
from . import api, compositing, handlers, movement, pose, rendering, retakes, source_options
from .blocks import WholeAnswers
from .compare import panel as compare
from .films import panel as films
from .form import FORM_FIELDS, REMEMBERED, Form
from .jobs import log_to
from .people.component import people_boxes
from .studio import Studio
from .theme import STATIC_DIR, studio_css, studio_head, studio_theme
from .timeline.component import timeline
from .timeline.pictures import SourcePictures
from .updates import Updates

TITLE = "InfiniteTalk Studio"
MAX_UPLOAD = "2gb"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
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


def _heading(number: int, title: str, help_text: str = "") -> str:
    below = f'<p class="help">{help_text}</p>' if help_text else ""
    return f'<h2><span class="number" aria-hidden="true">{number}</span>{title}</h2>{below}'


# --- layout --------------------------------------------------------------------------------------------------------


_FACE_HELP = "A photo or a video of the person who speaks. With nano, a front view with closed lips works best."


def _source_zone(c: dict[str, Any], preset: str) -> None:
    with gr.Column(elem_id="source-zone", scale=5, min_width=320):
        c["example"] = gr.Button(
            "Try the example: a portrait that speaks", elem_id="example", variant="secondary", size="md"
        )
        with gr.Column(elem_classes="card", elem_id="face-card"):
            gr.HTML(_heading(1, "Face", _FACE_HELP))
            c["preview"] = gr.HTML(visible=False, elem_id="preview")
            c["source"] = gr.File(
                label="Photo or video", file_types=["image", "video"], elem_id="source", height=132, show_label=False
            )
            c["source_notice"] = gr.HTML()
            c["put_back"] = gr.Button("Undo: put it back", size="sm", visible=False, elem_id="put-back")
            c["last_source"] = gr.State(None)
        with gr.Column(elem_classes="card", elem_id="voice-card"):
            gr.HTML(_heading(2, "Voice", "Speech of any length. The film will be exactly as long."))
            c["voice"] = _voice("Voice", "voice")
            c["two_voices"] = gr.Checkbox(label="Two people speak", elem_id="two-voices", container=False)
            with gr.Column(visible=False, elem_id="second-voice-zone") as c["second"]:
                c["second_voice"] = _voice("Voice 2", "second-voice")
                c["arrangement"] = gr.Radio(
                    [("At the same time", "together"), ("One after the other", "in-turn")],
                    value="together",
                    label="The two voices are heard",
                )
                c["boxes"] = gr.State(None)
                c["people"] = people_boxes()
        movement.panel(c)
        with gr.Accordion("Options", open=False, elem_id="options", elem_classes="card"):
            _options(c, preset)


def _voice(label: str, elem_id: str) -> gr.Audio:
    return gr.Audio(label=label, sources=["upload", "microphone"], type="filepath", elem_id=elem_id, buttons=[])


def _options(c: dict[str, Any], preset: str) -> None:
    settings = load_preset(preset)
    c["preset"] = gr.Dropdown([*preset_names(), AUTO], value=preset, label="Preset", elem_id="preset")
    c["preset_help"] = gr.HTML(handlers.preset_changed(preset)["preset_help"])
    c["prompt"] = gr.Textbox(
        label="Prompt",
        info="What happens in the film, in a sentence; leave empty for a calm talk to the camera.",
        lines=2,
        visible=handlers.preset_changed(preset)["prompt"]["visible"],
        elem_id="prompt",
    )
    with gr.Row(elem_id="seed-row"):
        c["seed"] = gr.Textbox(
            value="7", label="Seed", info="The same seed gives the same film again.", elem_id="seed", scale=4
        )
        c["dice"] = gr.Button("Another", size="sm", elem_id="dice", scale=1, min_width=90)
    c["steps"] = gr.Slider(
        1, 50, value=settings.steps, step=1, label="Steps",
        info="More steps: finer pictures, proportionally more time.", elem_id="steps",
    )  # fmt: skip
    c["audio_guidance_scale"] = gr.Slider(
        1, 10, value=settings.audio_guidance_scale, step=0.1, label="Audio guidance",
        info="Higher: the mouth follows the voice more strongly, up to exaggeration.", elem_id="audio-guidance-scale",
    )  # fmt: skip
    c["framing"] = gr.Radio(
        [("The face fills the film", "face"), ("Keep the whole picture", "whole")],
        value=settings.framing,
        label="Framing",
        info="Small models see a face best when it fills the film.",
    )
    compositing.panel(c)
    source_options.panel(c)


def _result_zone(c: dict[str, Any], audio_guidance_scale: float) -> None:
    with gr.Column(elem_id="result-zone", scale=7, min_width=320):
        with gr.Column(elem_classes="card", elem_id="action-card"):
            gr.HTML(_heading(3, "Film"))
            c["plan"] = gr.HTML(rendering.plan_hint(Form().missing()), elem_id="plan")
            c["notice"] = gr.HTML(elem_id="notice")
            c["progress"] = gr.HTML(elem_id="progress")
            with gr.Row(elem_id="generate-row"):
                c["generate"] = gr.Button("Generate", variant="primary", elem_id="generate", scale=3)
                c["cancel"] = gr.Button("Cancel, keep what is finished", visible=False, elem_id="cancel", scale=3)
                c["later"] = gr.Button("Add to queue", elem_id="later", scale=1, min_width=170)
        with gr.Column(elem_classes=["card"], elem_id="result") as c["result"]:
            gr.HTML(EMPTY_RESULT, elem_id="empty-result")
            with gr.Tabs(elem_id="players", selected="live") as c["players"]:
                with gr.Tab("Live", id="live"):
                    c["live"] = gr.Video(
                        streaming=True, autoplay=True, show_label=False, label="Live", interactive=False,
                        elem_id="live", buttons=[],
                    )  # fmt: skip
                with gr.Tab("Whole film", id="film") as c["film_tab"]:
                    c["film_shown"] = gr.Textbox(visible=False)
                    c["film"] = gr.Video(
                        show_label=False, label="Whole film", interactive=False, elem_id="film", buttons=[]
                    )
            c["overlay"] = gr.Checkbox(
                label="Draw motion targets over the film", visible=False, elem_id="overlay",
                container=False,
            )  # fmt: skip
            c["strip"] = gr.HTML(elem_id="strip")
            with gr.Row(elem_id="film-row"):
                c["facts"] = gr.HTML(elem_id="facts")
                c["download"] = gr.DownloadButton(
                    "Download the film", variant="primary", size="md", visible=False, elem_id="download"
                )
            retakes.panel(c, audio_guidance_scale)


def _timeline_zone(c: dict[str, Any], pictures: SourcePictures) -> None:
    with gr.Column(elem_classes=["card", "empty"], elem_id="timeline-card"):
        gr.HTML(_heading(4, "Timeline", "Which picture guides which stretch. Pin another one where the film needs it."))
        c["edits"] = gr.State(None)
        c["timeline"] = timeline(pictures)


# --- wiring --------------------------------------------------------------------------------------------------------


def build_page(studio: Studio, preset: str) -> gr.Blocks:
    """The studio's page. Nothing is loaded: networks are read for the first film, or by `warm_up`."""
    c: dict[str, Any] = {}
    with WholeAnswers(
        title=TITLE,
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(CACHE_CHECK_SECONDS, CACHE_AGE_SECONDS),
    ) as page:
        gr.HTML(HEADER)
        c["remembered"] = gr.BrowserState({}, storage_key="infinitetalk-options", secret=BROWSER_WORD)
        c["job"] = gr.BrowserState("", storage_key="infinitetalk-film", secret=BROWSER_WORD)
        c["mine"] = gr.BrowserState([], storage_key="infinitetalk-films", secret=BROWSER_WORD)
        with gr.Row(elem_id="zones"):
            _source_zone(c, preset)
            _result_zone(c, load_preset(preset).audio_guidance_scale)
        pictures = SourcePictures()
        _timeline_zone(c, pictures)
        compare.panel(c)
        films.panel(c, studio)
        _wire(page, c, studio, preset, pictures)
        _publish_api(studio)
    return page


def _wire(page: gr.Blocks, c: dict[str, Any], studio: Studio, preset: str, pictures: SourcePictures) -> None:
    private = {"api_visibility": "private", "show_progress": "hidden"}
    quick = private | {"queue": False}
    form = [c[name] for name in FORM_FIELDS]

    def outputs(*names: str) -> list[Any]:
        return [c[name] for name in names]

    def updates(handler: Callable[..., Updates]) -> Callable[..., Any]:
        return lambda *values: _named(c, handler(*values))

    def streamed(handler: Callable[..., Iterator[Updates]]) -> Callable[..., Iterator[Any]]:
        def stream(*values: Any) -> Iterator[Any]:
            for update in handler(*values):
                yield _named(c, update)

        return stream

    # inputs
    c["source"].change(
        updates(handlers.source_changed), [c["source"], c["last_source"]],
        outputs("preview", "source_notice", "put_back", "last_source", "source_options"), **quick,
    )  # fmt: skip
    c["put_back"].click(updates(handlers.put_back), c["last_source"], outputs("source"), **quick)
    c["dice"].click(updates(handlers.dice), None, outputs("seed"), **quick)
    c["two_voices"].change(updates(handlers.voices_changed), c["two_voices"], outputs("second"), **quick)
    gr.on(
        [c["two_voices"].change, c["source"].change], updates(handlers.people_wanted),
        [c["two_voices"], c["source"], c["boxes"]], outputs("people", "boxes"), trigger_mode="always_last", **private,
    )  # fmt: skip

    def drawn(source: str | None, state: Any, edit: gr.EventData) -> Any:
        return _named(c, handlers.boxes_drawn(source, state, edit))

    gr.on(
        [c["camera"].change, c["head"].change, c["camera_by"].change], updates(movement.chosen),
        outputs("camera", "head", "camera_by"),
        outputs("movement_options", "denoising_strength", "head_file", "head_amount", "camera_maker", "uni3c_options"),
        **quick,
    )  # fmt: skip
    c["pose"].change(updates(pose.chosen), c["pose"], outputs("pose_file", "pose_options"), **quick)
    posing = ("source", *pose.FIELDS)
    gr.on(
        [c[name].change for name in posing], streamed(pose.shown), outputs(*posing), outputs("pose_shown"),
        trigger_mode="always_last", **private,
    )  # fmt: skip
    moving = ("source", "framing", *movement.FIELDS)
    gr.on(
        [c[name].change for name in moving], streamed(movement.shown), outputs(*moving),
        outputs("movement_shown", "path_download", "path_edit"),
        trigger_mode="always_last", **private,
    )  # fmt: skip
    c["path_edit"].click(
        streamed(movement.opened), outputs("source", "timeline", "seed", *movement.CAMERA_FIELDS),
        outputs("path_editor", "path_told"), **private,
    )  # fmt: skip

    def path_edited(state: Any, edit: gr.EventData) -> Any:
        return _named(c, movement.edited(state, edit))

    c["path_editor"].input(
        path_edited, c["path_editor"], outputs("camera", "camera_file", "path_told"),
        trigger_mode="multiple", **quick,
    )  # fmt: skip
    gr.on(
        [c["source"].change, c["camera"].input, c["movement"].input, c["amount"].input, c["camera_file"].upload,
         c["camera_file"].clear],
        updates(movement.left), None, outputs("path_editor", "path_told"), **quick,
    )  # fmt: skip
    gr.on(
        [c[name].change for name in ("source", *compositing.FIELDS)], updates(compositing.shown),
        outputs("source", *compositing.FIELDS),
        outputs("composite_options", "composite_notice", "composite_picture"), trigger_mode="always_last", **private,
    )  # fmt: skip

    def pointed(picture: Any, place: gr.SelectData) -> Any:
        return _named(c, compositing.clicked(picture, place))

    c["composite_picture"].select(pointed, c["composite_picture"], outputs("composite_person"), **quick)
    c["preset"].input(
        updates(handlers.preset_changed), c["preset"],
        outputs("preset_help", "prompt", "steps", "audio_guidance_scale", "framing"), **quick,
    )  # fmt: skip

    # the plan, and what the browser remembers, follow every input
    planned = updates(partial(handlers.plan_changed, pictures)), form, outputs("plan", "timeline")
    gr.on([component.change for component in form], *planned, trigger_mode="always_last", **private)

    def edited(source: str | None, known: Any, edit: gr.EventData) -> Any:
        return _named(c, handlers.timeline_edited(source, known, edit))

    # Every edit is sent: gradio's "always_last" sends the first one's data again. A state that is set outside the queue
    # tells nobody that it changed, so the plan is made anew explicitly.
    edits = {"trigger_mode": "multiple"} | quick
    for event in (
        c["people"].input(drawn, [c["source"], c["people"]], outputs("boxes"), **edits),
        c["timeline"].input(edited, [c["source"], c["edits"]], outputs("edits"), **edits),
    ):
        event.then(*planned, trigger_mode="always_last", **private)
    remembered = [c[name] for name in REMEMBERED]
    gr.on(
        [component.change for component in remembered], updates(handlers.remember), form, outputs("remembered"),
        trigger_mode="always_last", **quick,
    )  # fmt: skip
    page.load(
        updates(lambda stored: handlers.restore(stored, preset)), c["remembered"],
        outputs(*REMEMBERED, "preset_help"), **quick,
    )  # fmt: skip

    # films
    of_film = (
        "notice", "progress", "strip", "facts", "generate", "cancel", "download", "players", "live", "film", "result",
        "overlay", "job", "mine", "timeline", *retakes.PANEL,
    )  # fmt: skip
    running = outputs(*of_film)
    film_event = private | {"concurrency_limit": None}  # the studio's own queue makes one film at a time
    start = streamed(partial(handlers.generate, studio))
    made = [c["mine"], *form]
    c["generate"].click(start, made, running, **film_event)
    shown = outputs("source", "voice", "two_voices", "camera", "head", "pose", "composite")
    c["example"].click(updates(handlers.example), c["preset"], shown, **quick).success(
        start, made, running, **film_event
    )
    c["overlay"].input(
        streamed(partial(handlers.overlay, studio)), outputs("job", "overlay"), outputs("film", "progress", "players"),
        **film_event,
    )  # fmt: skip
    c["cancel"].click(updates(partial(handlers.cancel, studio)), c["job"], outputs("progress"), **quick)
    page.load(streamed(partial(handlers.reattach, studio)), c["job"], running, **film_event)
    retakes.wire(c, studio, of_film, updates, streamed, {"quick": quick, "film": film_event})
    films.wire(c, studio, form, of_film, updates, streamed, {"quick": quick, "film": film_event})
    compare.wire(c, studio, updates, streamed, {"quick": quick, "private": private})
    # A player that is drawn when its tab is opened may have lost the film that it was given before.
    told = updates(partial(handlers.whole_film, studio)), outputs("job", "overlay", "film_shown"), outputs("film")
    quick_look = quick | {"js": _WITH_SHOWN_FILM}
    c["film_tab"].select(*told, **quick_look)
    c["live"].end(lambda: gr.Tabs(selected="film"), None, c["players"], **quick).then(*told, **quick_look)


def _named(c: dict[str, Any], update: Updates) -> Any:
    return {c[name]: value for name, value in update.items()} if update else gr.skip()


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
    log_to(jobs_dir)
    ensure_ffmpeg_on_path()
    _let_live_sound_finish()
    # gradio asks itself whether it is up, which a proxy for the outside world would not answer.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1,localhost"]))
    studio = Studio(jobs_dir, shared=share or host not in LOOPBACK, keep_hours=keep_hours)
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
