"""Uni3C: a control network is given renderings of the scene along a camera path (ewrfcas/Uni3C)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from ..config.constants import FRAMES_PER_SECOND
from ..config.request import GenerationRequest
from ..config.shares import FOLLOW
from ..generation.camera_targets import FilmCamera, tracked_camera
from ..generation.control_inputs import CameraTarget
from ..generation.job import ChunkJob
from ..planning.film import SourceFacts
from ..vision.camera_path import preset_path
from ..vision.tracking import farthest
from .base import FilmStage, FinishedChunk, Stage, StageFilm
from .camera_reprojection import check_path
from .control_networks import check_network

if TYPE_CHECKING:
    from ..generation.generator import ChunkInputs

_REACH_TOLERANCE = 1.1


class Uni3CStage(Stage):
    name = "camera_control"
    order = 110

    def check(self, request: GenerationRequest, facts: SourceFacts) -> list[str]:
        camera, reach = request.camera_control, facts.spec.camera_reach
        assert camera is not None
        path = check_path(camera, facts)
        notes = check_network("uni3c", facts)
        if reach is None or camera.path == FOLLOW:
            return notes
        path = path or preset_path(camera.path, camera.amount, facts.duration_seconds, request.seed % 2**32)
        moved = farthest(path.w2c(max(1, round(FRAMES_PER_SECOND * facts.duration_seconds))))
        if moved <= reach * _REACH_TOLERANCE:
            return notes
        less = "a shorter path"
        if camera.file is None:
            amount = math.floor(10 * abs(camera.amount) * reach / moved + 1e-6) / 10
            less = f"the amount {math.copysign(max(0.1, amount), camera.amount):g}"
        return [
            *notes,
            f"This camera moves the picture by {100 * moved:.0f} % of its width, and {facts.spec.title}'s network was "
            f"made for {100 * reach:.0f} %; beyond that the mouth may stay behind. Choose {less}, or have finished "
            "pictures reprojected instead.",
        ]

    def prepare(self, film: StageFilm) -> FilmStage:
        return _FilmUni3C(film)


class _FilmUni3C(FilmStage):
    def __init__(self, film: StageFilm) -> None:
        request = film.request
        assert request.camera_control is not None
        self._control = request.camera_control
        self._camera = FilmCamera(
            request.camera_control, film.film.source, film.film.plan.duration_seconds, request.seed, film.report
        )

    def before(self, job: ChunkJob, inputs: ChunkInputs) -> ChunkInputs:
        chunk, control = job.chunk, self._control
        w2c = self._camera.w2c(chunk.start_frame, chunk.num_frames, inputs.reference.source_seconds)
        target = CameraTarget(w2c, chunk.control_factor * control.strength, (control.first, control.last))
        return replace(inputs, targets=replace(inputs.targets, camera=target))

    def after(self, job: ChunkJob, inputs: ChunkInputs, chunk: FinishedChunk) -> FinishedChunk:
        import cv2

        control = inputs.control
        if control is None or control.w2c is None or control.depth is None or not control.camera_strength:
            return chunk
        height, width = chunk.frames.shape[1:3]  # a small model's are larger than what it generates
        depth = cv2.resize(control.depth, (width, height), interpolation=cv2.INTER_NEAREST)
        return chunk.scored("camera", tracked_camera(chunk.frames, control.w2c[job.chunk.kept], depth))


STAGE = Uni3CStage()
