"""How a film's camera moves, from points followed through its frames.

Corner points are followed by optical flow (Lucas-Kanade, there and back). The camera is the one from which the points
of an anchor frame, at their depths, are seen where they are seen now; where no depth is known they lie on one plane,
so the camera is that of a homography. Points that move by themselves are weighed down. When too few points are left,
the present frame becomes the anchor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..config.constants import FRAMES_PER_SECOND
from ..errors import MediaError
from .camera_path import CHANNELS, CameraPath, CameraPoint, from_w2c, intrinsics, to_w2c

_MOST_POINTS, _APART, _QUALITY = 400, 7, 0.004
_FEWEST = 12  # points for six unknowns
_KEPT = 0.45  # share of an anchor's points below which the anchor moves on
_BACK_PIXELS = 1.0  # by which a point followed there and back may miss
_SIGMA = 1.2  # pixels by which a point at rest usually is off; more is its own movement
_ROUNDS = 12
_PREFER_TURNING = 0.02  # weight against sideways movement, which looks like turning where all lies on a plane
_SMOOTHING_FRAMES = 9


@dataclass(frozen=True)
class CameraMotion:
    """values: float64 [frames, 6] as of `CameraPath.at`; followed: share of frames with enough points."""

    values: np.ndarray
    followed: float


def estimate_motion(
    frames: Iterable[np.ndarray],
    *,
    depth: np.ndarray | None = None,
    intrinsic: np.ndarray | None = None,
    ignore: Callable[[np.ndarray], np.ndarray] | None = None,
    report: Callable[[int], None] | None = None,
) -> CameraMotion:
    """The camera of every frame against the first.

    Args:
        frames: uint8 [height, width, 3] each, without a cut.
        depth: float [height, width] of the first frame; None: everything lies at 1.
        ignore: given a frame, bool [height, width]: where not to look for points (people). Passed over where it
            leaves too few.
        report: called with the number of frames done.

    Raises:
        MediaError: nothing to hold on to in any frame.
    """
    import cv2

    tracker: _Anchor | None = None
    poses: list[np.ndarray] = []
    lost = 0
    for index, frame in enumerate(frames):
        gray = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
        if tracker is None:
            matrix = intrinsics(*gray.shape) if intrinsic is None else intrinsic
            tracker = _Anchor(gray, frame, matrix, np.eye(4), depth, ignore)
            poses.append(np.eye(4))
        else:
            pose = tracker.follow(gray)
            if pose is None:
                lost += 1
                pose = poses[-1]
            if pose is poses[-1] or tracker.worn:
                depths = tracker.depths_from(pose)
                tracker = _Anchor(gray, frame, matrix, pose, depths, ignore)
            poses.append(pose)
        if report is not None:
            report(index + 1)
    if not poses:
        raise MediaError("The film has no frames to read a camera movement from.")
    followed = 1 - lost / max(1, len(poses) - 1)
    if followed < 0.5:
        raise MediaError(
            "The camera's movement could not be read: the frames show too little that can be followed (plain walls, "
            "darkness or blur); choose a movement from the list instead."
        )
    return CameraMotion(from_w2c(np.stack(poses)), followed)


class _Anchor:
    """Points of one frame and their places in space; finds later cameras from them."""

    def __init__(self, gray, frame, intrinsic, w2c, depth, ignore) -> None:
        import cv2

        self.intrinsic, self.w2c = intrinsic, w2c
        found = None
        if ignore is not None:
            allowed = (~ignore(frame)).astype(np.uint8)
            found = cv2.goodFeaturesToTrack(gray, _MOST_POINTS, _QUALITY, _APART, mask=allowed)
        if found is None or len(found) < 4 * _FEWEST:
            found = cv2.goodFeaturesToTrack(gray, _MOST_POINTS, _QUALITY, _APART)
        pixels = np.empty((0, 2), np.float32) if found is None else found[:, 0]
        self._start = len(pixels)
        depths = np.ones(len(pixels)) if depth is None else (
            depth(pixels) if callable(depth) else np.asarray(depth)[tuple(pixels.astype(int).T[::-1])]
        )  # fmt: skip
        rays = np.concatenate([pixels + 0.5, np.ones((len(pixels), 1))], axis=1) @ np.linalg.inv(intrinsic).T
        self.space = rays * np.asarray(depths, np.float64)[:, None]
        self.pixels, self._gray, self._values = pixels, gray, np.zeros(6)

    @property
    def worn(self) -> bool:
        return len(self.pixels) < max(4 * _FEWEST, _KEPT * self._start)

    def follow(self, gray: np.ndarray) -> np.ndarray | None:
        """World-to-camera of the next frame, [4, 4]; None where too few points are left."""
        import cv2

        if len(self.pixels) < _FEWEST:
            return None
        options = {"winSize": (21, 21), "maxLevel": 3}
        now, found, _ = cv2.calcOpticalFlowPyrLK(self._gray, gray, self.pixels[:, None], None, **options)
        back, returned, _ = cv2.calcOpticalFlowPyrLK(gray, self._gray, now, None, **options)
        now, missed = now[:, 0], np.linalg.norm(back[:, 0] - self.pixels, axis=1)
        height, width = gray.shape
        kept = (found[:, 0] == 1) & (returned[:, 0] == 1) & (missed < _BACK_PIXELS)
        kept &= (now > 1).all(axis=1) & (now[:, 0] < width - 2) & (now[:, 1] < height - 2)
        self.pixels, self.space, self._gray = now[kept], self.space[kept], gray
        if len(self.pixels) < _FEWEST:
            return None
        self._values = self._solve(self._values)
        return to_w2c(self._values[None])[0] @ self.w2c

    def depths_from(self, w2c: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
        """Depths for new points of the frame with camera `w2c`: those of the nearest old points."""
        if len(self.pixels) < _FEWEST:
            return None
        relative = w2c @ np.linalg.inv(self.w2c)
        old = np.maximum((self.space @ relative[:3, :3].T + relative[:3, 3])[:, 2], 0.05)
        places = self.pixels.copy()

        def nearest(pixels: np.ndarray) -> np.ndarray:
            from scipy.spatial import cKDTree

            return old[cKDTree(places).query(pixels)[1]]

        return nearest

    def _solve(self, values: np.ndarray) -> np.ndarray:
        """Gauss-Newton with Cauchy's weights on the distance between where points should be and are, in pixels."""
        scale = np.array([1, 1, 1, 57.3, 57.3, 57.3])  # unknowns in distances and radians
        unknown = values / scale
        prior = np.diag([_PREFER_TURNING, _PREFER_TURNING, 0, 0, 0, 0]) * len(self.pixels)
        for _ in range(_ROUNDS):
            error = self._project(unknown * scale) - self.pixels
            steps = np.eye(6) * 1e-5
            slopes = np.stack(
                [(self._project((unknown + step) * scale) - self.pixels - error) / 1e-5 for step in steps], axis=-1
            )
            weights = 1 / (1 + (error**2).sum(axis=1) / _SIGMA**2)
            normal = np.einsum("n,nki,nkj->ij", weights, slopes, slopes) + prior + np.eye(6) * 1e-6
            change = np.linalg.solve(normal, np.einsum("n,nki,nk->i", weights, slopes, error) + prior @ unknown)
            unknown = unknown - change
            if np.abs(change).max() < 1e-6:
                break
        return unknown * scale

    def _project(self, values: np.ndarray) -> np.ndarray:
        matrix = self.intrinsic @ to_w2c(values[None])[0][:3]
        projected = self.space @ matrix[:, :3].T + matrix[:, 3]
        return projected[:, :2] / np.maximum(projected[:, 2:], 0.05) - 0.5


