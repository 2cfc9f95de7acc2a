"""What happens when something on the page is used: plain functions from values to values.

A handler that changes the page returns or yields a dict from names of components to values, which `page.py` wires up; a
name that is absent stays as it is.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from ..config.constants import FRAMES_PER_SECOND
from ..config.head import LIVELY
from ..config.presets import AUTO
from ..config.request import load_preset, preset_names
from ..errors import InputError, UserError
from ..events import ChunkFinished, Finished, Progress
from ..jobs.folder import JobFolder
from ..media.buckets import BUCKETS
from ..models.specs import get_spec
from ..paths import assets_dir
from ..runtime.auto import choose, on_this_machine
from . import rendering
from .form import NO_EDITS, REMEMBERED, Form, with_current_fields
from .jobs import Failed, Job, Waiting, failure
from .people.component import kept, people_state
from .served import is_served, served
from .studio import Studio
from .takes import takes_shown
from .timeline.pictures import SourcePictures
from .timeline.state import timeline_state, with_work
from .updates import Updates

if TYPE_CHECKING:
    from ..planning.chunks import Chunk

EXAMPLE_SOURCE = "portrait.png"
EXAMPLE_VOICE = "speech.wav"
PREVIEW_PIXELS = 720
MOST_REMEMBERED = 200  # films of one browser


# --- inputs --------------------------------------------------------------------------------------------------------


def preview_source(path: str | None) -> Updates:
    """The chosen picture, or the first frame of the chosen film; a file that is neither is said so at once."""
    if not path:
        return {
            "preview": gr.update(value="", visible=False), "source_notice": "",
            "source_options": gr.update(visible=False),
        }  # fmt: skip
    try:
        info, picture = _first_picture(path)
    except UserError as error:
        return {"preview": gr.update(value="", visible=False), "source_notice": rendering.notice(str(error))}
    return {
        "preview": gr.update(value=rendering.source_preview(info, picture), visible=True),
        "source_notice": "",
        "source_options": gr.update(visible=info.kind == "video"),
    }


def _first_picture(path: str) -> tuple[Any, Any]:
    """(what the file is, uint8 [height, width, 3])"""
    from ..media.probe import require_source
    from ..media.video import open_source

    info = require_source(path)
    with open_source(path, max_side=PREVIEW_PIXELS) as source:
        return info, source.frame_at(0.0)


def source_changed(path: str | None, previous: str | None) -> Updates:
    """The preview, and a way back when a file was taken out."""
    updates = preview_source(path)
    updates["put_back"] = gr.update(visible=not path and bool(previous))
    if path:
        updates["last_source"] = path
    return updates


def put_back(previous: str | None) -> Updates:
    return {"source": previous}


def example(preset: str) -> Updates:
    """The bundled portrait and sentence, for a first look; with a head that moves, where the model leaves it still.

    Raises:
        InputError: if the package came without them.
    """
    source, voice = assets_dir() / EXAMPLE_SOURCE, assets_dir() / EXAMPLE_VOICE
    for path in (source, voice):
        if not path.is_file():
            raise InputError(f"The example file {path.name} is missing; get the package again or use your own files.")
    files = {"source": served(source, source.name), "voice": served(voice, voice.name)}
    still = not get_spec(load_preset(on_this_machine(preset)).model).moves_head
    return files | {"two_voices": False, "camera": "rest", "head": LIVELY if still else "rest", "pose": "rest",
                    "composite": False}  # fmt: skip


def dice() -> Updates:
    return {"seed": str(random.randrange(1_000_000))}


def preset_changed(preset: str) -> Updates:
    """The preset's own values in the options, and only the options its model has."""
    choice = choose(preset) if preset == AUTO else None
    name = preset if choice is None else choice.name
    settings = load_preset(name)
    spec = get_spec(settings.model)
    return {
        "preset_help": model_panel(name, "" if choice is None else choice.sentence),
        "prompt": gr.update(visible=spec.takes_prompt),
        "steps": settings.steps,
        "audio_guidance_scale": settings.audio_guidance_scale,
        "framing": settings.framing,
    }


