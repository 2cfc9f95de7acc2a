"""What the networks beside the model's are shown for a chunk, and how well the result follows it.

A model that works on distances from its reference (`ModelSpec.reference_scale`) is given a reference that moves along,
too: that picture drawn again for the chunk's cameras and joints. What is left for its networks is what nobody can
foresee, the mouth above all, where the movement has brought it. For such a model a strength is how far the movement
goes; half a residual would leave the mouth half-way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..control.camera_path import from_w2c, to_w2c
from ..control.conditions import CameraCondition, PoseCondition, camera_condition
from ..control.depth import SceneDepth, scene_depth
from ..control.followed import Followed
from ..control.layers import LayeredScene, Turn
from ..control.pose import PoseSequence
from ..control.pose_turn import pose_maps
from ..media.video import Source
from ..request import GenerationRequest
from . import pose as poses
from .camera import FilmCamera, Report, measured
from .plan import Chunk
from .pose import FilmPose, Place


@dataclass(frozen=True)
class Shown:
    """Of one chunk. asked: the poses of its frames; strengths: of the film, with the chunk's own factor.

    camera_steps, pose_steps: (first, last) of the steps in which they act, as shares.
    expected: uint8 [frames, height, width, 3] as large as finished pictures, the reference moved along; None for a
        model that generates whole pictures.
    """

    camera: CameraCondition | None = None
    camera_strength: float = 1.0
    camera_steps: tuple[float, float] = (0.0, 1.0)
    pose: PoseCondition | None = None
    pose_strength: float = 1.0
    pose_steps: tuple[float, float] = (0.0, 1.0)
    asked: PoseSequence | None = None
    depth: np.ndarray | None = None
    expected: np.ndarray | None = None


class Steered:
    """Serves one film. What it follows is read once, depth and scene are looked for once for each reference.

    height, width: of the pictures that are generated. report: told the share of a film that is read.
    """

    def __init__(
        self, request: GenerationRequest, source: Source, duration_seconds: float, height: int, width: int,
        report: Report = None,
    ) -> None:  # fmt: skip
        self._request = request
        camera = request.camera if "uni3c" in request.controls else None
        self._camera = None if camera is None else FilmCamera(camera, source, duration_seconds, request.seed, report)
        self._pose = None
        if request.pose is not None:
            self._pose = FilmPose(request, source, duration_seconds, height, width, report)
        self._size = height, width
        self._depth: tuple[object, SceneDepth | None] = None, None
        self._scene: tuple[object, LayeredScene | None] = None, None

    @property
    def needs_first(self) -> bool:
        """Whether `fit` has to be called."""
        return self._pose is not None and self._pose.unfitted

    def fit(self, first_reference: np.ndarray) -> None:
        """Put a movement on the person in the film's first reference, uint8 [H, W, 3], in the shape of the pictures."""
        if self._pose is not None:
            self._pose.fit(first_reference)

    def shown(
        self, chunk: Chunk, key: object, reference: np.ndarray, place: Place, reference_seconds: float | None,
        scene: Callable[[], LayeredScene] | None = None,
    ) -> Shown:  # fmt: skip
        """What the chunk's frames are shown.

        Args:
            key: the same while `reference`, uint8 [H, W, 3] as large as finished pictures, is. place: the part of the
                source that is it.
            reference_seconds: when the source's camera saw it; None for another picture.
            scene: makes the reference's, for a model that is given what to expect.
        """
        factor = 1.0 if chunk.steering is None else chunk.steering
        told, person = {}, None
        if self._camera is not None:
            told |= self._told_camera(chunk, key, reference, reference_seconds, factor, moves=scene is not None)
        if self._pose is not None:
            span, strength = (chunk.start_frame, chunk.num_frames, place), factor * self._pose.strength
            if scene is not None:
                person = self._pose.reference_person(key, reference)
            if person is None:
                asked = self._pose.at(*span)
            else:
                asked, strength = self._pose.moved(*span, person, factor), float(strength > 0)
            told |= {
                "pose": self._pose.condition(asked, key, reference), "pose_strength": strength,
                "pose_steps": self._pose.steps, "asked": asked,
            }  # fmt: skip
        if scene is not None:
            if self._scene[0] != key or self._scene[1] is None:
                self._scene = key, scene()
            told["expected"] = self._expected(Shown(**told), self._scene[1], reference, chunk.num_frames, person)
        return Shown(**told)

    def _told_camera(
        self, chunk: Chunk, key: object, reference: np.ndarray, reference_seconds: float | None, factor: float, *,
        moves: bool,
    ) -> dict:  # fmt: skip
        """moves: whether the reference moves along, by as much as the strength says."""
        import cv2

        camera, (height, width) = self._request.camera, self._size
        small = cv2.resize(reference, (width, height), interpolation=cv2.INTER_AREA)
        if self._depth[0] != key or self._depth[1] is None:
            self._depth = key, scene_depth(small, self._request.checkpoints_dir)
        depth, strength = self._depth[1].depth, factor * camera.strength
        w2c = self._camera.w2c(chunk.start_frame, chunk.num_frames, reference_seconds)
        if moves:
            w2c, strength = to_w2c(strength * from_w2c(w2c)), float(strength > 0)
        return {
            "camera": camera_condition(small, depth, w2c), "camera_strength": strength,
            "camera_steps": (camera.first, camera.last), "depth": depth,
        }  # fmt: skip

    def _expected(
        self, shown: Shown, scene: LayeredScene, reference: np.ndarray, num_frames: int, person: PoseSequence | None
    ) -> np.ndarray:
        """The reference as the chunk's cameras see it, its person as the chunk's joints stand."""
        still = np.tile(np.eye(4), (num_frames, 1, 1))
        w2c = still if shown.camera is None or not shown.camera_strength else shown.camera.w2c
        turns: list[Turn] | None = None
        if shown.asked is not None and shown.pose_strength and person is not None:
            height, width = self._size
            there, here = (each.joints / (width, height) for each in (shown.asked, person))
            seen = shown.asked.seen & person.seen
            turns = [partial(pose_maps, here[0], *each, *reference.shape[:2]) for each in zip(there, seen, strict=True)]
        return scene.moved(np.repeat(reference[None], num_frames, axis=0), w2c, turns)

    def followed(self, chunk: Chunk, frames: np.ndarray, shown: Shown) -> dict[str, Followed]:
        """How well the chunk's new frames, uint8 [F, H, W, 3], do what was shown; nothing where it was shown weakly."""
        import cv2

        found: dict[str, Followed | None] = {}
        height, width = frames.shape[1:3]  # a small model's are larger than what it generates
        if shown.camera is not None and shown.camera_strength:
            depth = cv2.resize(shown.depth, (width, height), interpolation=cv2.INTER_NEAREST)
            found["camera"] = measured(frames, shown.camera.w2c[chunk.kept], depth)
        if shown.asked is not None and shown.pose_strength:
            found["pose"] = poses.followed(frames, shown.asked.part(chunk.kept).resized(width, height))
        return {name: one for name, one in found.items() if one is not None}
