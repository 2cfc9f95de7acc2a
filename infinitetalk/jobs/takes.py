"""Finished chunks on disk: written in the background, found again on resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from ..vision.tracking import TrackingScore
from ..config.former_names import with_current_names, with_former_names
from ..errors import JobError
from ..events import ChunkFinished
from ..media.fade import faded_into
from ..media.soundtrack import Soundtrack
from ..media.writer import SegmentWriter
from ..checkpoints.loading import Models
from ..config.camera import Camera
from ..config.composite import Composite
from ..config.head import Head
from ..config.pose import Pose
from ..planning.film import Film
from .folder import JobFolder, file_digest, write_json
from ..planning.chunks import Chunk
from .retakes import ChunkTakes, TakeOverrides, read_takes

# Every segment begins with a picture encoded by itself. What encoding loses of it shows as a step at the border of two
# chunks, four times that from frame to frame at the default; small pictures can afford to lose nearly nothing: a
# megabit a second.
FINE_QUANTIZER, FINE_PIXELS = 1, 256 * 256


@dataclass(frozen=True)
class KeptTake:
    """A take found complete. context_latents, last_frame: what the next chunk starts from, None after the last."""

    number: int
    context_latents: Tensor | None
    last_frame: np.ndarray | None
    event: ChunkFinished


class Takes:
    """The takes of one film. `soundtrack` is read here chunk by chunk, from one thread at a time."""

    def __init__(self, job: JobFolder, film: Film, soundtrack: Soundtrack, models: Models) -> None:
        self.job = job
        self.film = film
        self.soundtrack = soundtrack
        self.writer = SegmentWriter(
            width=film.plan.width,
            height=film.plan.height,
            sound_rate=soundtrack.rate,
            quantizer=FINE_QUANTIZER if film.plan.width * film.plan.height <= FINE_PIXELS else None,
        )
        request = film.request
        files = [request.source, *(speaker.audio for speaker in request.speakers)]
        self._chosen = read_takes(job)
        self._shown: dict[int, int] = {}  # number of each chunk's take, as far as the film has got
        self._over: dict | None = None  # record of the take that the current one fades into
        # What is not chosen means what it meant before it could be.
        steering = [_steered(one) for one in (request.camera, request.head, request.pose, request.composite)
                    if one is not None]  # fmt: skip
        self._digest = hashlib.sha256(
            json.dumps(
                [
                    with_former_names(asdict(film.plan.settings)),
                    request.seed,
                    request.prompt,
                    request.negative_prompt,
                    [file_digest(file) for file in files],
                    asdict(film.square) if film.square else None,
                    *steering,
                ]
            ).encode()
        ).hexdigest()

    @property
    def remade(self) -> bool:
        """Whether any chunk has more than one take."""
        return bool(self._chosen)

    def recipe(self, chunk: Chunk) -> TakeOverrides | None:
        """How the chosen take differs from the film's own settings, None if in nothing."""
        own = self._chosen.get(chunk.index)
        return None if own is None else own.recipe(own.chosen)

    def digest(self, chunk: Chunk) -> str:
        """A hash of everything the chunk's pictures follow from: the film's inputs and settings, all chunks so far.

        To be asked chunk by chunk, with each chunk as the plan has it.
        """
        image = chunk.reference.image
        described = json.dumps([self._digest, _described(chunk), file_digest(image) if image else None])
        first = hashlib.sha256(described.encode()).hexdigest()
        own = self._chosen.get(chunk.index, ChunkTakes())
        # What follows a take that fades into another follows from that other one.
        follows = own.chosen
        while (recipe := own.recipe(follows)) is not None and recipe.join == "blend":
            follows = recipe.over
        self._digest = _digest_of(first, own, follows)
        self._over = None
        if (recipe := own.recipe(own.chosen)) is not None and recipe.join == "blend":
            self._over = self.job.finished_take(chunk.index, _digest_of(first, own, recipe.over))
            if self._over is None:
                raise JobError(
                    f"Take {own.chosen} of chunk {chunk.index} fades into take {recipe.over}, which is not there any "
                    f"more; choose another with `infinitetalk takes {self.job.path} --chunk {chunk.index} --use 0`."
                )
        return _digest_of(first, own, own.chosen)

    def noise_number(self, chunk: Chunk) -> int:
        """Which of the chunk's noises the chosen take starts from: with a seed of its own the first, as a film does."""
        recipe = self.recipe(chunk)
        return 0 if recipe is None or recipe.seed is not None else self._chosen[chunk.index].chosen

    def segment(self, chunk: Chunk) -> Path:
        """Of the take that is shown, once it is there."""
        return self.job.take_dir(chunk.index, self._shown[chunk.index]) / "segment.mp4"

    def kept(self, chunk: Chunk, digest: str) -> KeptTake | None:
        """The chunk's take from an earlier run, if it is whole and made from the same inputs."""
        record = self.job.finished_take(chunk.index, digest)
        if record is None:
            return None
        number = self._shown[chunk.index] = record["take"]
        followed = {name: TrackingScore(**one) for name, one in with_current_names(record).get("tracking", {}).items()}
        return KeptTake(number, *self._end(chunk.index, number), self._event(chunk, record["seconds"], followed))

    def faded_into(self, chunk: Chunk) -> int | None:
        """Number of the take that the chosen one fades into, where something follows that was made after that one."""
        chunks = self.film.plan.chunks
        follows = chunk.index + 1 < len(chunks) and not chunks[chunk.index + 1].opens_shot
        return self._over["take"] if follows and self._over is not None else None

    def end_of(self, chunk: Chunk, take: int) -> tuple[Tensor | None, np.ndarray | None]:
        """What the next chunk starts from after that take: context latents and last frame."""
        return self._end(chunk.index, take)

    def _end(self, chunk: int, number: int) -> tuple[Tensor | None, np.ndarray | None]:
        path = self.job.take_dir(chunk, number) / "context.safetensors"
        kept = load_file(path) if path.exists() else {}
        last = kept.get("last_frame")
        return kept.get("context_latents"), None if last is None else last.numpy()

    def store(
        self,
        chunk: Chunk,
        digest: str,
        frames: np.ndarray,
        seconds: dict[str, float],
        context_latents: Tensor | None,
        last_frame: np.ndarray | None,
        report: Callable[[ChunkFinished], None],
        recipe: TakeOverrides | None = None,
        over: int | None = None,
        tracking: Mapping[str, TrackingScore] | None = None,
    ) -> None:
        """Encode and write the chunk's new frames, its context and its record, then tell `report`.

        frames: the new ones, uint8 [F, H, W, 3]; bytes, because some wait for the encoder. seconds: of each stage.
        over: number of the take that these pictures fade into at their end. followed: how well they were steered.

        Raises:
            OutputError: if it cannot be written; no part of the take is left.
        """
        if over is not None:
            frames = faded_into(frames, self.job.take_dir(chunk.index, over) / "segment.mp4")
        sound = self.soundtrack.read_frames(chunk.new_start_frame, chunk.num_new_frames)
        number = self.job.next_take(chunk.index)
        with self.job.writing_take(chunk.index, number) as folder:
            self.writer.write(folder / "segment.mp4", frames, sound)
            if context_latents is not None:
                context = {"context_latents": context_latents.float().cpu().contiguous()}
                if last_frame is not None:
                    context["last_frame"] = torch.from_numpy(last_frame)
                # Not save_file: it reports a full disk as a fault of its own.
                (folder / "context.safetensors").write_bytes(save(context))
            write_json(
                folder / "take.json",
                {
                    "chunk": chunk.index,
                    "take": number,
                    "seed": self.film.request.seed,
                    "recipe": None if recipe is None else recipe.fingerprint(),
                    "inputs_sha256": digest,
                    "num_frames": chunk.num_new_frames,
                    "seconds": seconds,
                    **({"followed": {name: asdict(one) for name, one in followed.items()}} if followed else {}),
                    "bytes": {file.name: file.stat().st_size for file in sorted(folder.iterdir())},
                },
            )
        self._shown[chunk.index] = number
        report(self._event(chunk, seconds, followed))

    def finished_chunks(self) -> list[Chunk]:
        """The chunks that are there from the first on, without a gap."""
        finished = []
        for chunk in self.film.plan.chunks:
            if chunk.index not in self._shown:
                break
            finished.append(chunk)
        return finished

    def _event(
        self, chunk: Chunk, seconds: dict[str, float], tracking: Mapping[str, TrackingScore] | None = None
    ) -> ChunkFinished:
        return ChunkFinished(
            index=chunk.index,
            num_chunks=len(self.film.plan.chunks),
            segment=self.segment(chunk),
            start_seconds=chunk.start_seconds,
            stop_seconds=chunk.stop_seconds,
            seed=self.film.request.seed,
            seconds=seconds,
            followed=followed or {},
        )


def _described(chunk: Chunk) -> dict:
    """The chunk without what it leaves to the film, so that a choice not made means what it meant before it existed."""
    return with_former_names({name: value for name, value in asdict(chunk).items() if value is not None})


_ADDED = {"Camera": {"first": 0.0, "last": 1.0}}  # later than films that are to be continued; left out as they were


def _steered(choice: Camera | Head | Pose | Composite) -> dict:
    kind = type(choice).__name__
    added = _ADDED.get(kind, {})
    own = {name: value for name, value in asdict(choice).items() if added.get(name, ...) != value}
    described = {"kind": kind, **own}
    if choice.file is not None:
        described = {name: file_digest(value) if value == choice.file else value for name, value in described.items()}
    return described


def _digest_of(first: str, own: ChunkTakes, take: int) -> str:
    """Of a take, from that of the film's own."""
    recipe = own.recipe(take)
    if recipe is None:
        return first
    described = json.dumps([first, take, recipe.fingerprint()], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()
