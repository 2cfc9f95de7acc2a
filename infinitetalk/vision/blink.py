"""Eyes that close for a moment: each upper lid is drawn down over its eye, in pictures of one size.

When people blink while they talk: about every four seconds, for a fifth of a second.
"""

from __future__ import annotations

import numpy as np

from ..config.constants import FRAMES_PER_SECOND

# Points of the face mesh along each lid, from the outer to the inner corner.
_UPPER = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (263, 466, 388, 387, 386, 385, 384, 398, 362))
_LOWER = ((33, 7, 163, 144, 145, 153, 154, 155, 133), (263, 249, 390, 373, 374, 380, 381, 382, 362))
_SKIN = 0.9  # of an eye's height: so much of what is above the lid is stretched over it
_BELOW = 0.12  # of an eye's height, by which a shut lid reaches over the lower one: the mesh lies inside the lashes
_SLOT_SECONDS, _EDGE_SECONDS, _SELDOM = 4.0, 0.5, 0.1
_CLOSURE = np.array([0.55, 1.0, 0.9, 0.5, 0.18])  # frame by frame
_LEAST_OPEN = 0.12  # height over width of an eye that is open enough to be closed


def closures(start_frame: int, num_frames: int, seed: int) -> np.ndarray:
    """How far the eyes are closed, 0 to 1, in each frame [num_frames]; the same however a film is cut into chunks."""
    slot_frames = round(_SLOT_SECONDS * FRAMES_PER_SECOND)
    closed = np.zeros(num_frames)
    slots = max(0, (start_frame - len(_CLOSURE)) // slot_frames), (start_frame + num_frames) // slot_frames + 1
    for slot in range(*slots):
        random = np.random.default_rng((seed, slot))
        offset = random.uniform(_EDGE_SECONDS, _SLOT_SECONDS - _EDGE_SECONDS)
        if random.uniform() < _SELDOM:
            continue
        first = slot * slot_frames + round(offset * FRAMES_PER_SECOND) - start_frame
        for step, value in enumerate(_CLOSURE):
            if 0 <= first + step < num_frames:
                closed[first + step] = value
    return closed


class Eyelids:
    """Of one face: where pixels come from while its eyes are closed so far.

    points: [478, 3] of the face (`head_pose.face_points`), eyes open.
    """

    def __init__(self, points: np.ndarray, height: int, width: int) -> None:
        self._shape = height, width
        self._eyes = [
            eye for upper, lower in zip(_UPPER, _LOWER)
            if (eye := _eye(points[list(upper), :2], points[list(lower), :2], height, width)) is not None
        ]  # fmt: skip

    def shift(self, closure: float) -> np.ndarray:
        """float32 [height, width]: rows to be added to where each pixel comes from."""
        shift = np.zeros(self._shape, np.float32)
        for top, bottom, left, right, upper, lower in self._eyes:
            rows = np.arange(top, bottom, dtype=np.float32)[:, None]
            tall = lower - upper
            skin = _SKIN * tall.max()
            edge = upper + closure * (tall + _BELOW * tall.max())
            share = (rows - (upper - skin)) / np.maximum(edge - upper + skin, 1e-3)
            inside = (share > 0) & (share < 1)
            part = np.where(inside, upper - skin + share * skin - rows, 0)
            shift[top:bottom, left:right] += part.astype(np.float32)
        return shift


def _eye(upper: np.ndarray, lower: np.ndarray, height: int, width: int) -> tuple | None:
    """(top, bottom, left, right, upper lid's row [w], lower lid's row [w]); None for an eye too narrow to close."""
    if not (np.isfinite(upper).all() and np.isfinite(lower).all()):
        return None
    upper, lower = upper[np.argsort(upper[:, 0])], lower[np.argsort(lower[:, 0])]
    left, right = int(np.ceil(upper[0, 0])), int(np.floor(upper[-1, 0])) + 1
    if not 0 <= left < right - 2 <= width - 2:
        return None
    columns = np.arange(left, right, dtype=np.float32)
    above, below = (np.interp(columns, lid[:, 0], lid[:, 1]).astype(np.float32) for lid in (upper, lower))
    below = np.maximum(below, above)
    tall = float((below - above).max())
    if tall < _LEAST_OPEN * (right - left):
        return None
    top, bottom = int(above.min() - _SKIN * tall) - 1, int(below.max() + _BELOW * tall) + 2
    return (max(0, top), min(height, bottom), left, right, above, below) if top >= 0 and bottom <= height else None
