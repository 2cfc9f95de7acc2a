"""What the networks are given for one chunk: pictures in the published conventions, still as bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera_path import CameraPath, intrinsics
from .point_cloud import render_path
from .pose import PoseSequence
from .pose_draw import draw_skeletons
from .pose_edit import retime


@dataclass(frozen=True)
class CameraCondition:
    """One chunk along a camera path.

    render: uint8 [frames, height, width, 3], the reference's points as each camera sees them, the first frame the
    reference itself. holes: uint8 [frames, height, width], 1 where there is no point, the first frame all 0.
    intrinsic: float64 [3, 3] in pixels. w2c: float64 [frames, 4, 4]; `rays.ray_embedding` turns both into rays.
    """

    render: np.ndarray
    holes: np.ndarray
    intrinsic: np.ndarray
    w2c: np.ndarray


def camera_condition(
    reference: np.ndarray, depth: np.ndarray, path: CameraPath, num_frames: int, start_frame: int = 0
) -> CameraCondition:
    """The path's frames from `start_frame` on, as seen from the camera of that frame.

    The chunk's reference was taken by the camera that the path has reached there, so cameras count from it.

    Args:
        reference: uint8 [height, width, 3], at the size that is generated.
        depth: float32 [height, width] of it, as `depth.scene_depth` gives.
    """
    height, width = reference.shape[:2]
    intrinsic = intrinsics(height, width)
    w2c = path.w2c(num_frames, start_frame)
    w2c = w2c @ np.linalg.inv(w2c[0])
    render = np.empty((num_frames, height, width, 3), np.uint8)
    holes = np.empty((num_frames, height, width), np.uint8)
    for index, (frame, hole) in enumerate(render_path(reference, depth, intrinsic, w2c)):
        render[index], holes[index] = frame, hole
    render[0], holes[0] = reference, 0
    return CameraCondition(render, holes, intrinsic, w2c)


@dataclass(frozen=True)
class PoseCondition:
    """One chunk of a movement: uint8 [frames, height, width, 3] and the reference person's skeleton, RGB.

    The networks get value / 255, and the first frame three times more in front.
    """

    skeletons: np.ndarray
    reference: np.ndarray


def pose_condition(
    sequence: PoseSequence,
    reference: PoseSequence,
    height: int,
    width: int,
    num_frames: int,
    *,
    start_frame: int = 0,
    offset_seconds: float = 0.0,
    speed: float = 1.0,
) -> PoseCondition:
    """The movement's frames for the chunk that begins at `start_frame` of the film.

    Args:
        sequence: already in the reference picture's pixels (`pose_edit.retarget`).
        reference: one frame, the reference person.
        offset_seconds: where in the movement the film begins. speed: of the movement.
    """
    start = offset_seconds + speed * start_frame / 25
    chunk = retime(sequence, num_frames, start_seconds=start, speed=speed)
    skeletons = np.stack(list(draw_skeletons(chunk, height, width)))
    return PoseCondition(skeletons, next(draw_skeletons(reference, height, width)))
