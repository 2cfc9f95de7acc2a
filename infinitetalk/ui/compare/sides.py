"""What a visitor can compare: the film in the player, its source, its takes, other films of theirs, an uploaded one."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...comparison.sides import Side, job_takes, open_side
from ...config.constants import FRAMES_PER_SECOND
from ...errors import InputError, UserError
from ...jobs.queue import job_state
from .. import rendering
from ..jobs import Job
from ..served import new_served, served
from ..studio import Studio

FILM, SOURCE, UPLOAD = "film", "source", "upload"


def choices(studio: Studio, mine: Any, job: Job | None, uploaded: str | None) -> list[tuple[str, str]]:
    """(words, key) of everything that can be a side."""
    found: list[tuple[str, str]] = []
    if job is not None and job.ended and (job.directory / "output.mp4").is_file():
        found.append(("This film", FILM))
        if _source_of(job) is not None:
            found.append(("Its source video", SOURCE))
        found += [(side.label, f"take {chunk} {take}") for chunk, take, side in _takes(job)]
    here = None if job is None else job.directory
    for path in studio.folders(mine):
        if path != here and (path / "output.mp4").is_file():
            state = job_state(path)
            age = rendering.ago((path / "output.mp4").stat().st_mtime)
            found.append((f"Film {state.name}, {age}", f"job {path.name}"))
    if uploaded:
        found.append(("The uploaded film", UPLOAD))
    return found


def side(studio: Studio, mine: Any, job: Job | None, uploaded: str | None, key: Any) -> Side:
    """The side of a key that `choices` gave.

    Raises:
        UserError: it is not, or no longer, there.
    """
    kind, _, rest = str(key or "").partition(" ")
    if kind == UPLOAD and uploaded:
        return open_side(uploaded, "Uploaded film")
    if kind == "job":
        path = studio.folder(rest)
        if path is not None and path in studio.folders(mine):
            return open_side(path, job_state(path).name)
    if job is not None and kind == FILM:
        return open_side(job.directory, "This film")
    if job is not None and kind == SOURCE and (source := _source_of(job)) is not None:
        return open_side(source, "Source")
    if job is not None and kind == "take":
        for chunk, take, found in _takes(job):
            if rest == f"{chunk} {take}":
                return found
    raise InputError("Choose two films to compare; what was chosen is no longer there.")


def address(side: Side) -> str:
    """Where the browser finds the film, relative to the page."""
    return f"gradio_api/file={_shown(str(side.film), side.film.stat().st_mtime)}"


def _takes(job: Job) -> list[tuple[int, int, Side]]:
    if job.plan is None:
        return []
    return job_takes(job.directory, [chunk.new_start_frame / FRAMES_PER_SECOND for chunk in job.plan.chunks])


def _source_of(job: Job) -> str | None:
    """The source, where it is a film."""
    from ...jobs.folder import JobFolder
    from ...media.probe import require_source

    try:
        source = JobFolder.open(job.directory).request.source
        return source if require_source(source).kind == "video" else None
    except UserError:
        return None


@lru_cache(maxsize=64)
def _shown(film: str, changed: float) -> str:
    """The film where gradio may hand it out, as browsers play it: the lossless sound of takes is played by few."""
    path = Path(film)
    if path.name != "segment.mp4":
        return served(path, path.name)
    from ...media.ffmpeg_tools import ensure_ffmpeg_on_path

    playable = new_served("take.mp4")
    command = [ensure_ffmpeg_on_path()["ffmpeg"], "-v", "error", "-y", "-i", film, "-c:v", "copy", "-c:a", "aac",
               "-movflags", "+faststart", str(playable)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise InputError(f"The take {path.parent.name} cannot be read; make it again.")
    return str(playable)
