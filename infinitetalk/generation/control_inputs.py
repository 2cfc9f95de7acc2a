"""What control networks take for one chunk: motion targets, and the renderings and skeletons that are made from them.

Stages state motion targets (`CameraTarget`, `PoseTarget`). A conditioner turns them into `ControlInputs`. Published
models have one control network for each kind of target. A model whose reference moves along (`latent_space.py`) has
one for all: the reference is reprojected along the chunk's cameras and its person is bent to the chunk's joints. What
is left to generate is what nobody can foresee, the mouth above all; the moved reference is given as a rendering.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import cv2
import numpy as np

from ..models.specs import ModelSpec
from ..planning.chunks import Chunk
from ..vision.camera_path import from_w2c, intrinsics, to_w2c
from ..vision.control_images import CameraCondition, PoseCondition, camera_condition
from ..vision.depth import SceneDepth, scene_depth
from ..vision.layers import LayeredScene, Turn
from ..vision.pose import PoseSequence
from ..vision.pose_turn import pose_maps
from .pose_targets import FilmPose, Place
from .reference import ReferencePicture
from .scene import scene_of_reference

Steps = tuple[float, float]  # first and last step in which a network acts, as shares of a chunk's steps


@dataclass(frozen=True)
class CameraTarget:
    """w2c: float64 [frames, 4, 4], the chunk's cameras against that of its reference. strength: of the control."""

    w2c: np.ndarray
    strength: float = 1.0
    steps: Steps = (0.0, 1.0)


@dataclass(frozen=True)
class PoseTarget:
    """movement: of the film. strength: of the control, with the chunk's own factor; factor: that factor alone."""

    movement: FilmPose
    strength: float = 1.0
    factor: float = 1.0
    steps: Steps = (0.0, 1.0)


@dataclass(frozen=True)
class MotionTargets:
    """Of one chunk; None where camera or body have no target."""

    camera: CameraTarget | None = None
    pose: PoseTarget | None = None


@dataclass(frozen=True)
class ControlInputs:
    """Of one chunk.

    camera: renderings along the path, their strength and steps. w2c: float64 [frames, 4, 4], the cameras that are
    to be seen; depth: float32 [H, W] of the reference. pose: skeletons. poses: the joints that are to be seen.
    moved_reference: uint8 [frames, H, W, 3] as large as finished pictures; None for a model that generates whole
        pictures.
    """

    camera: CameraCondition | None = None
    camera_strength: float = 1.0
    camera_steps: Steps = (0.0, 1.0)
    w2c: np.ndarray | None = None
    depth: np.ndarray | None = None
    pose: PoseCondition | None = None
    pose_strength: float = 1.0
    pose_steps: Steps = (0.0, 1.0)
    poses: PoseSequence | None = None
    moved_reference: np.ndarray | None = None


class Conditioner(Protocol):
    """Serves one film."""

    def control_inputs(self, chunk: Chunk, targets: MotionTargets, reference: ReferencePicture) -> ControlInputs: ...


@dataclass(frozen=True)
class Frame:
    """The sizes of one film's pictures. generated: (height, width). upscale: finished pixels per generated one.

    source: (height, width) of the source. depth_weights: folder in which a depth network is looked for.
    """

    generated: tuple[int, int]
    upscale: int
    source: tuple[int, int]
    depth_weights: str | None = None

    @property
    def finished(self) -> tuple[int, int]:
        return self.upscale * self.generated[0], self.upscale * self.generated[1]

    def as_generated(self, picture: np.ndarray) -> np.ndarray:
        height, width = self.generated
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def conditioner_for(spec: ModelSpec, frame: Frame) -> Conditioner:
    return MovedReference(frame) if spec.latents.moves_reference else SeparateControls(frame)


