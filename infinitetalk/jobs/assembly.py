"""The film from its finished chunks, all of them or as far as a cancelled run got: segments and the sound."""

from __future__ import annotations

from dataclasses import asdict

from ..config.constants import FRAMES_PER_SECOND
from ..config.former_names import with_former_names
from ..media.mux import mux_film
from ..planning.film import Film
from ..planning.sources import output_rate
from .tail import retimed_segment, tail_segment
from .takes import TakeStore


def assemble(film: Film, store: TakeStore) -> int:
    """Write the job's `output.mp4` from the takes that are there; returns its number of frames.

    Raises:
        OutputError: it cannot be written. MediaError: the source is damaged where its rest is kept.
    """
    folder, request = store.folder, film.request
    soundtrack, chunks = store.soundtrack, store.finished_chunks()
    segments = [store.segment(chunk) for chunk in chunks]
    complete = len(chunks) == len(film.plan.chunks)
    if not complete:
        soundtrack = film.soundtrack(chunks[-1].new_stop_frame / FRAMES_PER_SECOND)
    elif film.plan.tail_seconds:
        segments.append(tail_segment(folder, film, store.writer, segments[-1], film.shot_square(chunks[-1])))
    rate = output_rate(request, film.source)
    retimed = rate != FRAMES_PER_SECOND
    if retimed:
        segments = [retimed_segment(folder, store.writer, segments, rate, soundtrack.duration_seconds)]
    # The settings keep their former names: a film made again from an old job is the same file.
    settings = with_former_names(asdict(film.plan.settings))
    num_frames = mux_film(
        segments,
        soundtrack,
        soundtrack.duration_seconds,
        folder.output,
        metadata={
            "title": "InfiniteTalk Studio",
            "comment": {"seed": request.seed, "preset": request.preset, "settings": settings},
        },
        rate=rate,
    )
    if retimed:
        segments[0].unlink()  # as large as the film itself
    return num_frames
