"""How a head moves over a film: as somebody in another film moves it, or as people do while they talk."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..config.constants import FRAMES_PER_SECOND
from ..errors import InputError
from .head_pose import face_points, head_pose

# Degrees of yaw, pitch and roll: slow shifts of attention, and how far a stressed syllable nods.
_DRIFT = np.array([6.0, 2.8, 2.6])
_DRIFT_HERTZ = np.array([(0.13, 0.29, 0.53), (0.16, 0.34, 0.61), (0.11, 0.24, 0.47)])
_DRIFT_SHARE = np.array([0.45, 0.33, 0.22])
_NOD, _SWAY = -8.0, 2.5
_NOD_SECONDS = 0.28  # over which loudness is taken together
_LOUD = 0.08  # root mean square of speech at -23 LUFS that nods fully
_BEGINS_SECONDS = 0.8  # the first picture is the reference itself
_SMOOTHING_SECONDS = 0.36
_READ_AT_ONCE = 50  # frames
_LEAST_SEEN = 0.3


@dataclass(frozen=True)
class HeadMotion:
    """values: float32 [frames, 3], yaw, pitch and roll in degrees against the film's usual pose, 25 a second."""

    values: np.ndarray

    def at(self, start_frame: int, num_frames: int) -> np.ndarray:
        """[num_frames, 3]; after its end it runs backwards and forwards. For another person, let it begin (`begun`)."""
        last = max(1, len(self.values) - 1)
        frames = (start_frame + np.arange(num_frames)) % (2 * last)
        return self.values[np.minimum(frames, 2 * last - frames)]


def lively(loudness: Callable[[int, int], np.ndarray], start_frame: int, num_frames: int, seed: int) -> np.ndarray:
    """Of somebody who talks, [num_frames, 3]: slow drifts, and nods with what is stressed. The same for the same seed.

    loudness: root mean square of the speech in frames start to stop, [stop - start].
    """
    around = round(_NOD_SECONDS * FRAMES_PER_SECOND)
    levels = loudness(start_frame - around, start_frame + num_frames + around)
    kernel = np.hanning(2 * around + 3)[1:-1]
    stress = np.convolve(levels, kernel / kernel.sum(), mode="valid") / _LOUD
    stress = stress / (1 + stress)
    seconds = (start_frame + np.arange(num_frames)) / FRAMES_PER_SECOND
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, _DRIFT_HERTZ.shape)
    waves = np.sin(2 * np.pi * seconds[:, None, None] * _DRIFT_HERTZ + phases)
    values = _DRIFT * (waves * _DRIFT_SHARE).sum(axis=2)
    values[:, 1] += _NOD * (stress[:num_frames] - 0.3)
    values[:, 2] += _SWAY * (stress[:num_frames] - 0.3) * np.sin(0.9 * seconds + phases[2, 0])
    return begun(values, start_frame)


def begun(values: np.ndarray, start_frame: int) -> np.ndarray:
    """The movement grows from nothing at the film's beginning."""
    share = np.clip((start_frame + np.arange(len(values))) / FRAMES_PER_SECOND / _BEGINS_SECONDS, 0, 1)
    return (values * (share * share * (3 - 2 * share))[:, None]).astype(np.float32)


def read_head(film: str | os.PathLike, max_seconds: float, report: Callable[[float], None] | None = None) -> HeadMotion:
    """The head of the person in a film.

    report: called with the share that is read.

    Raises:
        MediaError: it cannot be read. InputError: it is a picture, or shows a face too seldom.
    """
    from scipy.signal import savgol_filter

    from ..media.video import open_source

    name = os.path.basename(film)
    with open_source(film, 640) as source:
        if source.kind == "image":
            raise InputError(f"{name} is a picture, where no head moves; give a film.")
        count = max(1, round(FRAMES_PER_SECOND * min(max_seconds, source.duration_seconds)))
        frames = source.frames(0.0, count)
        points = []
        while part := [frame for _, frame in zip(range(min(_READ_AT_ONCE, count - sum(map(len, points)))), frames)]:
            points.append(face_points(np.stack(part)))
            if report is not None:
                report(sum(map(len, points)) / count)
    pose = head_pose(np.concatenate(points))
    seen = np.isfinite(pose[:, 0])
    if seen.mean() < _LEAST_SEEN:
        raise InputError(
            f"A face was found in {100 * seen.mean():.0f} % of {name} only; give a film in which the head is seen."
        )
    places = np.arange(len(pose))
    filled = np.stack([np.interp(places, places[seen], pose[seen, axis]) for axis in range(3)], axis=1)
    window = round(_SMOOTHING_SECONDS * FRAMES_PER_SECOND) // 2 * 2 + 1
    if len(filled) >= window:
        filled = savgol_filter(filled, window, 2, axis=0)
    return HeadMotion((filled - np.median(filled, axis=0)).astype(np.float32))
