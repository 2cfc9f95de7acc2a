"""How far and how the head moves, by the points of the face that speech leaves alone."""

from __future__ import annotations

import numpy as np

from .landmarks import STILL_POINTS, eye_distance


def head_pose(points: np.ndarray) -> np.ndarray:
    """Turn of the head [F,3] against the clip's mean face: yaw, pitch, roll in degrees; NaN where no face was found.

    The rotation is the one that best lays the mean face's still points (column, row, depth) onto the frame's (Kabsch
    1976). The mesh guesses depth from one picture, so small turns carry about half a degree of noise.
    """
    pose = np.full((len(points), 3), np.nan)
    seen = np.isfinite(points[:, 0, 0])
    if not seen.any():
        return pose
    shapes = points[seen][:, STILL_POINTS].astype(np.float64)
    shapes = shapes - shapes.mean(axis=1, keepdims=True)
    shapes /= np.linalg.norm(shapes, axis=(1, 2), keepdims=True)
    mean = shapes.mean(axis=0)
    left, _, right = np.linalg.svd(np.einsum("pi,fpj->fij", mean, shapes))
    flip = np.ones((len(shapes), 3))
    flip[:, 2] = np.sign(np.linalg.det(left @ right))
    turn = np.einsum("fij,fj,fjk->fki", left, flip, right)  # frame = turn @ mean
    yaw = np.arcsin(np.clip(turn[:, 0, 2], -1, 1))
    pitch = np.arctan2(-turn[:, 1, 2], turn[:, 2, 2])
    roll = np.arctan2(-turn[:, 0, 1], turn[:, 0, 0])
    pose[seen] = np.degrees(np.stack([yaw, pitch, roll], axis=1))
    return pose


def turn_spread(pose: np.ndarray) -> float:
    """How much the head turns over a clip: root of the summed variances of yaw, pitch and roll, in degrees."""
    return float(np.sqrt(np.nansum(np.nanvar(pose, axis=0)))) if np.isfinite(pose).any() else 0.0


def shift_spread(points: np.ndarray) -> float:
    """How much the face moves in the picture: spread of its middle, in hundredths of the distance between the eyes."""
    middle = points[:, STILL_POINTS, :2].mean(axis=1)
    if not np.isfinite(middle).any():
        return 0.0
    return float(100 * np.sqrt(np.nanvar(middle, axis=0).sum()) / np.nanmedian(eye_distance(points)))
