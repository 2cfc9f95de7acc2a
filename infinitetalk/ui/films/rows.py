"""A film in the list: its first picture, how far it is, and what can be done with it."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...request import FRAMES_PER_SECOND
from ...streaming.job_queue import JobState, job_state
from .. import rendering
from ..jobs import Job
from ..studio import Studio

_THUMBNAIL_PIXELS = 72
MOST_SHOWN = 30


def film_list(studio: Studio, mine: Any, shown: Path | None) -> str:
    """The list as HTML. mine: folder names that the visitor's browser remembers; shown: the film in the player."""
    folders = studio.in_order(studio.folders(mine))
    queue = studio.queue.state() if studio.queue.path.exists() else None
    failed = {job.job: job.failed for job in queue.jobs if job.failed} if queue else {}
    rows = [_row(studio, path, path == shown, failed.get(path.name)) for path in folders[:MOST_SHOWN]]
    if not rows:
        return '<p class="help">Films appear here once they are made or waiting to be.</p>'
    more = len(folders) - MOST_SHOWN
    tail = f'<p class="help">{more} older ones are not shown.</p>' if more > 0 else ""
    waiting = any('data-state="waiting"' in row for row in rows)
    bar = _queue_bar(queue is not None and queue.paused) if waiting else ""
    return f'{bar}<ul class="films">{"".join(rows)}</ul>{tail}'


def _queue_bar(paused: bool) -> str:
    words = "The queue is paused: no further film begins." if paused else "Films of the queue are made in their order."
    action, text = ("go-on", "Go on") if paused else ("pause", "Pause the queue")
    return (
        f'<div class="queue-bar"><span class="help">{words}</span>'
        f'<button type="button" class="tl-button" data-do="{action}" data-key="queue">{text}</button></div>'
    )


def _row(studio: Studio, path: Path, shown: bool, failed: str | None) -> str:
    state, job = job_state(path), studio.working_on(path)
    kind, words = _state(studio, state, job, failed)
    name = escape(path.name)
    title = escape(rendering.film_title(str(state.request.get("source") or path.name)))
    buttons = [
        f'<button type="button" class="tl-button" data-do="{do}" data-film="{name}" data-key="{do} {name}" '
        f'aria-label="{label}: {title}">{label}</button>'
        for do, label in _actions(kind, state, job)
    ]
    return (
        f'<li data-state="{kind}"{" aria-current=true" if shown else ""}>{_picture(path, state)}'
        f'<div class="film-words"><strong>{title}</strong><span class="film-state {kind}">{escape(words)}</span>'
        f'<span class="help">{escape(_facts(path, state))}</span></div>'
        f'<div class="film-buttons">{"".join(buttons)}</div></li>'
    )


def _state(studio: Studio, state: JobState, job: Job | None, failed: str | None) -> tuple[str, str]:
    """(kind, what is said): damaged, running, waiting, failed, finished, stopped or empty."""
    of = f"{state.num_made} of {rendering.counted(state.num_chunks, 'chunk')}" if state.num_chunks else "some chunks"
    if state.fault:
        return "damaged", state.fault
    if job is not None and job.progress is not None:
        return "running", f"Being made, {round(100 * job.progress.fraction)} %"
    if job is not None:
        place = studio.place(job)
        return "waiting", f"Waiting: {rendering.counted(place, 'film')} before it" if place else "Next in the queue"
    if state.owner:
        return "running", f"Being made by another program{state.owner}"
    if failed:
        return "failed", failed
    if state.complete:
        return "finished", "Finished"
    return ("stopped", f"Stopped, {of} finished") if state.num_made else ("empty", "Not begun")


def _actions(kind: str, state: JobState, job: Job | None) -> list[tuple[str, str]]:
    actions: list[tuple[str, str]] = []
    if job is not None:
        actions.append(("watch", "Watch"))
    elif state.film is not None:
        actions.append(("open", "Open"))
    if kind in ("stopped", "empty", "failed"):
        actions.append(("resume", "Resume"))
    if kind == "waiting" and job is not None and job.queued:
        actions += [("up", "Up"), ("down", "Down")]
    if kind != "running":
        actions.append(("remove", "Remove"))
    return actions


def _facts(path: Path, state: JobState) -> str:
    try:
        changed = (path / "project.json").stat().st_mtime
        megabytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
    except OSError:  # removed while we look
        return ""
    facts = []
    if state.film is not None and (frames := _num_frames(str(state.film), state.film.stat().st_mtime)):
        facts.append(rendering.duration(frames / FRAMES_PER_SECOND))
    if state.request.get("preset"):
        facts.append(str(state.request["preset"]))
    facts += [rendering.ago(changed), rendering.size(megabytes)]
    return " · ".join(facts)


@lru_cache(maxsize=256)
def _num_frames(film: str, changed: float) -> int:
    from ...media.probe import require_source

    try:
        return round(require_source(film).duration_seconds * FRAMES_PER_SECOND)
    except UserError:
        return 0


def _picture(path: Path, state: JobState) -> str:
    source = state.film or state.request.get("source")
    address = _thumbnail(str(source), Path(source).stat().st_mtime) if source and Path(source).is_file() else None
    if address is None:
        return '<span class="film-picture" aria-hidden="true"></span>'
    return f'<img class="film-picture" alt="" src="{address}">'


@lru_cache(maxsize=256)
def _thumbnail(file: str, changed: float) -> str | None:
    from PIL import Image

    from ...media.video import first_frame

    try:
        picture = Image.fromarray(first_frame(file))
    except UserError:
        return None
    picture.thumbnail((2 * _THUMBNAIL_PIXELS, 2 * _THUMBNAIL_PIXELS))
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(stored.getvalue()).decode()}"
