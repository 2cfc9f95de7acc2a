"""A finished film of 25 frames per second at another rate: at each instant the picture that was on screen then."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av

from ..config.constants import FRAMES_PER_SECOND
from .probe import open_container

SLOWEST, FASTEST = 5, 120  # frames per second that are written


def rate_of(fps: float | None) -> Fraction:
    """A source's mean rate as the fraction that was meant, such as 30000/1001; 25 for a picture or an odd rate."""
    if fps is None or not SLOWEST <= fps <= FASTEST:
        return Fraction(FRAMES_PER_SECOND)
    whole = round(fps)
    if abs(fps - whole) < 0.005:
        return Fraction(whole)
    if abs(fps - whole * 1000 / 1001) < 0.005:
        return Fraction(whole * 1000, 1001)
    return Fraction(fps).limit_denominator(100)


def retimed(segments: Sequence[str | os.PathLike], rate: Fraction, num_frames: int) -> Iterator[av.VideoFrame]:
    """`num_frames` pictures at `rate`, from the segments' at 25 per second; the last one stays if they end early.

    Pictures are repeated or left out, never mixed. One is held in memory.
    """
    pictures = _pictures(segments)
    picture, position = next(pictures), 0
    for index in range(num_frames):
        wanted = int(index * FRAMES_PER_SECOND / rate)
        while position < wanted:
            following = next(pictures, None)
            if following is None:
                break
            picture, position = following, position + 1
        yield picture


def _pictures(segments: Sequence[str | os.PathLike]) -> Iterator[av.VideoFrame]:
    for segment in segments:
        with open_container(Path(segment)) as container:
            yield from container.decode(video=0)
