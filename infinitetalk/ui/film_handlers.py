"""Handlers of films: starting one, showing it while it is made and afterwards, stopping it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from ..config.constants import FRAMES_PER_SECOND
from ..events import ChunkFinished, Finished, Progress
from ..jobs.folder import JobFolder
from . import rendering
from .form import Form
from .jobs import Failed, Job, Waiting, failure
from .served import is_served, served
from .studio import Studio
from .takes import takes_shown
from .timeline.state import with_work
from .updates import Updates

if TYPE_CHECKING:
    from ..planning.chunks import Chunk

MOST_REMEMBERED = 200  # films of one browser


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
    """The finished film for the visitor's player, with the overlay where it is on.

    shown: address of the player's film; where it is this one, the player keeps its place.
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
    """File name of a download: anna -> anna-talking.mp4."""
    return re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", f"{name}-talking.mp4")
