"""What the networks are given for one chunk: pictures in the published conventions, still as bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera_path import intrinsics
from .point_cloud import render_path
from .pose import PoseSequence
from .pose_draw import draw_skeletons, draw_vace_skeletons


@dataclass(frozen=True)
class CameraCondition:
    """One chunk along a camera path.

    render: uint8 [frames, height, width, 3], the reference's points as each camera sees them. holes: uint8 [frames,
    height, width], 1 where there is no point. Where the first camera is the reference's own, the first frame is the
    reference itself, without holes.
    intrinsic: float64 [3, 3] in pixels. w2c: float64 [frames, 4, 4]; `rays.ray_embedding` turns both into rays.
    """

    render: np.ndarray
    holes: np.ndarray
    intrinsic: np.ndarray
    w2c: np.ndarray


def camera_condition(reference: np.ndarray, depth: np.ndarray, w2c: np.ndarray) -> CameraCondition:
    """The reference as cameras see it.

    Args:
        reference: uint8 [height, width, 3], at the size that is generated.
        depth: float32 [height, width] of it, as `depth.scene_depth` gives.
        w2c: [frames, 4, 4], against the camera that took the reference.
    """
    height, width = reference.shape[:2]
    intrinsic, w2c = intrinsics(height, width), np.asarray(w2c, np.float64)
    render = np.empty((len(w2c), height, width, 3), np.uint8)
    holes = np.empty((len(w2c), height, width), np.uint8)
    for index, (frame, hole) in enumerate(render_path(reference, depth, intrinsic, w2c)):
        render[index], holes[index] = frame, hole
    if np.allclose(w2c[0], np.eye(4), atol=1e-6):
        render[0], holes[0] = reference, 0
    return CameraCondition(render, holes, intrinsic, w2c)


@dataclass(frozen=True)
class PoseCondition:
    """One chunk of a movement: uint8 [frames, height, width, 3], RGB.

    reference: for UniAnimate, the reference person's skeleton. UniAnimate gets value / 255, and the first frame three
    times more in front; VACE the latents of such a film.
    """

    skeletons: np.ndarray
    reference: np.ndarray | None = None


def vace_condition(sequence: PoseSequence, height: int, width: int) -> PoseCondition:
    """The skeletons of a chunk's frames as VACE was trained on them."""
    return PoseCondition(np.stack(list(draw_vace_skeletons(sequence, height, width))))


def pose_condition(sequence: PoseSequence, reference: PoseSequence | None, height: int, width: int) -> PoseCondition:
    """The skeletons of a chunk's frames.

    Args:
        sequence: of those frames, in the pictures' place (`pose_edit.retarget`, `PoseSequence.framed`).
        reference: one frame, the reference person; None where nobody is seen in it.
    """
    skeletons = np.stack(list(draw_skeletons(sequence, height, width)))
    if reference is None:
        return PoseCondition(skeletons, np.zeros((height, width, 3), np.uint8))
    return PoseCondition(skeletons, next(draw_skeletons(reference, height, width)))
