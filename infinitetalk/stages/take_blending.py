"""Take blending: a take's pictures fade into an earlier take's, with which the film goes on unchanged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.request import GenerationRequest
from ..generation.job import ChunkJob
from ..media.fade import faded_into
from .base import FilmStage, FinishedChunk, Stage, StageFilm

if TYPE_CHECKING:
    from ..generation.generator import ChunkContext, ChunkInputs

SEGMENT, CONTEXT = "segment.mp4", "context.safetensors"


class TakeBlendingStage(Stage):
    name = "take_blending"
    order = 900  # the last: the segment of the earlier take is finished too

    def is_on(self, request: GenerationRequest) -> bool:
        return True

    def prepare(self, film: StageFilm) -> FilmStage:
        return _FilmBlending(film)


class _FilmBlending(FilmStage):
    def __init__(self, film: StageFilm) -> None:
        self._take_dir = film.take_dir

    def after(self, job: ChunkJob, inputs: ChunkInputs, chunk: FinishedChunk) -> FinishedChunk:
        if job.fades_into is None or self._take_dir is None:
            return chunk
        earlier = self._take_dir(job.chunk.index, job.fades_into)
        frames = faded_into(chunk.frames, earlier / SEGMENT)
        return replace(chunk, frames=frames, context=read_context(earlier / CONTEXT))


def read_context(path: Path) -> ChunkContext:
    """Of a take on disk; nothing where it has none, as the film's last chunk."""
    from safetensors.torch import load_file

    from ..generation.generator import ChunkContext

    kept = load_file(path) if path.exists() else {}
    last = kept.get("last_frame")
    return ChunkContext(kept.get("context_latents"), None if last is None else last.numpy())


def context_bytes(context: ChunkContext) -> bytes | None:
    """The file that `read_context` reads; None for a context without latents."""
    import torch
    from safetensors.torch import save

    if context.latents is None:
        return None
    tensors = {"context_latents": context.latents.float().cpu().contiguous()}
    if context.last_frame is not None:
        tensors["last_frame"] = torch.from_numpy(context.last_frame)
    return save(tensors)  # not save_file: it reports a full disk as a fault of its own


STAGE = TakeBlendingStage()
