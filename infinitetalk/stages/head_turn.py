"""Head turn: the head of a model whose pictures keep it still moves as people's do, or as a film's does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..config.constants import FRAMES_PER_SECOND
from ..config.head import LIVELY, Head
from ..config.request import GenerationRequest
from ..config.shares import FOLLOW
from ..errors import InputError
from ..generation.camera_targets import Report
from ..generation.job import ChunkJob
from ..media.probe import require_source
from ..media.scanning import remembered_cuts
from ..media.video import Source
from ..planning.film import SourceFacts
from ..planning.voices import Loudness
from ..vision.blink import closures
from ..vision.head_motion import HeadMotion, begun, lively, read_head
from .base import FilmStage, FinishedChunk, Stage, StageFilm

if TYPE_CHECKING:
    from ..generation.generator import ChunkInputs

_SECONDS = 0.13  # for each second of film of 256 x 256 pixels, on two cores


class HeadTurnStage(Stage):
    name = "head"
    order = 310

    def check(self, request: GenerationRequest, facts: SourceFacts) -> list[str]:
        head = request.head
        assert head is not None
        notes = []
        if facts.spec.moves_head:
            notes.append(f"{facts.spec.title} moves the head by itself; yours is laid over that.")
        if head.source == LIVELY:
            return notes
        if head.source == FOLLOW and facts.source.kind == "image":
            raise InputError("The source is a picture, whose head rests; choose lively, or a film that shows a head.")
        path = head.file or facts.source.path
        info = require_source(path)
        if info.kind == "image":
            raise InputError("What the head follows is a picture, where no head moves; give a film.")
        length, duration = info.duration_seconds or 0.0, facts.duration_seconds
        if length < duration - 0.1:
            notes.append(
                f"The head's movement lasts {length:.1f} s and the film {duration:.1f} s; it then runs backwards and "
                "forwards."
            )
        if head.file is not None and (cuts := remembered_cuts(path, min(length, duration))):
            notes.append(f"The film that the head follows cuts at {cuts[0]:.1f} s; the head may jump there.")
        return notes

    def estimate_seconds(self, request: GenerationRequest, facts: SourceFacts) -> float:
        return _SECONDS * facts.picture_seconds

    def prepare(self, film: StageFilm) -> FilmStage:
        return _FilmHeadTurn(film)


class HeadTargets:
    """How the head of one film is to turn; what it follows is read once.

    seed: of a lively head's movements. report: gets the share of a film that is read.
    """

    def __init__(
        self, head: Head, source: Source, duration_seconds: float, loudness: Loudness, seed: int = 0,
        report: Report = None,
    ) -> None:  # fmt: skip
        self._head, self._loudness, self._seed = head, loudness, seed % 2**32
        self._motion: HeadMotion | None = None
        if head.source != LIVELY:
            self._motion = read_head(head.file or source.path, duration_seconds, report)

    def at(self, start_frame: int, num_frames: int, reference_seconds: float | None) -> tuple[np.ndarray, np.ndarray]:
        """Yaw, pitch and roll, [F, 3] in degrees, and how far the eyes are closed, [F] from 0 to 1.

        reference_seconds: when the source's camera saw the reference; None for another picture.
        """
        if self._motion is None:
            turned = lively(self._loudness, start_frame, num_frames, self._seed)
            return np.float32(self._head.amount) * turned, closures(start_frame, num_frames, self._seed)
        turned = self._motion.at(start_frame, num_frames)
        if self._head.source == FOLLOW and reference_seconds is not None:
            # The reference is turned already as the source was then.
            turned = turned - self._motion.at(round(reference_seconds * FRAMES_PER_SECOND), 1)
        else:
            turned = begun(turned, start_frame)
        return np.float32(self._head.amount) * turned, np.zeros(num_frames)


class _FilmHeadTurn(FilmStage):
    def __init__(self, film: StageFilm) -> None:
        request, plan = film.request, film.film.plan
        assert request.head is not None
        self._targets = HeadTargets(
            request.head, film.film.source, plan.duration_seconds, film.voices.loudness, request.seed, film.report
        )

    def after(self, job: ChunkJob, inputs: ChunkInputs, chunk: FinishedChunk) -> FinishedChunk:
        new = job.chunk
        head, closed = self._targets.at(new.new_start_frame, new.num_new_frames, inputs.reference.source_seconds)
        return replace(chunk, motion=replace(chunk.motion, head=head, eyes_closed=closed))


STAGE = HeadTurnStage()
