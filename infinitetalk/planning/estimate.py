"""What a film will take: time from what this machine took before, memory from the networks' sizes, disk."""

from __future__ import annotations

from dataclasses import dataclass

from ..config.request import GenerationRequest
from ..runtime.machine import this_machine
from ..runtime.memory import needs_of, shortfalls
from ..runtime.timing import estimate_chunk_seconds
from .chunks import NUM_CHUNK_FRAMES, Chunk
from .facts import Features, SourceFacts

_SEGMENT_KB_PER_FRAME = 6.0  # of a 256-pixel segment at its quality, sound included; measured on nano's films
_LOW, _HIGH = 0.7, 1.6  # of the estimated time: other programs, other clip lengths


@dataclass(frozen=True)
class Estimate:
    """As in `FilmPlan`. notes: what this machine lacks."""

    memory_mb: float
    vram_mb: float
    disk_mb: float
    seconds_low: float
    seconds_high: float
    first_chunk_seconds: float
    notes: list[str]


def estimate(
    request: GenerationRequest, facts: SourceFacts, chunks: tuple[Chunk, ...], num_frames: int, features: Features
) -> Estimate:
    settings, spec = facts.settings, facts.spec
    size = facts.height // spec.decoder_upscale, facts.width // spec.decoder_upscale
    needs = needs_of(spec, settings, *size, speakers=len(request.speakers), controls=request.controls)
    chunk_seconds = estimate_chunk_seconds(spec, settings)
    work = chunk_seconds * sum(chunk.num_frames for chunk in chunks) / NUM_CHUNK_FRAMES
    added = sum(feature.estimate_seconds(request, facts) for feature in features if feature.is_on(request))
    first = chunk_seconds * chunks[0].num_frames / NUM_CHUNK_FRAMES + added * chunks[0].num_new_frames / num_frames
    pictures_kb = 2 * num_frames * _SEGMENT_KB_PER_FRAME * (facts.width * facts.height) / 256**2
    return Estimate(
        memory_mb=needs.ram_mb,
        vram_mb=needs.vram_mb,
        disk_mb=pictures_kb / 1024 + 0.2 * len(chunks),
        seconds_low=_LOW * (work + added) if work else 0.0,
        seconds_high=_HIGH * (work + added) if work else 0.0,
        first_chunk_seconds=first if work else 0.0,
        notes=shortfalls(needs, this_machine(), settings),
    )
