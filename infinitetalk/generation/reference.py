"""The picture that guides a chunk, as it is and as the networks take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..media.faces import Square

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ReferencePicture:
    """One reference. The same object guides all chunks that have the same reference.

    key: the same while the picture is. whole: uint8 [H, W, 3], uncut. square: the part of `whole` that is used, None
    for its middle. picture: that part at full size. pixels: [1, 3, H, W] in [-1, 1], as large as finished pictures.
    source_square: where the source is cut in this shot. source_seconds: the instant at which the source's camera saw
    the reference; None for a picture of the user's own and for a source that is a picture.
    """

    key: str | float
    whole: np.ndarray
    square: Square | None
    picture: np.ndarray
    pixels: Tensor
    source_square: Square | None = None
    source_seconds: float | None = None


class ShotColors:
    """Says when a reference shows another scene than the first of its shot; colours are matched per shot."""

    _FARTHEST = 0.5  # of coarse colour histograms; 0 the same, 1 nothing in common

    def __init__(self) -> None:
        self._colors: np.ndarray | None = None

    def change(self, reference: ReferencePicture) -> bool:
        """Whether `reference` begins a scene of its own; it is then what later ones are compared with."""
        colors = _color_histogram(reference.picture)
        new = self._colors is None or float(np.abs(colors - self._colors).sum()) / 2 > self._FARTHEST
        if new:
            self._colors = colors
        return new


def _color_histogram(picture: np.ndarray) -> np.ndarray:
    """Shares of 512 colours among a sample of the pixels; float64 [512]."""
    step = max(1, min(picture.shape[:2]) // 64)
    bins = (picture[::step, ::step] >> 5).astype(np.int64).reshape(-1, 3)
    counts = np.bincount(bins @ np.array([64, 8, 1]), minlength=512)
    return counts / counts.sum()
