"""Sizes of the films that `pose` and `camera` draw for looking at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MAX_SIDE = 768  # pixels
MAX_SECONDS = 4 * 3600


def film_size(height: int, width: int) -> tuple[int, int]:
    """Even sides, for 4:2:0 video."""
    return max(2, height - height % 2), max(2, width - width % 2)


def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """[H, W, 3] uint8 at another size."""
    import cv2

    return picture if picture.shape[:2] == (height, width) else cv2.resize(picture, (width, height))
