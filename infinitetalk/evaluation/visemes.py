"""Shapes of the lips beyond "open" and "shut", measured alike on generated and on true pictures.

Lengths are in distances between the outer corners of the eyes, which speech does not move.
"""

from __future__ import annotations

import numpy as np

from .landmarks import (
    LOWER_LIP,
    OUTER_LEFT_CORNER,
    OUTER_LOWER_LIP,
    OUTER_RIGHT_CORNER,
    OUTER_UPPER_LIP,
    UPPER_LIP,
    distance,
    eye_distance,
)
from .lipsync import correlation

# opening: between the inner lips. width: between the corners; large on i and e, small on o, u and w.
# fullness: thickness of both lips by the mouth's width; large on pursed lips (u, w, sh).
# lower_lip: its visible thickness; small when it is tucked under the teeth (f, v) and when lips are pressed (p, b, m).
MEASURES = ("opening", "width", "fullness", "lower_lip")


def lip_shapes(points: np.ndarray) -> np.ndarray:
    """Measures [F,4] of `face_points` [F,478,3], in the order of `MEASURES`; NaN where no face was found."""
    eyes = eye_distance(points)
    width = distance(points, OUTER_LEFT_CORNER, OUTER_RIGHT_CORNER)
    upper = distance(points, OUTER_UPPER_LIP, UPPER_LIP)
    lower = distance(points, LOWER_LIP, OUTER_LOWER_LIP)
    opening = distance(points, UPPER_LIP, LOWER_LIP)
    return np.stack([opening / eyes, width / eyes, (upper + lower) / width, lower / eyes], axis=1)


def shape_correlations(own: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Correlation of each measure [F,4] with its counterpart in the true pictures, frame by frame without a shift."""
    num_frames = min(len(own), len(true))
    return {name: correlation(own[:num_frames, index], true[:num_frames, index]) for index, name in enumerate(MEASURES)}
