"""When two speakers talk: at once ("together", officially "para") or one after the other ("in-turn", officially "add").

Each stream is normalised on its own, then all are laid on one time line of the same length, silence elsewhere. Where
the official code fails on streams of unequal length, the shorter one is followed by silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .loudness import SampleReader

Arrangement = Literal["together", "in-turn"]


@dataclass(frozen=True)
class Placement:
    """One speaker's stretch of the common time line, in samples of whatever rate the lengths were given in."""

    start: int
    num_samples: int  # of the speaker's own sound; 0 for a speaker who is silent throughout
    total: int  # length of the common time line


def place_speakers(lengths: Sequence[int | None], arrangement: Arrangement = "together") -> list[Placement]:
    """Lay out speakers' sounds of the given lengths.

    None stands for a speaker without sound of their own: silence as long as the longest other one.
    """
    known = [length for length in lengths if length is not None]
    if not known:
        raise ValueError("No speaker has any sound; give at least one voice.")
    spans = [max(known) if length is None else length for length in lengths]
    if arrangement == "together":
        starts, total = [0] * len(spans), max(spans)
    elif arrangement == "in-turn":
        starts, total = [sum(spans[:index]) for index in range(len(spans))], sum(spans)
    else:
        raise ValueError(f"Arrangement {arrangement!r} is unknown; choose 'together' or 'in-turn'.")
    return [Placement(start, length or 0, total) for start, length in zip(starts, lengths, strict=True)]


def placed(read: SampleReader, placement: Placement) -> SampleReader:
    """One speaker's sound on the common time line, read lazily: float32, silence outside the speaker's stretch."""

    def read_placed(start: int, stop: int) -> np.ndarray:
        first = max(start, placement.start)
        last = min(stop, placement.start + placement.num_samples)
        samples = np.zeros(max(0, min(stop, placement.total) - start), dtype=np.float32)
        if last > first:
            samples[first - start : last - start] = read(first - placement.start, last - placement.start)
        return samples

    return read_placed


def arrange_speakers(streams: Sequence[np.ndarray | None], arrangement: Arrangement = "together") -> list[np.ndarray]:
    """Normalised mono streams [S] (None = silent speaker) → float32 streams of one common length."""
    lengths = [None if stream is None else stream.shape[0] for stream in streams]
    arranged = []
    for stream, placement in zip(streams, place_speakers(lengths, arrangement), strict=True):
        samples = np.zeros(0, dtype=np.float32) if stream is None else stream
        arranged.append(placed(lambda start, stop, samples=samples: samples[start:stop], placement)(0, placement.total))
    return arranged
