"""Where a film cuts from one shot to the next.

A cut is a frame that differs from the one before much more than the frames around it differ from theirs: the measure
(mean change of hue, saturation and brightness) and the comparison with the neighbourhood are those of PySceneDetect's
adaptive detector. That library is not used because it installs `opencv-python` over the build of OpenCV that mediapipe
needs. Fades and dissolves are not found.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ..paths import cache_dir
from .video import VideoSource

_SIDE_PIXELS = 96  # frames are compared small: a cut changes everything
_LEAST_CHANGE = 15.0  # of 255; below it even a sudden change is no cut
_TIMES_AROUND = 3.0  # a cut changes at least this many times as much as the frames around it
_AROUND = 2  # frames on each side
SHORTEST_SHOT_SECONDS = 0.6  # a flash is no shot


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
    cuts: list[float] = []
    around: deque[tuple[float, float]] = deque(maxlen=2 * _AROUND + 1)  # (instant, change) with the judged one amid
    before: np.ndarray | None = None
    with VideoSource(path, max_side=_SIDE_PIXELS) as source:
        stop = min(source.duration_seconds, until_seconds or source.duration_seconds)
        reported = 0.0
        for seconds, frame in source.own_frames():
            if seconds >= stop:
                break
            colors = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(np.float32)
            if before is not None:
                _judge(around, (seconds, change(before, colors)), cuts)
            before = colors
            if seconds - reported >= 1.0:
                reported = seconds
                if report is not None:
                    report(min(1.0, seconds / stop))
                if should_stop is not None and should_stop():
                    return tuple(cuts)
        for _ in range(_AROUND):  # the last frames have nothing after them
            _judge(around, (stop, 0.0), cuts)
    return tuple(cuts)


def remembered_cuts(path: str | os.PathLike, until_seconds: float) -> tuple[float, ...]:
    """As `find_cuts`, looked for once for each file: the answer is kept in the user's cache folder.

    A file counts as the same while its path, size and time of change are; a cache that cannot be
    written is done without.
    """
    stat = os.stat(path)
    named = f"{Path(path).absolute()}/{stat.st_size}/{stat.st_mtime_ns}"
    kept = cache_dir() / "cuts" / f"{hashlib.sha256(named.encode()).hexdigest()[:32]}.json"
    try:
        known = json.loads(kept.read_text(encoding="utf-8"))
        if known["until"] >= until_seconds:
            return tuple(float(cut) for cut in known["cuts"] if cut < until_seconds)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    cuts = find_cuts(path, until_seconds=until_seconds)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_name(f"{kept.name}.{os.getpid()}")
        temporary.write_text(json.dumps({"until": until_seconds, "cuts": cuts}), encoding="utf-8")
        os.replace(temporary, kept)
    except OSError:
        pass
    return cuts


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


def _judge(around: deque[tuple[float, float]], newest: tuple[float, float], cuts: list[float]) -> None:
    """Add `newest` and decide about the one that now has `_AROUND` frames after it."""
    around.append(newest)
    if len(around) <= _AROUND:
        return
    middle = len(around) - 1 - _AROUND
    seconds, score = around[middle]
    others = [value for index, (_, value) in enumerate(around) if index != middle]
    usual = float(np.mean(others)) if others else 0.0
    far_enough = not cuts or seconds - cuts[-1] >= SHORTEST_SHOT_SECONDS
    if score >= _LEAST_CHANGE and score >= _TIMES_AROUND * usual and far_enough and seconds >= SHORTEST_SHOT_SECONDS:
        cuts.append(round(seconds, 3))
