"""A chunk job: everything that one chunk is made from, resolved once, with the overrides of its take applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..config.settings import Settings
from ..planning.chunks import Chunk


@dataclass(frozen=True)
class ChunkJob:
    """One take of one chunk. Nothing downstream looks at the request's or the plan's own values for these.

    chunk: with the take's reference. settings, seed, prompt: of this take; prompt None for the film's.
    noise_number: which of the seed's noises for this chunk. digest: a hash of everything that the take follows from.
    fades_into: number of the earlier take that the pictures fade into at their end, None where nothing depends on it.
    overrides: how the take differs from the film's own, for its record; None for take 0.
    ends_film: no chunk follows.
    """

    chunk: Chunk
    settings: Settings
    seed: int
    noise_number: int
    digest: str
    prompt: str | None = None
    fades_into: int | None = None
    overrides: Mapping[str, Any] | None = None
    ends_film: bool = False
