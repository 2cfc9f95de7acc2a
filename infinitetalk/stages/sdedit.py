"""SDEdit: a chunk starts from the source's own frames with noise over them (arXiv 2108.01073; paper section 3.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..config.request import GenerationRequest
from ..errors import InputError
from ..generation.job import ChunkJob
from ..planning.film import SourceFacts
from .base import FilmStage, Stage, StageFilm

if TYPE_CHECKING:
    from ..generation.generator import ChunkInputs


class SDEditStage(Stage):
    name = "sdedit"
    order = 100

    def check(self, request: GenerationRequest, facts: SourceFacts) -> list[str]:
        if not facts.spec.sdedit:
            raise InputError(
                f"{facts.spec.title} cannot start from the source's own pictures; choose another camera for it."
            )
        notes = [] if facts.source.kind != "image" else ["The source is a picture: SDEdit then holds its pose, too."]
        return [*notes, "With SDEdit colours may shift little by little in a long film."]

    def prepare(self, film: StageFilm) -> FilmStage:
        return _FilmSDEdit(film)


class _FilmSDEdit(FilmStage):
    def __init__(self, film: StageFilm) -> None:
        assert film.request.sdedit is not None
        self._inputs, self._strength = film.inputs, film.request.sdedit.denoising_strength

    def before(self, job: ChunkJob, inputs: ChunkInputs) -> ChunkInputs:
        if self._strength >= 1:
            return inputs
        video = self._inputs.source_video(job.chunk, inputs.reference.source_square)
        return replace(inputs, source_video=video, denoising_strength=self._strength)


STAGE = SDEditStage()
