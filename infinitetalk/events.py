"""What `generate` yields; page, command line, tests and scripts iterate the same three."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .vision.tracking import TrackingScore


@dataclass(frozen=True)
class Progress:
    """Work is going on.

    stage: loading | preparing | following | listening | denoising | decoding | finishing.
    fraction: of the whole job, 0 to 1. seconds_left: None until it can be estimated.
    chunk, step: being worked on, counted from 0; None outside chunks and steps.
    chunk_seconds_left: until this chunk can be played; None until a step has been timed.
    preview: JPEG of a row of small pictures of the chunk as it looks now; None where there is no newer one.
    """

    stage: str
    fraction: float
    seconds_elapsed: float
    seconds_left: float | None = None
    chunk: int | None = None
    num_chunks: int | None = None
    step: int | None = None
    num_steps: int | None = None
    chunk_seconds_left: float | None = None
    preview: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ChunkFinished:
    """A stretch is on disk and can be played: `segment` is an mp4 with the sound of just that stretch (ALAC)."""

    index: int
    num_chunks: int
    segment: Path
    start_seconds: float
    stop_seconds: float
    seed: int
    seconds: Mapping[str, float] = field(default_factory=dict)  # wall time per stage
    tracking: Mapping[str, TrackingScore] = field(default_factory=dict)  # `camera`: how well the frames follow it


@dataclass(frozen=True)
class Finished:
    """The end. `complete` is False after a cancel: `output` then holds the chunks that were finished (None if none)."""

    output: Path | None
    job_dir: Path
    complete: bool
    num_frames: int
    seconds: Mapping[str, float] = field(default_factory=dict)


Event = Progress | ChunkFinished | Finished