def model_panel(preset: str, why: str = "") -> str:
    """What a preset is, whether it fits this machine, and which of its files are here; reads no weights."""
    from ..checkpoints.catalogue import need_of, target
    from ..runtime.machine import this_machine
    from ..runtime.memory import needs_of, shortfalls

    settings = load_preset(preset)
    spec, machine = get_spec(settings.model), this_machine()
    sizes = spec.sizes or BUCKETS
    height, width = max(sizes[settings.size].values(), key=lambda size: size[0] * size[1])
    needs = needs_of(spec, settings, height, width)
    files = None if spec.shipped_in is not None else need_of(target(preset), None)
    return rendering.model_panel(
        settings.description, why, needs.describe(), machine.describe(), shortfalls(needs, machine, settings),
        files, preset,
    )  # fmt: skip


def voices_changed(two_voices: bool) -> Updates:
    return {"second": gr.update(visible=bool(two_voices))}


def people_wanted(two_voices: bool, source: str | None, boxes: Any) -> Updates:
    """The picture to draw boxes on; what is suggested counts at once where both people were found."""
    if not two_voices or not source:
        return {"people": gr.update(value=None)}
    try:
        state = people_state(source)
    except UserError:  # said beside the source
        return {"people": gr.update(value=None), "boxes": None}
    if isinstance(boxes, dict) and boxes.get("source") == source and boxes.get("boxes"):
        return {"people": gr.update(value=state | {"boxes": boxes["boxes"]})}  # what was drawn stays
    suggested = state["boxes"] if state["found"] == 2 else None
    return {"people": gr.update(value=state), "boxes": kept(source, state, suggested)}


def boxes_drawn(source: str | None, state: Any, edit: gr.EventData) -> Updates:
    """Keep what was drawn; the plan says what is wrong with it."""
    told = getattr(edit, "_data", None)
    if not source or not isinstance(state, dict) or not isinstance(told, dict):
        return {}
    return {"boxes": kept(source, state, told.get("boxes"))}


def plan_changed(pictures: SourcePictures, *values: Any) -> Updates:
    """Plan panel and timeline for the inputs as they are; problems are told here, before anything is started."""
    form = Form(*values)
    if missing := form.missing():
        return {"plan": rendering.plan_hint(missing), "timeline": gr.update(value=None)}
    try:
        from ..stages import prepare_film

        film = prepare_film(form.to_request())
        with film.source:
            shown = timeline_state(
                film.request,
                film.plan,
                film.voices,
                source_id=pictures.word(film.request.source),
                source_seconds=film.source.duration_seconds,
                edits=form.own_edits(),
            )
        work = form.own_edits().get("work") or []  # of a film that was opened, until the timeline is edited
        work = work if len(work) == len(film.plan.chunks) else []
        return {"plan": rendering.plan_panel(film.plan), "timeline": gr.update(value=shown, work=work)}
    except UserError as error:
        return {"plan": rendering.plan_problem(str(error))}
    except Exception as error:
        return {"plan": rendering.plan_problem(failure(error).message)}


def timeline_edited(source: str | None, known: Any, edit: gr.EventData) -> Updates:
    """Keep what the timeline says, unless something newer is `known`; the plan follows."""
    told = getattr(edit, "_data", None)
    if not isinstance(told, dict) or not isinstance(told.get("pins"), list):
        return {}
    kept = {name: told.get(name, default) for name, default in NO_EDITS.items()}
    if not isinstance(kept["revision"], int):
        kept["revision"] = 0
    if isinstance(known, dict) and known.get("source") == source and known["revision"] > kept["revision"]:
        return {}
    return {"edits": kept | {"source": source}}


# --- settings that the browser remembers ---------------------------------------------------------------------------


