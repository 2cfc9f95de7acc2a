"""Where a film cuts from one shot to the next.

A cut is a frame that differs from the one before much more than the frames around it differ from theirs: the measure
(mean change of hue, saturation and brightness) and the comparison with the neighbourhood are those of PySceneDetect's
adaptive detector. That library is not used because it installs `opencv-python` over the build of OpenCV that mediapipe
needs. Fades and dissolves are not cuts (`film_scan.py` finds them); nor is a flash, after which the shot goes on.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

import cv2
import numpy as np

from .video import VideoSource

SIDE_PIXELS = 96  # frames are compared small: a cut changes everything
_LEAST_CHANGE = 15.0  # of 255; below it even a sudden change is no cut
_TIMES_AROUND = 3.0  # a cut changes at least this many times as much as the frames around it
_AROUND = 2  # frames on each side
SHORTEST_SHOT_SECONDS = 0.6  # a flash is no shot
_FLASH_SECONDS = 0.5  # within it the shot of before comes back
_SAME_CHANGE = 10.0  # of 255; so little, and it is the same shot again


class CutDetector:
    """Takes a film's frames in order, small ones, and gathers the instants of its cuts."""

    def __init__(self) -> None:
        self.cuts: list[float] = []
        self._around: deque[tuple[float, float]] = deque(maxlen=2 * _AROUND + 1)  # (instant, change), the judged amid
        self._frames: deque[np.ndarray] = deque(maxlen=2 * _AROUND + 2)
        self._last = -SHORTEST_SHOT_SECONDS  # of the cuts, flashes included
        self._before: np.ndarray | None = None  # what the latest cut came after

    def add(self, seconds: float, frame: np.ndarray) -> None:
        """frame: uint8 [height, width, 3], RGB, about `SIDE_PIXELS` long."""
        colors = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(np.float32)
        if self._frames:
            self._judge(seconds, change(self._frames[-1], colors))
        self._frames.append(colors)
        if self._before is not None:
            if seconds - self.cuts[-1] > _FLASH_SECONDS:
                self._before = None
            elif change(self._before, colors) < _SAME_CHANGE:
                self.cuts.pop()
                self._before = None

    def finish(self, stop_seconds: float) -> tuple[float, ...]:
        """All cuts; the last frames have nothing after them."""
        for _ in range(_AROUND):
            self._judge(stop_seconds, 0.0)
            if self._frames:
                self._frames.append(self._frames[-1])
        return tuple(self.cuts)

    def _judge(self, seconds: float, score: float) -> None:
        """Take a frame's change and decide about the frame that now has `_AROUND` others after it."""
        self._around.append((seconds, score))
        if len(self._around) <= _AROUND:
            return
        middle = len(self._around) - 1 - _AROUND
        seconds, score = self._around[middle]
        others = [value for index, (_, value) in enumerate(self._around) if index != middle]
        usual = float(np.mean(others)) if others else 0.0
        far_enough = seconds - max(0.0, self._last) >= SHORTEST_SHOT_SECONDS
        if score >= _LEAST_CHANGE and score >= _TIMES_AROUND * usual and far_enough:
            self.cuts.append(round(seconds, 3))
            self._last = seconds
            # Without the newest frame, which is not in yet, the last `_AROUND` are the cut's and what follows it.
            self._before = self._frames[-1 - _AROUND] if len(self._frames) > _AROUND else None


def find_cuts(
    path: str | os.PathLike,
    *,
    until_seconds: float | None = None,
    report: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[float, ...]:
    """The instants, in seconds of the film, at which new shots begin; none at 0.

    Args:
        until_seconds: look no further.
        report: called with the share that is done, 0 to 1, about once a second of film.
        should_stop: called as often; what was found so far is returned.

    Raises:
        MediaError: if the film is damaged.
    """
    detector = CutDetector()
    with VideoSource(path, max_side=SIDE_PIXELS) as source:
        stop = min(source.duration_seconds, until_seconds or source.duration_seconds)
        reported = 0.0
        for seconds, frame in source.own_frames():
            if seconds >= stop:
                break
            detector.add(seconds, frame)
            if seconds - reported >= 1.0:
                reported = seconds
                if report is not None:
                    report(min(1.0, seconds / stop))
                if should_stop is not None and should_stop():
                    return tuple(detector.cuts)
        return detector.finish(stop)


def change(before: np.ndarray, after: np.ndarray) -> float:
    """Mean difference of two pictures in hue (on its circle), saturation and brightness, 0 to 255.

    before, after: float32 [height, width, 3] as OpenCV's HSV, hue 0 to 180.
    """
    hue = np.abs(before[..., 0] - after[..., 0])
    hue = np.minimum(hue, 180 - hue) * (255 / 90)
    # The hue of a grey pixel is noise.
    hue *= np.minimum(before[..., 1], after[..., 1]) / 255
    others = np.abs(before[..., 1:] - after[..., 1:])
    return float((hue.mean() + others[..., 0].mean() + others[..., 1].mean()) / 3)
