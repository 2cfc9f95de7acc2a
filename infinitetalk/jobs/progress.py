"""Where the job stands and how long it will take, from what its steps have taken so far."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from ..events import Progress
from ..generation.generator import Cancelled, ChunkInputs, num_evaluations
from ..planning.chunks import Chunk
from ..planning.film import FilmPlan

_DECODE_STEPS = 1.0  # decoding and encoding a chunk, in steps of the transformer; only the bar's evenness depends on it
_TRUST_AFTER = 0.15  # share of the job after which its own pace counts alone


class Clock:
    """Turns the loop's calls into `Progress` events. Work is counted in transformer steps times frames.

    preview: from a step's latents to the pictures that go with its event.
    """

    def __init__(
        self, plan: FilmPlan, report: Callable[[Progress], None],
        preview: Callable[[Tensor], bytes | None] = lambda latents: None,
    ) -> None:  # fmt: skip
        self._report = report
        self._preview = preview
        self._num_chunks = len(plan.chunks)
        self._num_steps = plan.settings.steps
        self._per_chunk = self._num_steps + _DECODE_STEPS
        self._total = sum(chunk.num_frames for chunk in plan.chunks) * self._per_chunk
        self._expected_seconds = (plan.seconds_low + plan.seconds_high) / 2
        self._done = 0.0
        self._skipped = 0.0  # finished by an earlier run; says nothing about this run's pace
        self._chunk: Chunk | None = None
        self._start = time.perf_counter()
        self._step_start = self._start
        self._read_start: float | None = None
        self._step_seconds: float | None = None  # per frame, smoothed; the first step of a chunk also prepares it

    @property
    def seconds(self) -> dict[str, float]:
        return {"total": time.perf_counter() - self._start}

    def begin(self, chunk: Chunk) -> None:
        self._complete_chunk()
        self._chunk = chunk
        self._step_start = time.perf_counter()
        self._tell("preparing", 0.0)

    def generating(self, inputs: ChunkInputs) -> None:
        """The current chunk is about to be denoised, in fewer steps where it starts from pictures."""
        self._num_steps = num_evaluations(inputs.settings, inputs.denoising_strength)

    def reading(self, should_stop: Callable[[], bool]) -> Callable[[float], None]:
        """What takes the share of a film that is read first, and raises `Cancelled` if the user stops."""

        def read(share: float) -> None:
            self.following(share)
            if should_stop():
                raise Cancelled

        return read

    def following(self, share: float) -> None:
        """That much of a film is read which camera, head or body are to follow."""
        now = time.perf_counter()
        if self._read_start is None:
            self._read_start = now
        elapsed = now - self._start
        left = (now - self._read_start) * (1 - share) / share if share > 0 else 0.0
        total = left + self._expected_seconds if self._expected_seconds else None
        self._report(Progress("following", 0.0, elapsed, total, num_chunks=self._num_chunks))

    def skip(self, chunk: Chunk) -> None:
        """`chunk` was finished by an earlier run."""
        self._skipped += chunk.num_frames * self._per_chunk

    def step(self, index: int, latents: Tensor) -> None:
        """Step `index` of the current chunk is done; `latents` is the chunk as it foresees it."""
        assert self._chunk is not None, "a step belongs to a chunk that has begun"
        now = time.perf_counter()
        taken = (now - self._step_start) / self._chunk.num_frames
        self._step_seconds = taken if self._step_seconds is None else 0.7 * self._step_seconds + 0.3 * taken
        self._step_start = now
        last = index + 1 == self._num_steps
        self._tell("decoding" if last else "denoising", index + 1.0, None if last else index + 1, latents)

    def finishing(self) -> None:
        self._complete_chunk()
        self._tell("finishing", 0.0)

    def _complete_chunk(self) -> None:
        if self._chunk is not None:
            self._done += self._chunk.num_frames * self._per_chunk
            self._chunk = None

    def _tell(self, stage: str, steps: float, step: int | None = None, latents: Tensor | None = None) -> None:
        chunk = self._chunk
        done = self._done + (chunk.num_frames * steps if chunk else 0.0)
        fraction = min(1.0, done / self._total)
        elapsed = time.perf_counter() - self._start
        self._report(
            Progress(
                stage=stage,
                fraction=fraction,
                seconds_elapsed=elapsed,
                seconds_left=self._seconds_left(done, elapsed),
                chunk=None if chunk is None else chunk.index,
                num_chunks=self._num_chunks,
                step=step if chunk else None,
                num_steps=self._num_steps if chunk else None,
                chunk_seconds_left=self._chunk_seconds_left(steps),
                preview=None if latents is None else self._preview(latents),
            )
        )

    def _chunk_seconds_left(self, steps: float) -> float | None:
        if self._chunk is None or self._step_seconds is None:
            return None
        return self._step_seconds * self._chunk.num_frames * (self._per_chunk - steps)

    def _seconds_left(self, done: float, elapsed: float) -> float | None:
        """The plan's estimate at first, then more and more this run's own pace, which alone counts without a plan's."""
        own = done - self._skipped
        left = (self._total - done) / self._total
        expected = self._expected_seconds * left
        if own <= 0:
            return expected or None
        if not self._expected_seconds:
            return elapsed * (self._total - done) / own
        trust = min(1.0, own / self._total / _TRUST_AFTER)
        return trust * elapsed * (self._total - done) / own + (1 - trust) * expected
