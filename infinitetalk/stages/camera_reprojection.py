"""Camera reprojection: every finished picture is reprojected along a camera path, whatever the model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..config.camera import Camera, CameraControl
from ..config.request import GenerationRequest
from ..config.shares import FOLLOW
from ..errors import InputError
from ..generation.camera_targets import FilmCamera
from ..generation.job import ChunkJob
from ..planning.film import SourceFacts
from ..vision.camera_path import CameraPath, load_path
from .base import FilmStage, FinishedChunk, Stage, StageFilm

if TYPE_CHECKING:
    from ..generation.generator import ChunkInputs

_SECONDS = 0.14  # for each second of film of 256 x 256 pixels, on two cores


def check_path(camera: Camera | CameraControl, facts: SourceFacts) -> CameraPath | None:
    """The path of the camera's file, None where it has none.

    Raises:
        InputError: the path cannot be used with this source, or its file is damaged.
    """
    if camera.path == FOLLOW and facts.source.kind == "image":
        raise InputError("The source is a picture, whose camera rests; choose a ready-made movement for it.")
    return None if camera.file is None else load_path(camera.file)


class CameraReprojectionStage(Stage):
    name = "camera"
    order = 300

    def check(self, request: GenerationRequest, facts: SourceFacts) -> list[str]:
        assert request.camera is not None
        check_path(request.camera, facts)
        return []

    def estimate_seconds(self, request: GenerationRequest, facts: SourceFacts) -> float:
        return _SECONDS * facts.picture_seconds

    def prepare(self, film: StageFilm) -> FilmStage:
        return _FilmReprojection(film)


class _FilmReprojection(FilmStage):
    def __init__(self, film: StageFilm) -> None:
        request, plan = film.request, film.film.plan
        assert request.camera is not None
        self._camera = FilmCamera(request.camera, film.film.source, plan.duration_seconds, request.seed, film.report)

    def after(self, job: ChunkJob, inputs: ChunkInputs, chunk: FinishedChunk) -> FinishedChunk:
        new = job.chunk
        w2c = self._camera.w2c(new.new_start_frame, new.num_new_frames, inputs.reference.source_seconds)
        return replace(chunk, motion=replace(chunk.motion, w2c=w2c))


STAGE = CameraReprojectionStage()
