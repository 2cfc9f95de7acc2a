"""Is the seam between two chunks visible? The step across it against the steps inside chunks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..planning.chunks import plan_chunks


@dataclass(frozen=True)
class Seams:
    """steps: mean absolute difference (of 255) across each border. usual: the median step inside chunks."""

    steps: tuple[float, ...]
    usual: float

    @property
    def ratios(self) -> np.ndarray:
        """Each border's step in usual steps: [borders]."""
        return np.array(self.steps) / max(self.usual, 1e-9)

    @property
    def visibility(self) -> float:
        """The median border's step over the median step inside; 1 = as smooth as anywhere; NaN without a border."""
        return float(np.median(self.ratios)) if self.steps else float("nan")


def border_frames(num_frames: int) -> list[int]:
    """The first new frame of every chunk but the first."""
    return [chunk.new_start_frame for chunk in plan_chunks(num_frames)[1:]]


def frame_steps(frames: np.ndarray) -> np.ndarray:
    """Mean absolute difference of uint8 [F,H,W,3] from each frame to the next: [F-1], entry t-1 for frame t."""
    steps = np.empty(len(frames) - 1)
    for index in range(1, len(frames)):
        steps[index - 1] = np.abs(frames[index].astype(np.int16) - frames[index - 1]).mean()
    return steps


def measure_seams(frames: np.ndarray, borders: list[int] | None = None) -> Seams:
    """Seams of a film [F,H,W,3]; `borders` are its `border_frames` unless given."""
    borders = border_frames(len(frames)) if borders is None else borders
    steps = frame_steps(frames)
    inside = np.ones(len(steps), bool)
    inside[[frame - 1 for frame in borders]] = False
    return Seams(tuple(float(steps[frame - 1]) for frame in borders), float(np.median(steps[inside])))
