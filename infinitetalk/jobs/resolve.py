"""From a plan and the takes that were chosen to chunk jobs: every override applied, every digest known, at once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from ..config.former_names import with_former_names
from ..errors import JobError
from ..generation.job import ChunkJob
from ..planning.chunks import Chunk
from ..planning.film import Film
from .folder import JobFolder, file_digest
from .retakes import ChunkTakes, TakeOverrides, read_takes


def resolve_jobs(folder: JobFolder, film: Film) -> tuple[ChunkJob, ...]:
    """A job for every chunk of the film, in order.

    A digest is a hash of everything that a take's pictures follow from: the film's inputs and settings, and all chunks
    before, as the takes that were chosen for them made them.

    Raises:
        JobError: a chosen take fades into an earlier one that is not on disk any more.
    """
    chosen, chunks = read_takes(folder), film.plan.chunks
    before, jobs = film_digest(film), []
    for chunk in chunks:
        own = chosen.get(chunk.index, ChunkTakes())
        first = _chunk_digest(before, chunk)
        followed = chunk.index + 1 < len(chunks) and not chunks[chunk.index + 1].opens_shot
        jobs.append(_resolved(folder, film, chunk, own, first, followed=followed))
        # What follows a take that fades into another follows from that other one.
        handed_on = own.chosen
        while (overrides := own.overrides_of(handed_on)) is not None and overrides.join == "blend":
            handed_on = overrides.over
        before = _take_digest(first, own, handed_on)
    return tuple(jobs)


def _resolved(folder: JobFolder, film: Film, chunk: Chunk, own: ChunkTakes, first: str, *, followed: bool) -> ChunkJob:
    """The job of the chosen take. first: digest of the chunk's own take; followed: a chunk of its shot follows."""
    settings, request = film.plan.settings, film.request
    overrides = own.overrides_of(own.chosen)
    ends_film = chunk.index + 1 == len(film.plan.chunks)
    if overrides is None:
        return ChunkJob(chunk, settings, request.seed, 0, first, chunk.prompt, ends_film=ends_film)
    fades_into = _earlier_take(folder, chunk, own, overrides, first) if overrides.join == "blend" else None
    return ChunkJob(
        chunk=overrides.guided(chunk),
        settings=overrides.settings(settings),
        seed=request.seed if overrides.seed is None else overrides.seed,
        noise_number=own.chosen if overrides.seed is None else 0,  # a seed of its own draws as a film's first take does
        digest=_take_digest(first, own, own.chosen),
        prompt=chunk.prompt if overrides.prompt is None else overrides.prompt,
        fades_into=fades_into if followed else None,
        overrides=overrides.fingerprint(),
        ends_film=ends_film,
    )


def _earlier_take(folder: JobFolder, chunk: Chunk, own: ChunkTakes, overrides: TakeOverrides, first: str) -> int:
    record = folder.finished_take(chunk.index, _take_digest(first, own, overrides.over))
    if record is None:
        raise JobError(
            f"Take {own.chosen} of chunk {chunk.index} fades into take {overrides.over}, which is not there any more; "
            f"choose another with `infinitetalk takes {folder.path} --chunk {chunk.index} --use 0`."
        )
    return record["take"]


def film_digest(film: Film) -> str:
    """Of what all chunks follow from. A feature that is off means what it meant before it existed."""
    request = film.request
    files = [request.source, *(speaker.audio for speaker in request.speakers)]
    described = [
        with_former_names(asdict(film.plan.settings)),
        request.seed,
        request.prompt,
        request.negative_prompt,
        [file_digest(file) for file in files],
        asdict(film.square) if film.square else None,
        *(choice.fingerprint(file_digest) for choice in request.choices.values()),
        *([dict(sorted(request.stages.items()))] if request.stages else []),
    ]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _chunk_digest(before: str, chunk: Chunk) -> str:
    """Of the chunk as the plan has it, without what it leaves to the film."""
    image = chunk.reference.image
    own = with_former_names({name: value for name, value in asdict(chunk).items() if value is not None})
    described = json.dumps([before, own, file_digest(image) if image else None])
    return hashlib.sha256(described.encode()).hexdigest()


def _take_digest(first: str, own: ChunkTakes, take: int) -> str:
    """Of a take, from that of the film's own."""
    overrides = own.overrides_of(take)
    if overrides is None:
        return first
    described = json.dumps([first, take, overrides.fingerprint()], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()
