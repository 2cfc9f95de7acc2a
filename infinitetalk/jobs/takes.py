"""Finished chunks on disk: written in the background, found again on resume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ..config.former_names import with_current_names
from ..events import ChunkFinished
from ..generation.generator import ChunkContext
from ..generation.job import ChunkJob
from ..media.soundtrack import Soundtrack
from ..media.writer import SegmentWriter
from ..planning.chunks import Chunk
from ..planning.film import Film
from ..stages.base import FinishedChunk
from ..stages.take_blending import CONTEXT, SEGMENT, context_bytes, read_context
from ..vision.tracking import TrackingScore
from .folder import JobFolder, write_json

# Every segment begins with a picture encoded by itself. What encoding loses of it shows as a step at the border of two
# chunks, four times that from frame to frame at the default; small pictures can afford to lose nearly nothing: a
# megabit a second.
FINE_QUANTIZER, FINE_PIXELS = 1, 256 * 256


@dataclass(frozen=True)
class KeptTake:
    """A take found complete. context: what the next chunk starts from."""

    context: ChunkContext
    event: ChunkFinished


class TakeStore:
    """The takes of one film. `soundtrack` is read here chunk by chunk, from one thread at a time."""

    def __init__(self, folder: JobFolder, film: Film, soundtrack: Soundtrack) -> None:
        self.folder = folder
        self.film = film
        self.soundtrack = soundtrack
        plan = film.plan
        self.writer = SegmentWriter(
            width=plan.width,
            height=plan.height,
            sound_rate=soundtrack.rate,
            quantizer=FINE_QUANTIZER if plan.width * plan.height <= FINE_PIXELS else None,
        )
        self._in_film: dict[int, int] = {}  # number of each chunk's take, as far as the film has got

    def segment(self, chunk: Chunk) -> Path:
        """Of the take that is in the film, once it is there."""
        return self.folder.take_dir(chunk.index, self._in_film[chunk.index]) / SEGMENT

    def find(self, job: ChunkJob) -> KeptTake | None:
        """The job's take from an earlier run, if it is whole and made from the same inputs."""
        record = self.folder.finished_take(job.chunk.index, job.digest)
        if record is None:
            return None
        number = self._in_film[job.chunk.index] = record["take"]
        scores = with_current_names(record).get("tracking", {})
        tracking = {name: TrackingScore(**one) for name, one in scores.items()}
        context = read_context(self.folder.take_dir(job.chunk.index, number) / CONTEXT)
        return KeptTake(context, self._event(job.chunk, record["seconds"], tracking))

    def write(self, job: ChunkJob, made: FinishedChunk, report: Callable[[ChunkFinished], None]) -> None:
        """Encode and write the chunk's new frames, its context and its record, then call `report`.

        Raises:
            OutputError: if it cannot be written; no part of the take is left.
        """
        chunk = job.chunk
        sound = self.soundtrack.read_frames(chunk.new_start_frame, chunk.num_new_frames)
        number = self.folder.next_take(chunk.index)
        with self.folder.writing_take(chunk.index, number) as path:
            self.writer.write(path / SEGMENT, made.frames, sound)
            if (context := context_bytes(made.context)) is not None:
                (path / CONTEXT).write_bytes(context)
            record = {
                "chunk": chunk.index,
                "take": number,
                "seed": self.film.request.seed,
                "overrides": job.overrides,
                "inputs_sha256": job.digest,
                "num_frames": chunk.num_new_frames,
                "seconds": made.seconds,
                **({"tracking": {name: asdict(one) for name, one in made.tracking.items()}} if made.tracking else {}),
                "bytes": {file.name: file.stat().st_size for file in sorted(path.iterdir())},
            }
            write_json(path / "take.json", record)
        self._in_film[chunk.index] = number
        report(self._event(chunk, made.seconds, made.tracking))

    def finished_chunks(self) -> list[Chunk]:
        """The chunks that are there from the first on, without a gap."""
        finished = []
        for chunk in self.film.plan.chunks:
            if chunk.index not in self._in_film:
                break
            finished.append(chunk)
        return finished

    def _event(self, chunk: Chunk, seconds: dict[str, float], tracking: dict[str, TrackingScore]) -> ChunkFinished:
        return ChunkFinished(
            index=chunk.index,
            num_chunks=len(self.film.plan.chunks),
            segment=self.segment(chunk),
            start_seconds=chunk.start_seconds,
            stop_seconds=chunk.stop_seconds,
            seed=self.film.request.seed,
            seconds=seconds,
            tracking=tracking,
        )
