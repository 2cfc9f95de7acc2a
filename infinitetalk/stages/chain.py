"""The stages of one film, one after the other."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ..generation.job import ChunkJob
from . import all_stages
from .base import FilmStage, FinishedChunk, StageFilm

if TYPE_CHECKING:
    from ..generation.generator import ChunkInputs, GeneratedChunk


class StageChain:
    """Those that the request turns on."""

    def __init__(self, film: StageFilm) -> None:
        on = [stage for stage in all_stages() if stage.is_on(film.request)]
        self._stages: list[tuple[str, FilmStage]] = [(stage.name, stage.prepare(film)) for stage in on]

    def before(self, job: ChunkJob, inputs: ChunkInputs) -> ChunkInputs:
        for _, stage in self._stages:
            inputs = stage.before(job, inputs)
        return inputs

    def after(self, job: ChunkJob, inputs: ChunkInputs, generated: GeneratedChunk) -> FinishedChunk:
        """The chunk's new frames as they are stored; each stage's time under its name."""
        from ..generation.generator import to_bytes

        frames = to_bytes(generated.frames[:, job.chunk.kept])
        chunk = FinishedChunk(frames, generated.context, generated.seconds)
        del generated  # its frames are four times as large as their bytes
        for name, stage in self._stages:
            start = time.perf_counter()
            changed = stage.after(job, inputs, chunk)
            if changed is not chunk:
                seconds = {**changed.seconds, name: time.perf_counter() - start}
                chunk = replace(changed, seconds=seconds)
        return chunk