def remember(*values: Any) -> Updates:
    form = Form(*values)
    return {"remembered": {name: getattr(form, name) for name in REMEMBERED}}


def restore(remembered: Any, default_preset: str) -> Updates:
    """The options of the last visit; whatever no longer makes sense falls back to the preset's own value."""
    stored = with_current_fields(remembered) if isinstance(remembered, dict) else {}
    preset = stored.get("preset")
    if preset not in (AUTO, *preset_names()):
        preset = default_preset
    updates = preset_changed(preset) | {"preset": preset}
    for name in REMEMBERED:
        if name != "preset" and name in stored and _acceptable(preset, name, stored[name]):
            kept = updates.get(name)
            updates[name] = kept | {"value": stored[name]} if isinstance(kept, dict) else stored[name]
    return updates


def _acceptable(preset: str, name: str, value: Any) -> bool:
    try:
        Form(source="-", voice="-", **{"preset": preset, name: value}).to_request()
    except UserError:
        return False
    return value is not None


# --- making a film -------------------------------------------------------------------------------------------------


def generate(studio: Studio, mine: Any, *values: Any) -> Iterator[Updates]:
    """Start a film and show it as it grows. mine: names of the films that the visitor's browser remembers."""
    yield started()
    try:
        from ..pipeline import plan

        request = Form(*values).to_request()
        job = studio.submit(request, plan(request))
    except Exception as error:
        yield _ended() | _show_failure(failure(error))
        return
    yield {
        "job": job.id, "mine": remembered(mine, job.directory), "film": gr.update(value=None),
        "live": gr.update(value=None),
    }  # fmt: skip
    yield from watch(studio, job)


def remembered(mine: Any, directory: Path) -> list[str]:
    """The names in the visitor's browser with one added, the newest last."""
    names = [name for name in mine if isinstance(name, str)] if isinstance(mine, list) else []
    return [*(name for name in names if name != directory.name), directory.name][-MOST_REMEMBERED:]


def reattach(studio: Studio, job_id: Any) -> Iterator[Updates]:
    """After a reload: the film that is being made for this browser, or was made last."""
    yield {}  # a generator that yields nothing would empty every component
    job = studio.find(job_id)
    if job is None:
        return
    if not job.ended:
        yield started()
    yield from watch(studio, job)


def watch(studio: Studio, job: Job) -> Iterator[Updates]:
    """A job's events as changes of the page, until it has ended."""
    chunks = job.plan.chunks
    finished: list[ChunkFinished] = []
    running: int | None = None
    preview: bytes | None = None
    seconds_elapsed = 0.0
    replayed = job.ended or job.again  # the film is there: no need to stream it again piece by piece
    for event in studio.follow(job):
        if isinstance(event, Waiting):
            yield {"progress": rendering.waiting(event.place)}
        elif isinstance(event, Progress):
            seconds_elapsed = event.seconds_elapsed
            preview = event.preview or (preview if event.chunk == running else None)
            updates = {} if job.should_stop() else {"progress": rendering.progress(event, preview)}
            if event.chunk != running:
                running = event.chunk
                updates |= _work(chunks, finished, running)
            if updates:
                yield updates
        elif isinstance(event, ChunkFinished):
            finished.append(event)
            if not replayed:
                yield {
                    "live": str(event.segment),
                    "result": gr.update(elem_classes=["card", "has-film"]),
                } | _work(chunks, finished, running)
        elif isinstance(event, Finished):
            shown = {"players": gr.update(selected="film")} if replayed else {}
            yield _ended() | _show_film(job, event, finished, seconds_elapsed) | shown
        else:
            assert isinstance(event, Failed)
            yield _ended() | _show_failure(event) | _work(chunks, finished)


def _work(chunks: Sequence[Chunk], finished: Sequence[ChunkFinished], running: int | None = None) -> Updates:
    """How far each chunk is, under the player and on the timeline."""
    return {
        "strip": rendering.chunk_strip(chunks, finished, running),
        "timeline": gr.update(work=with_work(chunks, (event.index for event in finished), running)),
    }


