"""A film in the list: its first picture, how far it is, and what can be done with it."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

from ...config.constants import FRAMES_PER_SECOND
from ...errors import UserError
from ...jobs.queue import JobState, job_state
from .. import rendering
from ..jobs import Job
from ..studio import Studio

_THUMBNAIL_PIXELS = 128
MOST_SHOWN = 30


def film_list(studio: Studio, mine: Any, shown: Path | None) -> str:
    """The list as HTML. mine: folder names that the visitor's browser remembers; shown: the film in the player."""
    folders = studio.in_order(studio.folders(mine))
    failed = {one.job: one.failed for one in studio.queue_state().jobs if one.failed}
    queued, idle = studio.queued(mine), studio.passed_over()
    rows = []
    for path in folders[:MOST_SHOWN]:
        place = (queued.index(path), len(queued)) if path in queued else None
        rows.append(_row(studio, path, path == shown, failed.get(path.name), path in idle, place))
    if not rows:
        return '<p class="help">Films appear here once they are made or waiting to be.</p>'
    more = len(folders) - MOST_SHOWN
    tail = f'<p class="help">{more} older ones are not shown.</p>' if more > 0 else ""
    bar = _queue_bar(studio, len(queued), any(path in idle for path in queued)) if queued else ""
    return f'{bar}<ul class="films">{"".join(rows)}</ul>{tail}'


def _queue_bar(studio: Studio, number: int, paused: bool) -> str:
    films = f"{rendering.counted(number, 'film')} in {'your' if studio.shared else 'the'} queue"
    words = f"{films}, paused: no further one begins." if paused else f"{films}, made one after the other."
    action, text = ("go-on", "Go on") if paused else ("pause", "Pause the queue")
    return (
        f'<div class="queue-bar" role="status"><span class="help">{words}</span>'
        f'<button type="button" class="tl-button" data-do="{action}" data-key="queue">{text}</button></div>'
    )


def _row(studio: Studio, path: Path, shown: bool, failed: str | None, idle: bool, place: tuple[int, int] | None) -> str:
    """place: in the visitor's queue, and how many films stand there."""
    state, job = _read(path), studio.working_on(path)
    kind, words = _state(studio, state, job, failed, idle)
    name, title = escape(path.name), escape(state.name)
    buttons = []
    for do, label in _actions(kind, state, job):
        useless = place is not None and ((do == "up" and place[0] == 0) or (do == "down" and place[0] == place[1] - 1))
        buttons.append(
            f'<button type="button" class="tl-button" data-do="{do}" data-key="{do} {name}" '
            f'{"aria-disabled=true " if useless else ""}aria-label="{label}: {title}">{label}</button>'
        )
    rename = "" if state.fault else (
        f'<button type="button" class="film-rename" data-do="rename" data-key="rename {name}" title="Rename" '
        f'aria-label="Rename: {title}">{_PEN}</button>'
    )  # fmt: skip
    return (
        f'<li data-state="{kind}" data-film="{name}"{" aria-current=true" if shown else ""}>{_picture(state)}'
        f'<div class="film-words"><span class="film-title"><strong>{title}</strong>{rename}</span>'
        f'<span class="film-state {kind}">{escape(words)}</span>'
        f'<span class="help">{escape(_facts(path, state, job))}</span></div>'
        f'<div class="film-buttons">{"".join(buttons)}</div></li>'
    )


_PEN = (
    '<svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" fill="none" stroke="currentColor" '
    'stroke-width="1.4" stroke-linejoin="round"><path d="M2.5 13.5l.7-3L10.6 3.1l2.3 2.3-7.4 7.4z"/></svg>'
)


