"""What the networks beside the model's are shown for a chunk, and how well the result follows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..control.conditions import CameraCondition, PoseCondition, camera_condition
from ..control.depth import SceneDepth, scene_depth
from ..control.followed import Followed
from ..control.pose import PoseSequence
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
    """

    camera: CameraCondition | None = None
    camera_strength: float = 1.0
    camera_steps: tuple[float, float] = (0.0, 1.0)
    pose: PoseCondition | None = None
    pose_strength: float = 1.0
    pose_steps: tuple[float, float] = (0.0, 1.0)
    asked: PoseSequence | None = None
    depth: np.ndarray | None = None


class Steered:
    """Serves one film. What it follows is read once, depth is looked for once for each reference.

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
        self._depth: tuple[object, SceneDepth | None] = None, None

    @property
    def needs_first(self) -> bool:
        """Whether `fit` has to be called."""
        return self._pose is not None and self._pose.unfitted

    def fit(self, first_reference: np.ndarray) -> None:
        """Put a movement on the person in the film's first reference, uint8 [height, width, 3]."""
        if self._pose is not None:
            self._pose.fit(first_reference)

    def shown(
        self, chunk: Chunk, key: object, reference: np.ndarray, place: Place, reference_seconds: float | None
    ) -> Shown:
        """What the chunk's frames are shown.

        Args:
            key: the same while `reference`, uint8 [height, width, 3], is. place: the part of the source that is it.
            reference_seconds: when the source's camera saw it; None for another picture.
        """
        factor = 1.0 if chunk.steering is None else chunk.steering
        told = {}
        if self._camera is not None:
            camera = self._request.camera
            if self._depth[0] != key or self._depth[1] is None:
                self._depth = key, scene_depth(reference, self._request.checkpoints_dir)
            w2c = self._camera.w2c(chunk.start_frame, chunk.num_frames, reference_seconds)
            depth = self._depth[1].depth
            told |= {
                "camera": camera_condition(reference, depth, w2c), "camera_strength": factor * camera.strength,
                "camera_steps": (camera.first, camera.last), "depth": depth,
            }  # fmt: skip
        if self._pose is not None:
            pose = self._request.pose
            asked = self._pose.at(chunk.start_frame, chunk.num_frames, place)
            told |= {
                "pose": self._pose.condition(asked, key, reference), "pose_strength": factor * pose.strength,
                "pose_steps": (pose.first, pose.last), "asked": asked,
            }  # fmt: skip
        return Shown(**told)

    def followed(self, chunk: Chunk, frames: np.ndarray, shown: Shown) -> dict[str, Followed]:
        """How well the chunk's new frames, uint8 [F, H, W, 3], do what was shown; nothing where it was shown weakly."""
        found: dict[str, Followed | None] = {}
        if shown.camera is not None and shown.camera_strength:
            found["camera"] = measured(frames, shown.camera.w2c[chunk.kept], shown.depth)
        if shown.asked is not None and shown.pose_strength:
            found["pose"] = poses.followed(frames, shown.asked.part(chunk.kept))
        return {name: one for name, one in found.items() if one is not None}
