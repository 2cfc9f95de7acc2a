"""Which instants of a source references come from: not from a black frame, a flash, a dissolve or an empty chair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ..config.constants import FRAMES_PER_SECOND
from ..media.film_scan import FilmScan, Span, suitable_instant
from .chunks import Chunk, Reference

_STEP = 1 / FRAMES_PER_SECOND


def shot_of(scan: FilmScan, seconds: float, source_seconds: float) -> Span:
    """The span of the shot that an instant of the source lies in."""
    starts = [0.0, *scan.cuts]
    start = max(edge for edge in starts if edge <= seconds + 1e-6)
    return start, min((edge for edge in scan.cuts if edge > seconds + 1e-6), default=source_seconds)


def good_instant(scan: FilmScan, seconds: float, source_seconds: float) -> float:
    """The instant itself, or the nearest usable one of its shot."""
    if math.isinf(source_seconds):
        return seconds
    return suitable_instant(scan, seconds, shot_of(scan, seconds, source_seconds), _STEP)[0]


def with_good_references(
    chunks: Sequence[Chunk], scan: FilmScan, source_seconds: float
) -> tuple[tuple[Chunk, ...], list[str]]:
    """The chunks with references that can guide them, and a note for each that was moved.

    What the user has chosen, a keyframe, stays.
    """
    if math.isinf(source_seconds):
        return tuple(chunks), []
    changed, notes = [], []
    for chunk in chunks:
        if chunk.reference.keyframe_index is None:
            wanted = chunk.reference.source_seconds
            instant, why = suitable_instant(scan, wanted, shot_of(scan, wanted, source_seconds), _STEP)
            if why:
                notes.append(
                    f"The source is {why} at {clock(wanted)}; the chunk from {clock(chunk.start_seconds)} on takes its "
                    f"picture from {clock(instant)} instead."
                )
                chunk = replace(chunk, reference=Reference(instant))
        if chunk.second is not None:
            second = good_instant(scan, chunk.second.source_seconds, source_seconds)
            chunk = replace(chunk, second=replace(chunk.second, source_seconds=second))
        changed.append(chunk)
    return tuple(changed), notes


def faceless_note(scan: FilmScan) -> list[str]:
    """A sentence on the stretches in which nobody's face is found."""
    if not scan.faceless:
        return []
    spans = [f"from {clock(start, whole=True)} to {clock(stop, whole=True)}" for start, stop in scan.faceless]
    listed = ", ".join(spans[:4]) + (f" and {len(spans) - 4} times more" if len(spans) > 4 else "")
    return [f"The source shows no face {listed}; no mouth moves there."]


def clock(seconds: float, *, whole: bool = False) -> str:
    """1:05.24, or 1:05 in whole seconds (the nearest)."""
    hundredths = round(seconds) * 100 if whole else round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes}:{rest // 100:02d}" if whole else f"{minutes}:{rest // 100:02d}.{rest % 100:02d}"
