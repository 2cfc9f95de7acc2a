"""What the networks beside the model's are shown for a chunk, and how well the result follows it.

A model that works on distances from its reference (`ModelSpec.reference_scale`) is given a reference that moves along,
too: that picture drawn again for the chunk's cameras, its person bent to the chunk's joints. What is left to generate
is what nobody can foresee, the mouth above all, and its one network beside it, Uni3C's in small, tells it where the
movement has brought that. So a body is shown to it as a camera is, as a rendering; a strength is how far the movement
goes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..config.request import GenerationRequest
from ..media.video import Source
from ..planning.chunks import Chunk
from ..stages import pose as poses
from ..stages.camera import FilmCamera, Report, measured
from ..stages.pose import FilmPose, Place
from ..vision.camera_path import from_w2c, intrinsics, to_w2c
from ..vision.control_images import CameraCondition, PoseCondition, camera_condition
from ..vision.depth import SceneDepth, scene_depth
from ..vision.layers import LayeredScene, Turn
from ..vision.pose import PoseSequence
from ..vision.pose_turn import pose_maps
from ..vision.tracking import TrackingScore


@dataclass(frozen=True)
class Shown:
    """Of one chunk. strengths: of the film, with the chunk's own factor.

    camera: what a camera network is shown. path: float64 [frames, 4, 4], the cameras asked for. asked: the poses.
    camera_steps, pose_steps: (first, last) of the steps in which they act, as shares.
    expected: uint8 [frames, height, width, 3] as large as finished pictures, the reference moved along; None for a
        model that generates whole pictures.
    """

    camera: CameraCondition | None = None
    camera_strength: float = 1.0
    camera_steps: tuple[float, float] = (0.0, 1.0)
    path: np.ndarray | None = None
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
        told = {}
        if self._camera is not None:
            told |= self._told_camera(chunk, key, reference, reference_seconds, factor, moves=scene is not None)
        if scene is not None:
            if self._scene[0] != key or self._scene[1] is None:
                self._scene = key, scene()
            return self._moved_along(Shown(**told), self._scene[1], chunk, key, reference, place, factor)
        if self._pose is not None:
            asked = self._pose.at(chunk.start_frame, chunk.num_frames, place)
            told |= {
                "pose": self._pose.condition(asked, key, reference), "pose_strength": factor * self._pose.strength,
                "pose_steps": self._pose.steps, "asked": asked,
            }  # fmt: skip
        return Shown(**told)

    def _told_camera(
        self, chunk: Chunk, key: object, reference: np.ndarray, reference_seconds: float | None, factor: float, *,
        moves: bool,
    ) -> dict:  # fmt: skip
        """moves: whether the reference moves along, by as much as the strength says."""
        camera = self._request.camera
        small = self._generated(reference)
        if self._depth[0] != key or self._depth[1] is None:
            self._depth = key, scene_depth(small, self._request.checkpoints_dir)
        depth, strength = self._depth[1].depth, factor * camera.strength
        path = self._camera.w2c(chunk.start_frame, chunk.num_frames, reference_seconds)
        if moves:
            path, strength = to_w2c(strength * from_w2c(path)), float(strength > 0)
        return {
            "camera": camera_condition(small, depth, path), "camera_strength": strength, "path": path,
            "camera_steps": (camera.first, camera.last), "depth": depth,
        }  # fmt: skip

    def _moved_along(
        self, shown: Shown, scene: LayeredScene, chunk: Chunk, key: object, reference: np.ndarray, place: Place,
        factor: float,
    ) -> Shown:  # fmt: skip
        """The reference as the chunk's cameras see it, its person as the chunk's joints stand; shown as a rendering."""
        turns: list[Turn] | None = None
        person = None if self._pose is None else self._pose.reference_person(key, reference)
        if person is not None and factor * self._pose.strength:
            asked = self._pose.moved(chunk.start_frame, chunk.num_frames, place, person, factor)
            there, here = (each.joints / (each.width, each.height) for each in (asked, person))
            seen = asked.seen & person.seen
            turns = [partial(pose_maps, here[0], *each, *reference.shape[:2]) for each in zip(there, seen, strict=True)]
            shown = replace(shown, asked=asked)
        path = np.tile(np.eye(4), (chunk.num_frames, 1, 1)) if shown.path is None else shown.path
        expected = scene.moved(np.repeat(reference[None], chunk.num_frames, axis=0), path, turns)
        if turns is not None:
            render = np.stack([self._generated(frame) for frame in expected])
            height, width = self._size
            condition = CameraCondition(render, np.zeros(render.shape[:3], np.uint8), intrinsics(height, width), path)
            shown = replace(shown, camera=condition, camera_strength=1.0, camera_steps=self._pose.steps)
        return replace(shown, expected=expected)

    def _generated(self, picture: np.ndarray) -> np.ndarray:
        """As large as pictures are generated."""
        import cv2

        height, width = self._size
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)

    def followed(self, chunk: Chunk, frames: np.ndarray, shown: Shown) -> dict[str, TrackingScore]:
        """How well the chunk's new frames, uint8 [F, H, W, 3], do what was shown; nothing where it was shown weakly."""
        import cv2

        found: dict[str, TrackingScore | None] = {}
        height, width = frames.shape[1:3]  # a small model's are larger than what it generates
        if shown.path is not None and shown.camera_strength:
            depth = cv2.resize(shown.depth, (width, height), interpolation=cv2.INTER_NEAREST)
            found["camera"] = measured(frames, shown.path[chunk.kept], depth)
        if shown.asked is not None and shown.pose_strength:
            found["pose"] = poses.followed(frames, shown.asked.part(chunk.kept).resized(width, height))
        return {name: one for name, one in found.items() if one is not None}
