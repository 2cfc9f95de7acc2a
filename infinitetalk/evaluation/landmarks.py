"""Which of the face's points (`vision.head_pose.face_points`) are what."""

from __future__ import annotations

import numpy as np

# The inner lips' middle and corners, the outer lips' middle and corners.
UPPER_LIP, LOWER_LIP, LEFT_CORNER, RIGHT_CORNER = 13, 14, 78, 308
OUTER_UPPER_LIP, OUTER_LOWER_LIP, OUTER_LEFT_CORNER, OUTER_RIGHT_CORNER = 0, 17, 61, 291
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409)
# Outer and inner corner, upper and lower lid of each eye.
EYES = ((33, 133, 159, 145), (263, 362, 386, 374))
LEFT_EYE, RIGHT_EYE = 33, 263  # the outer corners, whose distance is the face's own yardstick
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip


def distance(points: np.ndarray, one: int, other: int) -> np.ndarray:
    """Pixels in the picture's plane between two points of each frame: [F]."""
    return np.linalg.norm(points[:, one, :2] - points[:, other, :2], axis=1)


def eye_distance(points: np.ndarray) -> np.ndarray:
    """[F] pixels between the outer corners of the eyes."""
    return distance(points, LEFT_EYE, RIGHT_EYE)