def cancel(studio: Studio, job_id: Any) -> Updates:
    """Stop at the next step."""
    job = studio.find(job_id)
    if job is None or job.ended:
        return {}
    studio.cancel(job)
    return {"progress": rendering.stopping()}


def whole_film(studio: Studio, job_id: Any, with_overlay: bool, shown: Any = "") -> Updates:
    """The film that the visitor's player should have, once it has ended; with the overlay where it is on.

    shown: address of what the player has; where that is this film, it goes on where it was.
    """
    job = studio.find(job_id)
    if job is None or not job.ended:
        return {}
    from ..jobs.overlay import NAME

    folder = JobFolder(job.directory, job.request)
    drawn = folder.path / NAME
    film, name = folder.output, folder.name
    if with_overlay and drawn.exists():
        film, name = drawn, f"{folder.name}-overlay"
    return {} if not film.exists() or is_served(shown, film) else {"film": served(film, film_name(name))}


def overlay(studio: Studio, job_id: Any, wanted: bool) -> Iterator[Updates]:
    """The finished film, with its motion targets drawn over it where that is `wanted`."""
    job = studio.find(job_id)
    yield {}  # a generator that yields nothing would empty every component
    if job is None or not job.ended:
        return
    folder = JobFolder(job.directory, job.request)
    if not wanted:
        yield {"film": served(folder.output, film_name(folder.name)), "progress": ""}
        return
    yield {"progress": rendering.meter("Drawing the motion targets", "", None), "players": gr.update(selected="film")}
    try:
        from ..jobs.overlay import overlay_film

        drawn = overlay_film(JobFolder.open(job.directory))
        yield {"film": served(drawn, film_name(f"{folder.name}-overlay")), "progress": ""}
    except Exception as error:
        yield {"progress": rendering.notice(failure(error).message, "warning")}


def started() -> Updates:
    return {
        "notice": "",
        "progress": rendering.waiting(0),
        "strip": "",
        "facts": "",
        "generate": gr.update(visible=False),
        "cancel": gr.update(visible=True),
        "download": gr.update(visible=False),
        "players": gr.update(selected="live"),
        "retake": gr.update(visible=False),
        "overlay": gr.update(visible=False),
        "result": gr.update(elem_classes=["card", "busy"]),
    }


def _ended() -> Updates:
    return {"progress": "", "generate": gr.update(visible=True), "cancel": gr.update(visible=False)}


def _show_failure(failed: Failed) -> Updates:
    return {"notice": rendering.notice(failed.message)}


def _show_film(job: Job, event: Finished, finished: list[ChunkFinished], seconds_elapsed: float) -> Updates:
    work = _work(job.plan.chunks, finished) if finished else {"strip": "", "timeline": gr.update(work=[])}
    if event.output is None:
        return {"notice": rendering.notice("Cancelled before the first chunk was finished.", "note")} | work
    film = served(event.output, film_name(JobFolder(job.directory, job.request).name))
    updates: Updates = {
        "film": film,
        "download": gr.update(value=film, visible=True),
        "overlay": gr.update(visible=event.complete and job.request.is_steered, value=False),
        "facts": rendering.film_facts(event, job.request.seed, Path(film).stat().st_size, seconds_elapsed),
        "result": gr.update(elem_classes=["card", "has-film"]),
    } | work
    if event.complete:
        updates |= takes_shown(job) if job.plan is not None else {}
    elif job.again:
        updates["notice"] = rendering.notice("Cancelled; the film is as it was.", "note")
    else:
        kept = rendering.duration(event.num_frames / FRAMES_PER_SECOND)
        updates["notice"] = rendering.notice(f"Cancelled; the first {kept} are finished and kept.", "note")
    return updates


def film_name(name: str) -> str:
    """What the downloaded film of that name is called: anna -> anna-talking.mp4."""
    return re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", f"{name}-talking.mp4")
