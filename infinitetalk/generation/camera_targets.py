"""A film's camera path as matrices for each chunk, and how well a result follows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..config.camera import Camera, CameraControl
from ..config.constants import FRAMES_PER_SECOND
from ..config.shares import FOLLOW
from ..errors import MediaError
from ..media.video import Source
from ..vision.camera_path import CameraPath, film_print, load_path, preset_path
from ..vision.tracking import TrackingScore, camera_tracking_score

Report = Callable[[float], None] | None

FAR_EVERY = 4  # frames between two that `moves_far` looks at
_FAR = 0.15  # of the picture's width; then much of what a chunk ends with is not seen in its first picture
_LOOK_EVERY = 3  # frames between two that are measured
_MOST_READ = 8  # films whose cameras are remembered
_FOLLOW_SIDE = 512  # pixels of the source's pictures in which its camera is looked for

# What was read of films' cameras, so that looking, editing and making a film read it once: (file, frames) -> path.
_READ: dict[tuple[tuple[str, int, int], int], CameraPath] = {}


class FilmCamera:
    """The path of one film, read once.

    seed: of a handheld camera's shaking. report: gets the share of a source film that is read.
    """

    def __init__(
        self,
        camera: Camera | CameraControl,
        source: Source,
        duration_seconds: float,
        seed: int = 0,
        report: Report = None,
    ) -> None:
        if camera.path == FOLLOW:
            self.path = followed_path(source, min(duration_seconds, source.duration_seconds), report)
        elif camera.file is not None:
            self.path = load_path(camera.file)
        else:
            self.path = preset_path(camera.path, camera.amount, duration_seconds, seed % 2**32)
        # Whether the path is the source's own, or was read from the source and then edited.
        self._follows = bool(self.path.read_from) and self.path.read_from == film_print(source.path)

    def w2c(self, start_frame: int, num_frames: int, reference_seconds: float | None) -> np.ndarray:
        """Cameras of the film's frames against that of their reference, [num_frames, 4, 4].

        reference_seconds: when the source's camera saw it; a followed film's references have moved along.
        """
        cameras = self.path.w2c(num_frames, start_frame)
        if not self._follows or reference_seconds is None:
            return cameras
        own = self.path.w2c(1, round(reference_seconds * FRAMES_PER_SECOND))[0]
        return cameras @ np.linalg.inv(own)


def followed_path(source: Source, seconds: float, report: Report = None) -> CameraPath:
    """The camera of a source film over its first `seconds`; the same stretch is read once.

    Raises:
        MediaError: its pictures show too little that can be followed.
    """
    from ..media.video import open_source
    from ..vision.camera_motion import as_path, estimate_motion
    from ..vision.depth import person_mask

    count = max(1, round(FRAMES_PER_SECOND * seconds))
    stretch = (_as_it_is(source.path), count)
    if (
        stretch in _READ
    ):  # of this length alone: how a path ends depends on it, and a film that is resumed may not differ
        return _READ[stretch]
    with open_source(source.path, _FOLLOW_SIDE) as small:
        motion = estimate_motion(
            small.frames(0.0, count), ignore=lambda frame: person_mask(frame) > 0.3,
            report=None if report is None else lambda done: report(done / count),
        )  # fmt: skip
    path = as_path(motion, "followed from the source", film_print(source.path))
    _READ[stretch] = path
    while len(_READ) > _MOST_READ:
        _READ.pop(next(iter(_READ)), None)
    return path


def path_read(film: str | Path) -> CameraPath | None:
    """The longest that `followed_path` has read of the film's camera, for looking at; nothing is read for it."""
    file = _as_it_is(film)
    known = {count: path for (stored, count), path in list(_READ.items()) if stored == file}
    return known[max(known)] if known else None


def _as_it_is(film: str | Path) -> tuple[str, int, int]:
    """A file that is written anew is another one."""
    facts = os.stat(film)
    return os.path.realpath(film), facts.st_mtime_ns, facts.st_size


def moves_far(frames: Sequence[np.ndarray]) -> bool:
    """Whether what stands still goes a good way through pictures uint8 [height, width, 3] from the first to the last.

    frames: `FAR_EVERY` frames apart. False where nothing can be followed.
    """
    from ..vision.camera_motion import estimate_motion
    from ..vision.camera_path import to_w2c
    from ..vision.depth import person_mask
    from ..vision.tracking import shift

    if len(frames) < 2:
        return False
    scale = min(1.0, _FOLLOW_SIDE / max(frames[0].shape[:2]))
    size = round(frames[0].shape[1] * scale), round(frames[0].shape[0] * scale)
    small = [np.ascontiguousarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA)) for frame in frames]
    try:
        motion = estimate_motion(small, ignore=lambda frame: person_mask(frame) > 0.3)
    except MediaError:
        return False
    w2c = to_w2c(motion.values)
    return shift(w2c[-1] @ np.linalg.inv(w2c[0])) > _FAR


def tracked_camera(frames: np.ndarray, w2c: np.ndarray, depth: np.ndarray | None = None) -> TrackingScore | None:
    """How well frames uint8 [F, H, W, 3] follow those cameras; None where nothing in them can be followed.

    depth: of the first frame as its camera was to see it, float32 [H, W]; what is near moves faster.
    """
    from ..vision.camera_motion import estimate_motion
    from ..vision.camera_path import to_w2c

    if len(frames) <= _LOOK_EVERY:
        return None
    try:
        motion = estimate_motion(frames[::_LOOK_EVERY], depth=depth)
    except MediaError:
        return None
    return camera_tracking_score(w2c[::_LOOK_EVERY] @ np.linalg.inv(w2c[0]), to_w2c(motion.values))
