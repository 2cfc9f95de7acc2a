"""Everything that is read from pictures of a talking face, generated or true alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..vision.head_pose import face_points, head_pose
from .blinks import eye_opening
from .head_motion import shift_spread, turn_spread
from .lipsync import mouth_openness
from .sync_net import lip_boxes, mouth_crops
from .visemes import lip_shapes

_MOTION_WINDOW, _MOTION_STEP = 25, 8  # frames


@dataclass(frozen=True)
class FaceMeasures:
    """Curves over F frames: openness [F], lips [F,4] (`visemes.MEASURES`), eyes [F], pose [F,3] degrees.

    points: [F,478,3] pixels. crops: brightness of the mouth [F,48,48], None if no face was found in any frame.
    """

    points: np.ndarray
    openness: np.ndarray
    lips: np.ndarray
    eyes: np.ndarray
    pose: np.ndarray
    crops: np.ndarray | None

    @property
    def turn(self) -> float:
        """Spread of the head's turning, degrees."""
        return turn_spread(self.pose)

    @property
    def shift(self) -> float:
        """Spread of the face's place, hundredths of the distance between the eyes."""
        return shift_spread(self.points)

    def motion_windows(self) -> np.ndarray:
        """[N,16]: mean-free spread and speed of lips, eyes and turning in windows of a second, every 8 frames."""
        curves = np.concatenate([self.lips, self.eyes[:, None], self.pose], axis=1)
        curves = curves[np.isfinite(curves).all(axis=1)]
        starts = range(0, len(curves) - _MOTION_WINDOW + 1, _MOTION_STEP)
        rows = [
            np.concatenate([part.std(axis=0), np.abs(np.diff(part, axis=0)).mean(axis=0)])
            for part in (curves[start : start + _MOTION_WINDOW] for start in starts)
        ]
        return np.array(rows).reshape(-1, 16)


def read_pictures(frames: np.ndarray, points: np.ndarray | None = None) -> FaceMeasures:
    """Read frames [F,H,W,3]; `points` are their `face_points` where already known."""
    points = face_points(frames) if points is None else points
    boxes = lip_boxes(points)
    return FaceMeasures(
        points=points,
        openness=mouth_openness(points),
        lips=lip_shapes(points),
        eyes=eye_opening(points),
        pose=head_pose(points),
        crops=mouth_crops(frames, boxes) if np.isfinite(boxes).any() else None,
    )
