"""How far and how the head moves, by the points of the face that speech leaves alone."""

from __future__ import annotations

import numpy as np

from ..vision.head_pose import STILL_POINTS
from .landmarks import eye_distance


def turn_spread(pose: np.ndarray) -> float:
    """How much the head turns over a clip: root of the summed variances of yaw, pitch and roll, in degrees."""
    return float(np.sqrt(np.nansum(np.nanvar(pose, axis=0)))) if np.isfinite(pose).any() else 0.0


def shift_spread(points: np.ndarray) -> float:
    """How much the face moves in the picture: spread of its middle, in hundredths of the distance between the eyes."""
    middle = points[:, STILL_POINTS, :2].mean(axis=1)
    if not np.isfinite(middle).any():
        return 0.0
    return float(100 * np.sqrt(np.nanvar(middle, axis=0).sum()) / np.nanmedian(eye_distance(points)))
