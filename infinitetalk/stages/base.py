"""What a stage is: one feature of a chunk, in one file of this folder.

A stage says what it checks in a request and what it costs, and prepares a `FilmStage` that serves one film:

    for stage in stages: inputs = stage.before(job, inputs)
    chunk = generator.generate(inputs)
    for stage in stages: chunk = stage.after(job, inputs, chunk)

The user's choice for a stage is a field of the request of the stage's name, or, for a stage that the request does not
know, an entry of `request.stages`; from there it goes into the chunks' digests and, where it names a file, into the
job's folder. `CONTRIBUTING.md` shows a complete example.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..config.request import GenerationRequest
from ..generation.job import ChunkJob
from ..planning.film import Film, SourceFacts
from ..planning.voices import FilmVoices
from ..vision.tracking import TrackingScore

if TYPE_CHECKING:
    from ..generation.generator import ChunkContext, ChunkInputs
    from ..generation.inputs import FilmInputs


@dataclass(frozen=True)
class MotionOfFrames:
    """How finished frames are still to be moved; `layered_warp` moves them once for camera and head together.

    w2c: float64 [F, 4, 4], cameras against that of the reference. head: yaw, pitch and roll, [F, 3] in degrees.
    eyes_closed: [F], 0 to 1.
    """

    w2c: np.ndarray | None = None
    head: np.ndarray | None = None
    eyes_closed: np.ndarray | None = None


@dataclass(frozen=True)
class FinishedChunk:
    """A chunk's new frames on their way to the encoder.

    frames: uint8 [F, H, W, 3]. context: what the next chunk starts from. seconds: per stage of the work.
    tracking: scores of how well the frames follow their targets. motion: see `MotionOfFrames`.
    """

    frames: np.ndarray
    context: ChunkContext
    seconds: dict[str, float] = field(default_factory=dict)
    tracking: dict[str, TrackingScore] = field(default_factory=dict)
    motion: MotionOfFrames = MotionOfFrames()

    def scored(self, name: str, score: TrackingScore | None) -> FinishedChunk:
        """With one score more, where there is one."""
        return self if score is None else replace(self, tracking={**self.tracking, name: score})


@dataclass(frozen=True)
class StageFilm:
    """What a stage may use while it serves a film.

    report: gets the share, 0 to 1, of a film that is read first; raises `Cancelled` if the user stops. take_dir: the
    folder of a finished take, from the numbers of chunk and take.
    """

    film: Film
    inputs: FilmInputs
    voices: FilmVoices
    report: Callable[[float], None] | None = None
    take_dir: Callable[[int, int], Path] | None = None

    @property
    def request(self) -> GenerationRequest:
        return self.film.request


class FilmStage:
    """Serves one film. Both methods return their argument where the chunk needs nothing of them."""

    def before(self, job: ChunkJob, inputs: ChunkInputs) -> ChunkInputs:
        """Add to what the chunk is generated from."""
        return inputs

    def after(self, job: ChunkJob, inputs: ChunkInputs, chunk: FinishedChunk) -> FinishedChunk:
        """Change the new frames or score them."""
        return chunk


class Stage:
    """A feature. Every module of this folder that defines `STAGE` is found by itself; `order` sorts them.

    name: of the request's field or of the entry in `request.stages`; the stage's time is recorded under it.
    """

    name: ClassVar[str]
    order: ClassVar[int] = 500

    def choice(self, request: GenerationRequest) -> Any:
        """What the user chose; None where the feature is off."""
        return getattr(request, self.name, None) or request.stages.get(self.name)

    def is_on(self, request: GenerationRequest) -> bool:
        return self.choice(request) is not None

    def check(self, request: GenerationRequest, facts: SourceFacts) -> list[str]:
        """Notes for the user before anything is made.

        Raises:
            UserError: the choice cannot be carried out with this source or model.
        """
        return []

    def estimate_seconds(self, request: GenerationRequest, facts: SourceFacts) -> float:
        """Added to the plan's time, for the whole film on two laptop cores."""
        return 0.0

    def prepare(self, film: StageFilm) -> FilmStage:
        raise NotImplementedError
