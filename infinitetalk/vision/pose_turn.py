"""A picture moved as its person's skeleton moves: where every pixel comes from, between one pose and another.

Moving least squares over the joints of head and shoulders (Schaefer et al. 2006, similarities): near a joint the
picture goes with it, between joints evenly. What nothing is known of at the lower edge stays where it is.
"""

from __future__ import annotations

import numpy as np

from .pose import LEFT_SHOULDER, NECK, RIGHT_SHOULDER

JOINTS = (0, NECK, RIGHT_SHOULDER, LEFT_SHOULDER, 14, 15, 16, 17)  # nose, neck, shoulders, eyes, ears
_ANCHORS = np.array([(0.12, 1.0), (0.88, 1.0)])  # while no shoulder is seen
_NEAR = 0.03  # of the picture, around a joint in which it does not count for more
_LEAST_JOINTS = 3
_MOST_LARGER = 1.25
_GRID = 32  # places along the picture's longer side; movement is smooth


def pose_maps(
    here: np.ndarray, there: np.ndarray, seen: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """For `cv2.remap`: float32 columns and rows [height, width] of a picture brought from one pose to another.

    Args:
        here: [62, 2], x and y of the picture's own joints, as shares of it. there: where they are to be.
        seen: bool [62], known in both.

    Returns:
        None where too few joints are known.
    """
    import cv2

    known = [joint for joint in JOINTS if seen[joint]]
    if len(known) < _LEAST_JOINTS:
        return None
    places, aims = np.asarray(here, np.float64)[known], np.asarray(there, np.float64)[known]
    if not (seen[RIGHT_SHOULDER] or seen[LEFT_SHOULDER]):
        places, aims = np.concatenate([places, _ANCHORS]), np.concatenate([aims, _ANCHORS])
    step = max(height, width) / _GRID
    grid = max(2, round(height / step)), max(2, round(width / step))
    rows, columns = ((np.arange(n) + 0.5) / n for n in grid)
    unit = np.array([width, height]) / max(height, width)  # so that a turn is a turn
    sources = _similarities(aims * unit, places * unit, columns * unit[0], rows * unit[1])
    moved_x = sources.real / unit[0] - columns
    moved_y = sources.imag / unit[1] - rows[:, None]
    across, down = (
        cv2.resize(each.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        for each in (moved_x * width, moved_y * height)
    )
    return across + np.arange(width, dtype=np.float32), down + np.arange(height, dtype=np.float32)[:, None]


def _similarities(aims: np.ndarray, places: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Complex [rows, columns]: where each place comes from, if what is at `aims` comes from `places` [J, 2]."""
    at = (columns[None] + 1j * rows[:, None])[..., None]
    aims, places = (each[:, 0] + 1j * each[:, 1] for each in (aims, places))
    weights = 1 / (np.abs(at - aims) ** 2 + _NEAR**2)
    weights /= weights.sum(axis=-1, keepdims=True)
    aim, place = ((weights * each).sum(axis=-1) for each in (aims, places))
    around = aims - aim[..., None]
    turned = (weights * (places - place[..., None]) * around.conj()).sum(axis=-1)
    turned = turned / (weights * np.abs(around) ** 2).sum(axis=-1).clip(1e-9)
    size = np.abs(turned)
    turned = turned * np.clip(size, 1 / _MOST_LARGER, _MOST_LARGER) / size.clip(1e-9)
    return place + turned * (at[..., 0] - aim)