def _state(studio: Studio, state: JobState, job: Job | None, failed: str | None, idle: bool) -> tuple[str, str]:
    """(kind, what is said): damaged, running, paused, waiting, failed, finished, killed, cancelled or empty."""
    if state.fault:
        return "damaged", state.fault
    if job is not None and (now := job.progress) is not None:
        chunk = "" if now.chunk is None or not now.num_chunks else f"chunk {now.chunk + 1} of {now.num_chunks}, "
        return "running", f"Being made: {chunk}{round(100 * now.fraction)} %"
    if job is not None:
        place = studio.place(job)
        before = f"{rendering.counted(place, 'film')} before it" if place else "it is next"
        return ("paused", f"Paused; {before}") if idle else ("waiting", f"Waiting; {before}")
    if state.owner:
        return "running", f"Being made by another program{state.owner}"
    if state.complete:
        return "finished", "Finished"
    if failed:
        return "failed", failed
    if state.killed:
        return "killed", "Killed while it was being made; what is finished is kept"
    return ("cancelled", "Cancelled; what is finished is kept") if state.num_made else ("empty", "Not begun")


def _actions(kind: str, state: JobState, job: Job | None) -> list[tuple[str, str]]:
    actions: list[tuple[str, str]] = []
    if kind in ("killed", "cancelled", "empty", "failed"):
        actions.append(("resume", "Resume"))
    if job is not None:
        actions.append(("watch", "Watch"))
    elif state.film is not None:
        actions.append(("open", "Open"))
    if kind == "running" and job is not None:
        actions.append(("cancel", "Cancel"))
    if job is not None and kind in ("waiting", "paused") and job.queued:
        actions += [("up", "Up"), ("down", "Down")]
    if kind != "damaged":
        actions.append(("again", "Use again"))
    if kind != "running":
        actions.append(("remove", "Remove"))
    return actions


def _facts(path: Path, state: JobState, job: Job | None) -> str:
    """Chunks, length, preset, age, size on disk."""
    facts = []
    if state.num_chunks:
        all_made = state.num_made >= state.num_chunks
        counted = rendering.counted(state.num_chunks, "chunk")
        facts.append(counted if all_made else f"{state.num_made} of {counted}")
    if frames := state.num_frames or (job and job.plan and job.plan.num_frames) or _num_frames(state):
        facts.append(rendering.duration(frames / FRAMES_PER_SECOND))
    if state.request.get("preset"):
        facts.append(str(state.request["preset"]))
    try:
        facts += [
            rendering.ago((path / "project.json").stat().st_mtime),
            rendering.size(_megabytes(path, *_changed(path))),
        ]
    except OSError:  # removed while we look
        pass
    return " · ".join(facts)


# --- read once while nothing changes: the list is refreshed every few seconds -----------------------------------------


def _changed(path: Path) -> tuple[int, ...]:
    """The instants (ns) by which a film's folder is known to be as it was; raises OSError.

    A chunk that is made again ends in a new film.
    """
    names = (".", "chunks", "project.json", "output.mp4", "name.txt", ".owner.json")
    return tuple(file.stat().st_mtime_ns if (file := path / name).exists() else 0 for name in names)


def _read(path: Path) -> JobState:
    try:
        return _read_then(path, *_changed(path)) if not (path / ".owner.json").exists() else job_state(path)
    except OSError:
        return job_state(path)


@lru_cache(maxsize=1000)
def _read_then(path: Path, *changed: int) -> JobState:
    return job_state(path)


@lru_cache(maxsize=1000)
def _megabytes(path: Path, *changed: int) -> float:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6


def _num_frames(state: JobState) -> int:
    """Of a film whose project does not say it."""
    return 0 if state.film is None else _frames_of(str(state.film), state.film.stat().st_mtime)


@lru_cache(maxsize=256)
def _frames_of(film: str, changed: float) -> int:
    from ...media.probe import require_source

    try:
        return round(require_source(film).duration_seconds * FRAMES_PER_SECOND)
    except UserError:
        return 0


def _picture(state: JobState) -> str:
    source = state.film or state.request.get("source")
    file = state.path / str(source) if source else None  # sources are named relative to the job's folder
    address = _thumbnail(str(file), file.stat().st_mtime) if file is not None and file.is_file() else None
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
    picture.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=76)
    return f"data:image/jpeg;base64,{base64.b64encode(stored.getvalue()).decode()}"
