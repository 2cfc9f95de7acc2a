"""Finished chunks on disk: written in the background, found again on resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file
from torch import Tensor

from ..events import ChunkFinished
from ..media.soundtrack import Soundtrack
from ..media.writer import SegmentWriter
from ..models.loading import Models
from .film import Film
from .job import JobFolder, file_digest, write_json
from .plan import Chunk
from .stream import ChunkPictures, to_bytes

if TYPE_CHECKING:
    from ..media.detail import DetailCarrier


@dataclass(frozen=True)
class KeptTake:
    """A take found complete. context_latents: what the next chunk starts from, None after the last."""

    context_latents: Tensor | None
    event: ChunkFinished


class Takes:
    """The takes of one film. `soundtrack` is read here chunk by chunk, from one thread at a time."""

    def __init__(self, job: JobFolder, film: Film, soundtrack: Soundtrack, models: Models) -> None:
        self.job = job
        self.film = film
        self.soundtrack = soundtrack
        self._writer = SegmentWriter(
            width=film.plan.width, height=film.plan.height,
            sound_rate=soundtrack.rate,
        )
        request = film.request
        files = [request.source, *(speaker.audio for speaker in request.speakers)]
        self._digest = hashlib.sha256(
            json.dumps(
                [asdict(film.plan.settings), request.seed, request.prompt, request.negative_prompt,
                 [file_digest(file) for file in files], asdict(film.square) if film.square else None]
            ).encode()
        ).hexdigest()

    def digest(self, chunk: Chunk) -> str:
        """A hash of everything the chunk's pictures follow from: the film's inputs and settings, all chunks so far."""
        image = chunk.reference.image
        described = json.dumps([self._digest, asdict(chunk), file_digest(image) if image else None])
        self._digest = hashlib.sha256(described.encode()).hexdigest()
        return self._digest

    def segment(self, chunk: Chunk) -> Path:
        return self.job.take_dir(chunk.index) / "segment.mp4"

    def kept(self, chunk: Chunk, digest: str) -> KeptTake | None:
        """The chunk's take from an earlier run, if it is whole and made from the same inputs."""
        record = self.job.finished_take(chunk.index, digest)
        if record is None:
            return None
        context = self.job.take_dir(chunk.index) / "context.safetensors"
        latents = load_file(context)["context_latents"] if context.exists() else None
        return KeptTake(latents, self._event(chunk, record["seconds"]))

    def store(
        self,
        chunk: Chunk,
        digest: str,
        pictures: ChunkPictures,
        context_latents: Tensor | None,
        detail: DetailCarrier | None,
        report: Callable[[ChunkFinished], None],
    ) -> None:
        """Encode and write the chunk's new frames, its context and its record, then tell `report`.

        Raises:
            OutputError: if it cannot be written; no part of the take is left.
        """
        frames = to_bytes(pictures.frames[:, chunk.kept])
        if detail is not None:
            frames = detail.carry(frames)
        sound = self.soundtrack.read_frames(chunk.new_start_frame, chunk.num_new_frames)
        with self.job.writing_take(chunk.index) as folder:
            self._writer.write(folder / "segment.mp4", frames, sound)
            if context_latents is not None:
                context = context_latents.float().cpu().contiguous()
                save_file({"context_latents": context}, folder / "context.safetensors")
            write_json(
                folder / "take.json",
                {
                    "chunk": chunk.index,
                    "take": 0,
                    "seed": self.film.request.seed,
                    "inputs_sha256": digest,
                    "num_frames": chunk.num_new_frames,
                    "seconds": pictures.seconds,
                },
            )
        report(self._event(chunk, pictures.seconds))

    def finished_chunks(self) -> list[Chunk]:
        """The chunks on disk from the first on, without a gap."""
        finished = []
        for chunk in self.film.plan.chunks:
            if not self.segment(chunk).exists():
                break
            finished.append(chunk)
        return finished

    def _event(self, chunk: Chunk, seconds: dict[str, float]) -> ChunkFinished:
        return ChunkFinished(
            index=chunk.index,
            num_chunks=len(self.film.plan.chunks),
            segment=self.segment(chunk),
            start_seconds=chunk.start_seconds,
            stop_seconds=chunk.stop_seconds,
            seed=self.film.request.seed,
            seconds=seconds,
        )
