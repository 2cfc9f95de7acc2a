"""Finished frames moved once for camera and head together, in a scene of two layers; then scored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..config.camera import Camera, CameraControl
from ..config.head import Head
from ..config.request import GenerationRequest
from ..generation.camera_targets import FilmCamera, tracked_camera
from ..generation.job import ChunkJob
from ..generation.reference import ReferencePicture
from ..generation.scene import scene_of_reference
from ..media.faces import Square, cut
from ..media.framing import resize_and_crop
from ..media.video import Source
from ..vision.blink import Eyelids
from ..vision.head_pose import face_points, head_pose
from ..vision.head_turn import Head as HeadPlace
from ..vision.head_turn import HeadTurn
from ..vision.layers import LayeredScene
from ..vision.tracking import TrackingScore, head_tracking_score
from .base import FilmStage, FinishedChunk, MotionOfFrames, Stage, StageFilm
from .head_turn import HeadTargets

if TYPE_CHECKING:
    from ..generation.generator import ChunkInputs

_LOOK_EVERY = 4  # frames between two in which the head is looked for again


class LayeredWarpStage(Stage):
    name = "layered_warp"
    order = 390  # after the stages that state how frames are to move

    def is_on(self, request: GenerationRequest) -> bool:
        return request.camera is not None or request.head is not None

    def prepare(self, film: StageFilm) -> FilmStage:
        return _FilmWarp()


class _FilmWarp(FilmStage):
    """Keeps the scene of the last reference."""

    def __init__(self) -> None:
        self._scene: ReferenceScene | None = None

    def after(self, job: ChunkJob, inputs: ChunkInputs, chunk: FinishedChunk) -> FinishedChunk:
        motion, reference = chunk.motion, inputs.reference
        if motion.w2c is None and motion.head is None:
            return chunk
        if self._scene is None or self._scene.key != reference.key:
            size = chunk.frames.shape[1], chunk.frames.shape[2]
            self._scene = ReferenceScene.of(reference, size, with_face=motion.head is not None)
        chunk = replace(chunk, frames=self._scene.moved(chunk.frames, motion))
        if motion.head is not None:  # a head's own movement hides the camera's
            return chunk.scored("head", _tracked_head(chunk.frames, motion.head))
        assert motion.w2c is not None
        depth = self._scene.layers.depth(motion.w2c[0])
        return chunk.scored("camera", tracked_camera(chunk.frames, motion.w2c, depth))


@dataclass(frozen=True)
class ReferenceScene:
    """One reference as layers, with its head and eyelids (None without a face)."""

    key: object
    layers: LayeredScene
    turn: HeadTurn | None
    lids: Eyelids | None

    @classmethod
    def of(cls, reference: ReferencePicture, size: tuple[int, int], *, with_face: bool) -> ReferenceScene:
        return cls.from_picture(reference.key, reference.whole, reference.square, size, with_face=with_face)

    @classmethod
    def from_picture(
        cls, key: object, picture: np.ndarray, square: Square | None, size: tuple[int, int], *, with_face: bool
    ) -> ReferenceScene:
        """picture: the whole reference, uint8 [H, W, 3]; square: the part that is the frame, of height x width size."""
        layers = scene_of_reference(picture, square, *size)
        if not with_face:
            return cls(key, layers, None, None)
        still = resize_and_crop(picture if square is None else cut(picture, square), size)
        points = face_points(still[None])[0]
        if not np.isfinite(points[0, 0]):
            return cls(key, layers, None, None)
        return cls(key, layers, HeadTurn(HeadPlace.of(points), *size), Eyelids(points, *size))

    def moved(self, frames: np.ndarray, motion: MotionOfFrames) -> np.ndarray:
        """Frames uint8 [F, H, W, 3] as the motion says."""
        w2c = np.tile(np.eye(4), (len(frames), 1, 1)) if motion.w2c is None else motion.w2c
        turns = None
        if motion.head is not None:
            closed = np.zeros(len(frames)) if motion.eyes_closed is None else motion.eyes_closed
            turns = [partial(self._maps, *each) for each in zip(motion.head, closed, strict=True)]
        return self.layers.moved(frames, w2c, turns)

    def _maps(self, angles: np.ndarray, closure: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Where the person's pixels come from; None where nothing moves."""
        if self.turn is None or self.lids is None or (np.abs(angles).max() < 0.02 and closure == 0):
            return None
        columns, rows = self.turn.maps(*angles)
        if closure:
            import cv2

            # The eyes close in the head that is turned afterwards.
            rows = rows + cv2.remap(self.lids.shift(closure), columns, rows, cv2.INTER_LINEAR)
        return columns, rows


def _tracked_head(frames: np.ndarray, head: np.ndarray) -> TrackingScore | None:
    return head_tracking_score(head[::_LOOK_EVERY], head_pose(face_points(frames[::_LOOK_EVERY])))


class MotionPreview:
    """What camera and head will do to a source's first picture, before a film is made."""

    def __init__(
        self, source: Source, square: Square | None, seconds: float, camera: Camera | CameraControl | None,
        head: Head | None, seed: int = 0,
    ) -> None:  # fmt: skip
        self._source, self._square = source, square
        self._camera = None if camera is None else FilmCamera(camera, source, seconds, seed)
        self._head = None
        if head is not None:
            self._head = HeadTargets(head, source, seconds, lambda start, stop: np.zeros(stop - start), seed)

    @property
    def camera(self) -> FilmCamera | None:
        return self._camera

    def pictures(self, frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """At those frames of the film: uint8 [n, height, width, 3]."""
        whole = self._source.frame_at(0.0)
        still = resize_and_crop(whole if self._square is None else cut(whole, self._square), size)
        w2c = head = None
        if self._camera is not None:
            w2c = np.concatenate([self._camera.w2c(int(frame), 1, 0.0) for frame in frames])
        if self._head is not None:
            head = np.concatenate([self._head.at(int(frame), 1, 0.0)[0] for frame in frames])
        scene = ReferenceScene.from_picture("", whole, self._square, size, with_face=head is not None)
        return scene.moved(np.repeat(still[None], len(frames), axis=0), MotionOfFrames(w2c, head))


STAGE = LayeredWarpStage()
