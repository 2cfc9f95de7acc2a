"""The end of a film's making: what is left of a longer source, appended as it is, and another frame rate."""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..config.constants import FRAMES_PER_SECOND
from ..media.faces import Square, cut
from ..media.framing import resize_and_crop
from ..media.morph import morph
from ..media.mux import frames_of
from ..media.probe import open_container
from ..media.retime import retimed
from ..media.writer import SegmentWriter
from ..planning.film import Film
from .folder import JobFolder, file_digest

_JOIN_FRAMES = 12  # half a second, in which the last generated picture turns into the source


def tail_segment(job: JobFolder, film: Film, writer: SegmentWriter, last_segment: Path, square: Square | None) -> Path:
    """A file of the source's pictures from the end of the speech on, cut and sized as the film is.

    It is written once for each end of the generated part. square: where the source is cut in its last shot.

    Raises:
        OutputError: it cannot be written. MediaError: the source is damaged there.
    """
    known = hashlib.sha256(f"{file_digest(last_segment)} {film.plan.tail_seconds} {square}".encode()).hexdigest()
    path = job.path / "tail" / f"{known[:12]}.mp4"
    if path.exists():
        return path
    path.parent.mkdir(exist_ok=True)
    for old in path.parent.glob("*.mp4"):
        old.unlink()
    replace(writer, sound_rate=None).write(path, _pictures(film, _last_picture(last_segment), square))
    return path


def retimed_segment(
    job: JobFolder, writer: SegmentWriter, segments: Sequence[Path], rate: Fraction, duration_seconds: float
) -> Path:
    """One file of all segments' pictures at `rate`. Raises OutputError if it cannot be written."""
    path = job.path / "retimed.mp4"
    pictures = retimed(segments, rate, frames_of(duration_seconds, rate))
    replace(writer, sound_rate=None, rate=rate).write(path, pictures)
    return path


def _pictures(film: Film, last: np.ndarray, square: Square | None) -> Iterator[np.ndarray]:
    size = film.plan.height, film.plan.width
    count = frames_of(film.plan.duration_seconds + film.plan.tail_seconds) - film.plan.num_frames
    frames = film.source.frames(film.plan.num_frames / FRAMES_PER_SECOND, count)
    fitted = (resize_and_crop(picture if square is None else cut(picture, square), size) for picture in frames)
    first = list(itertools.islice(fitted, _JOIN_FRAMES))
    yield from morph(np.stack([last[: size[0], : size[1]]] * len(first)), np.stack(first))
    yield from fitted


def _last_picture(segment: Path) -> np.ndarray:
    with open_container(segment) as container:
        (last,) = deque(container.decode(video=0), maxlen=1)
    return last.to_ndarray(format="rgb24")
