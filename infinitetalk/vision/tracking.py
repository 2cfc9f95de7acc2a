"""How well a result follows its targets: a figure and a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .camera_path import intrinsics
from .pose import NUM_BODY, PoseSequence, body_height

POSE_GOOD_PERCENT = 4.0  # of body height; a hand's width on a grown person
NOT_FOUND = 100.0  # percent, where no joint was found again
CAMERA_GOOD = HEAD_GOOD = 0.8
_FEWEST_HEADS = 5
_LEAST_TURN = 0.8  # degrees, spread of the targets; the face mesh's own noise is half of that
_CAMERA_FAR = 0.5  # of the target movement, by which the camera must have moved
_SMOOTHING_FRAMES = 5


@dataclass(frozen=True)
class TrackingScore:
    """value: percent of body height (pose, lower is better) or correlation (camera, higher is better)."""

    value: float
    good: bool
    sentence: str


def pose_tracking_score(target: PoseSequence, result: PoseSequence) -> TrackingScore:
    """Mean distance between target joints and those of the result, in percent of body height.

    Both in the same picture (shares of width and height are compared) and of equal length; joints that either does not
    show are left out.
    """
    assert len(target) == len(result), (len(target), len(result))
    result = result.resized(target.width, target.height)
    both = target.seen[:, :NUM_BODY] & result.seen[:, :NUM_BODY]
    heights = [body_height(joints, seen) for joints, seen in zip(target.joints, target.seen)]
    tall = float(np.median([height for height in heights if height > 0] or [0]))
    if not both.any() or tall == 0:
        return TrackingScore(
            NOT_FOUND, False,
            "No joint of the skeleton was found again in the result; look whether the person is in the picture, raise "
            "the strength, or use a skeleton that fits the picture (retarget).",
        )  # fmt: skip
    distances = np.linalg.norm(target.joints[:, :NUM_BODY] - result.joints[:, :NUM_BODY], axis=-1)[both]
    value = 100 * float(distances.mean()) / tall
    if value <= POSE_GOOD_PERCENT:
        return TrackingScore(
            value, True, f"The result follows the skeleton: joints are {value:.1f} % of body height off."
        )
    return TrackingScore(
        value, False,
        f"The result follows the skeleton loosely: joints are {value:.1f} % of body height off (good: below "
        f"{POSE_GOOD_PERCENT:g} %); fit the skeleton to the person, raise the strength, or slow the movement down.",
    )  # fmt: skip


def camera_tracking_score(target_w2c: np.ndarray, result_w2c: np.ndarray) -> TrackingScore:
    """Correlation of how the picture should move with how it moves in the result.

    Compared are the speeds of five points of the scene (middle and corners at the subject's distance), so turning and
    shifting count as far as they can be seen. Both [frames, 4, 4].
    """
    target, result = _speeds(target_w2c), _speeds(result_w2c)
    size = float(np.sqrt((target**2).sum()))
    if size < 1e-4:
        still = float(np.sqrt((result**2).mean())) < 1e-3
        return TrackingScore(1.0 if still else 0.0, still, "The camera was to stand still and " + ("does." if still else
                        "moves; choose a movement, or a source film whose camera rests."))  # fmt: skip
    value = float((target * result).sum() / (size * max(float(np.sqrt((result**2).sum())), 1e-9)))
    far = float((target * result).sum() / size**2)
    if value >= CAMERA_GOOD and far >= _CAMERA_FAR:
        sentence = f"The camera follows the path (correlation {value:.2f}, {100 * far:.0f} % as far)."
        return TrackingScore(value, True, sentence)
    return TrackingScore(
        value, False,
        f"The camera follows the path poorly (correlation {value:.2f}, good: {CAMERA_GOOD:g}; "
        f"{100 * max(far, 0):.0f} % as far as asked); raise the strength, choose a slower or smaller movement, or pin "
        "a second reference at its end.",
    )  # fmt: skip


def head_tracking_score(target: np.ndarray, result: np.ndarray) -> TrackingScore | None:
    """Correlation of the target turns with those of the result, yaw and pitch together; both [frames, 3], degrees.

    None where the target hardly moves, or no face is seen.
    """
    target, result = np.asarray(target, np.float64)[:, :2], np.asarray(result, np.float64)[:, :2]
    seen = np.isfinite(result).all(axis=1)
    if seen.sum() < _FEWEST_HEADS:
        return None
    target, result = (each[seen] - each[seen].mean(axis=0) for each in (target, result))
    size = float(np.sqrt((target**2).sum()))
    if size < _LEAST_TURN * math.sqrt(target.size):
        return None
    value = float((target * result).sum() / (size * max(float(np.sqrt((result**2).sum())), 1e-9)))
    far = float((target * result).sum() / size**2)
    if value >= HEAD_GOOD:
        return TrackingScore(value, True, f"The head follows (correlation {value:.2f}, {100 * far:.0f} % as far).")
    return TrackingScore(
        value, False,
        f"The head follows poorly (correlation {value:.2f}, good: {HEAD_GOOD:g}; {100 * max(far, 0):.0f} % as far as "
        "it should); choose a smaller movement, or a source that looks straight into the camera.",
    )  # fmt: skip


def shift(w2c: np.ndarray) -> float:
    """How far a camera [4, 4] sees five points from where the first one, the identity, sees them, in picture widths."""
    return farthest(w2c[None])


def farthest(w2c: np.ndarray) -> float:
    """The most that any of the cameras [frames, 4, 4] does."""
    away = (_places(w2c) - _places(np.eye(4)[None])).reshape(len(w2c), -1, 2)
    return float(np.linalg.norm(away, axis=2).mean(axis=1).max())


def _places(w2c: np.ndarray) -> np.ndarray:
    """Where the picture's middle and corners at the subject's distance are seen, [frames, 10], in picture widths."""
    matrix = intrinsics(1, 1)
    corners = np.array([(0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)])
    points = np.concatenate([corners, np.ones((5, 1))], axis=1) @ np.linalg.inv(matrix).T
    seen = np.einsum("fij,nj->fni", np.asarray(w2c)[:, :3, :3], points) + np.asarray(w2c)[:, None, :3, 3]
    seen = seen @ matrix.T
    return (seen[..., :2] / np.maximum(seen[..., 2:], 0.05)).reshape(len(seen), -1)


def _speeds(w2c: np.ndarray) -> np.ndarray:
    """How they move from frame to frame, [frames - 1, 10], a little smoothed."""
    speeds = np.diff(_places(w2c), axis=0)
    if len(speeds) >= _SMOOTHING_FRAMES:
        kernel = np.ones(_SMOOTHING_FRAMES) / _SMOOTHING_FRAMES
        speeds = np.stack([np.convolve(column, kernel, mode="valid") for column in speeds.T], axis=1)
    return speeds
