"""From one take of a stretch into another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from .probe import open_container
from .writer import Picture, to_film_colors

FADED_FRAMES = 12  # half a second, in which both takes say the same


def faded_into(frames: np.ndarray, segment: str | os.PathLike) -> Iterator[Picture]:
    """Frames, uint8 [F,H,W,3], whose end fades into that of another take of the same stretch, for a `SegmentWriter`.

    Both takes follow the same speech, so their mouths agree while they cross; the last frame is the other take's, which
    what comes next was made to follow. They are mixed in the colours the file holds: a way through RGB and back would
    darken the end by a step of 255.
    """
    count = min(FADED_FRAMES, len(frames))
    yield from frames[:-count]
    with open_container(Path(segment)) as container:
        others = list(container.decode(video=0))[-count:]
    for index, (own, other) in enumerate(zip(frames[-count:], others, strict=True)):
        share = (index + 1) / count
        share = share * share * (3 - 2 * share)
        planes = (to_film_colors(own).to_ndarray().astype(np.float32), other.to_ndarray().astype(np.float32))
        mixed = np.rint(planes[0] * (1 - share) + planes[1] * share).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(mixed, "yuv420p")
        frame.colorspace, frame.color_range = other.colorspace, other.color_range
        yield frame