class SeparateControls:
    """Published models: renderings for a camera network, skeletons for a pose network."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._depth = _Depths(frame)

    def control_inputs(self, chunk: Chunk, targets: MotionTargets, reference: ReferencePicture) -> ControlInputs:
        inputs, frame = ControlInputs(), self._frame
        picture = _resized(reference, frame)
        if (camera := targets.camera) is not None:
            inputs = self._depth.with_camera(inputs, camera, camera.w2c, camera.strength, reference, picture)
        if (pose := targets.pose) is not None:
            poses = pose.movement.at(chunk.start_frame, chunk.num_frames, place_of(reference, frame))
            inputs = replace(
                inputs, poses=poses, pose=pose.movement.condition(poses, reference.key, picture),
                pose_strength=pose.strength, pose_steps=pose.steps,
            )  # fmt: skip
        return inputs


class MovedReference:
    """One network for all targets: the reference moves along as far as the strengths say."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._depth = _Depths(frame)
        self._scene: tuple[object, LayeredScene] | None = None

    def control_inputs(self, chunk: Chunk, targets: MotionTargets, reference: ReferencePicture) -> ControlInputs:
        inputs, frame = ControlInputs(), self._frame
        picture = _resized(reference, frame)
        if (camera := targets.camera) is not None:
            w2c = to_w2c(camera.strength * from_w2c(camera.w2c))
            inputs = self._depth.with_camera(inputs, camera, w2c, float(camera.strength > 0), reference, picture)
        turns: list[Turn] | None = None
        pose = targets.pose
        person = None if pose is None else pose.movement.reference_person(reference.key, picture)
        if pose is not None and person is not None and pose.strength:
            poses = pose.movement.moved(
                chunk.start_frame, chunk.num_frames, place_of(reference, frame), person, pose.factor
            )
            there, here = (each.joints / (each.width, each.height) for each in (poses, person))
            seen = poses.seen & person.seen
            turns = [partial(pose_maps, here[0], *each, *picture.shape[:2]) for each in zip(there, seen, strict=True)]
            inputs = replace(inputs, poses=poses)
        if self._scene is None or self._scene[0] != reference.key:
            self._scene = reference.key, scene_of_reference(reference.whole, reference.square, *frame.finished)
        w2c = np.tile(np.eye(4), (chunk.num_frames, 1, 1)) if inputs.w2c is None else inputs.w2c
        moved = self._scene[1].moved(np.repeat(picture[None], chunk.num_frames, axis=0), w2c, turns)
        if turns is not None:
            rendering = np.stack([frame.as_generated(each) for each in moved])
            holes = np.zeros(rendering.shape[:3], np.uint8)
            condition = CameraCondition(rendering, holes, intrinsics(*frame.generated), w2c)
            assert pose is not None
            inputs = replace(inputs, camera=condition, camera_strength=1.0, camera_steps=pose.steps)
        return replace(inputs, moved_reference=moved)


class _Depths:
    """The depth of the last reference."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._known: tuple[object, SceneDepth] | None = None

    def with_camera(
        self, inputs: ControlInputs, target: CameraTarget, w2c: np.ndarray, strength: float,
        reference: ReferencePicture, picture: np.ndarray,
    ) -> ControlInputs:  # fmt: skip
        small = self._frame.as_generated(picture)
        if self._known is None or self._known[0] != reference.key:
            self._known = reference.key, scene_depth(small, self._frame.depth_weights)
        depth = self._known[1].depth
        return replace(
            inputs, camera=camera_condition(small, depth, w2c), camera_strength=strength, camera_steps=target.steps,
            w2c=w2c, depth=depth,
        )  # fmt: skip


def _resized(reference: ReferencePicture, frame: Frame) -> np.ndarray:
    from ..media.framing import resize_and_crop

    return resize_and_crop(reference.picture, frame.finished)


def place_of(reference: ReferencePicture, frame: Frame) -> Place:
    """The part of the source that is generated, in pixels of the source: top, left, height, width."""
    from ..media.framing import middle_of

    square = reference.source_square
    if square is None:
        return middle_of(*frame.source, *frame.generated)
    return square.row, square.column, square.side, square.side
