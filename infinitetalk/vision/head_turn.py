"""A head that turns a little in a picture: an ellipsoid behind the face, rotated about the neck.

For a model that draws a face that looks straight on. What is meant are the turns of somebody who talks, up to about a
dozen degrees; beyond that a picture has nothing to show on the far side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# An ellipsoid has no nose: turned as far as a head it looks turned half as far, to people and to the face mesh.
_GAIN = np.array([-1.8, -2.4, 1.0])  # of yaw, pitch, roll; negative where the mesh counts the other way
_MOST = np.array([14.0, 12.0, 10.0])  # degrees of the ellipsoid; it is held there
_WIDER, _TALLER = 0.62, 0.78  # half axes of the head, hair included, in widths and heights of the face
_DEEP = 0.95  # half axis towards the camera, in half widths
_NECK = 0.75  # below the middle of the head, in half heights
_ENDS = 1.9  # half axes at which nothing moves any more
_EDGE = 0.1  # of the picture's longer side, over which movement ends at its border
_ROUNDS = 3
_GRID = 128  # places along the picture's longer side


@dataclass(frozen=True)
class Head:
    """Where a head is, in pixels: its middle (x, y) and half axes."""

    x: float
    y: float
    half_width: float
    half_height: float

    @classmethod
    def of(cls, points: np.ndarray) -> Head:
        """From a face's points [478, 3] (`head_pose.face_points`)."""
        left, right, top, bottom = points[234, :2], points[454, :2], points[10, :2], points[152, :2]
        width, height = float(np.linalg.norm(right - left)), float(np.linalg.norm(bottom - top))
        middle = (left + right + top + bottom) / 4
        return cls(float(middle[0]), float(middle[1] - 0.12 * height), _WIDER * width, _TALLER * height)


class HeadTurn:
    """Looks up where the pixels of a turned head come from, in pictures of one size."""

    def __init__(self, head: Head, height: int, width: int) -> None:
        self._columns, self._rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self._head = head
        # Movement is smooth: looked up in a coarser grid, whose middles lie as `cv2.resize` takes them to.
        step = max(1.0, max(height, width) / _GRID)
        grid = max(2, round(height / step)), max(2, round(width / step))
        rows, columns = ((np.arange(n) + 0.5) * size / n - 0.5 for n, size in zip(grid, (height, width)))
        self._grid = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
        # What goes on beyond the picture stays where it is.
        rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in (height, width))
        self._held = _smooth(np.minimum(rows[:, None], columns[None]) / (_EDGE * max(height, width)))

    def maps(self, yaw: float, pitch: float, roll: float) -> tuple[np.ndarray, np.ndarray]:
        """For `cv2.remap`: float32 columns and rows [height, width] of a head turned by degrees as of `head_pose`."""
        import cv2

        turn = np.radians(np.clip(_GAIN * (yaw, pitch, roll), -_MOST, _MOST)).astype(np.float32)
        dx = dy = np.float32(0)
        for _ in range(_ROUNDS):  # from where it arrives to where it comes from
            dx, dy = self._shift(self._grid[0] - dx, self._grid[1] - dy, turn)
        height, width = self._held.shape
        dx, dy = (cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR) for each in (dx, dy))
        return self._columns - self._held * dx, self._rows - self._held * dy

    def _shift(self, columns: np.ndarray, rows: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        head = self._head
        x, y = columns - head.x, rows - head.y
        away = (x / head.half_width) ** 2 + (y / head.half_height) ** 2
        depth = _DEEP * head.half_width * np.sqrt(np.clip(1 - away, 0, 1))
        # All of the head moves, its surroundings less and less.
        share = _smooth((_ENDS - np.sqrt(away)) / (_ENDS - 1))
        yaw, pitch, roll = turn
        y = y - _NECK * head.half_height
        dx = depth * np.sin(yaw) + x * (np.cos(yaw) - 1) + x * (np.cos(roll) - 1) - y * np.sin(roll)
        dy = -depth * np.sin(pitch) + y * (np.cos(pitch) - 1) + y * (np.cos(roll) - 1) + x * np.sin(roll)
        return share * dx, share * dy


def _smooth(share: np.ndarray) -> np.ndarray:
    share = np.clip(share, 0, 1).astype(np.float32)
    return share * share * (3 - 2 * share)