def as_path(motion: CameraMotion, name: str, read_from: str = "", tolerance: float = 0.0006) -> CameraPath:
    """The movement smoothed, and as few points as follow it within `tolerance` (of the picture's width, about)."""
    from scipy.signal import savgol_filter

    values = motion.values
    if len(values) >= _SMOOTHING_FRAMES:
        values = savgol_filter(values, _SMOOTHING_FRAMES, 2, axis=0)
    values = values - values[0]
    seen = values * np.array([1, 1, 0.5, *np.radians([1, 1, 0.5])])  # about how far the picture moves
    times = np.arange(len(values)) / FRAMES_PER_SECOND
    kept = {0, len(values) - 1}
    stretches = [(0, len(values) - 1)]
    while stretches:
        start, stop = stretches.pop()
        if stop - start < 2:
            continue
        share = ((np.arange(start, stop + 1) - start) / (stop - start))[:, None]
        off = np.abs(seen[start : stop + 1] - (seen[start] * (1 - share) + seen[stop] * share)).max(axis=1)
        if off.max() > tolerance:
            middle = start + int(off.argmax())
            kept.add(middle)
            stretches += [(start, middle), (middle, stop)]
    points = tuple(
        CameraPoint(float(times[i]), **{key: round(float(v), 5) for key, v in zip(CHANNELS, values[i])})
        for i in sorted(kept)
    )
    return CameraPath(points, name, read_from)
