"""The main path: a request becomes a film, chunk by chunk. Read this first.

    for event in generate(request, load_models(request), job_dir="jobs/a"):
        ...                               # Progress | ChunkFinished | Finished

Prepare the film once -> for each chunk resolve a job -> stages before -> generate -> stages after -> encode and store
-> assemble. The work runs in a thread of its own, so that events arrive when they happen. A second thread encodes each
finished chunk while the next is denoised on a graphics card; on a processor the next one waits for it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .config.request import GenerationRequest
from .errors import InputError, JobError
from .events import Event, Finished, Progress
from .runtime.log_levels import limit_library_logs
from .runtime.malloc_arenas import share_one_arena
from .runtime.telemetry import refuse_telemetry

if TYPE_CHECKING:
    from .checkpoints.loading import Models
    from .jobs.folder import JobFolder
    from .jobs.progress import Clock
    from .jobs.retakes import TakeOverrides
    from .jobs.takes import TakeStore
    from .planning.chunks import Chunk
    from .planning.film import Film, FilmPlan

ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class _Run:
    """One run in a job's folder.

    report: takes events in their order, from any thread. should_stop: called between two steps.
    writes: False in a process that only helps another one to compute (runtime/process_group.py).
    """

    folder: JobFolder
    film: Film
    models: Models
    report: Callable[[Event], None]
    should_stop: ShouldStop
    writes: bool = True


def plan(request: GenerationRequest) -> FilmPlan:
    """What the film will be and take; reads no weights.

    Raises:
        UserError: in the user's words, for whatever cannot be used.
    """
    from .stages import prepare_film

    film = prepare_film(request)
    film.source.close()
    return film.plan


def load_models(request: GenerationRequest) -> Models:
    """The networks that `request` needs.

    Raises:
        CheckpointError: weights are missing or do not fit; names the file and the key, or the command that fetches
            them.
    """
    refuse_telemetry()

    import torch

    from .checkpoints.loading import load
    from .models.specs import get_spec
    from .runtime.auto import settled
    from .runtime.fit import checked_device, fit

    limit_library_logs()
    share_one_arena()
    settings = settled(request).resolve()
    checked_device(settings.device)  # before minutes of loading
    models = load(
        get_spec(settings.model),
        request.checkpoints_dir,
        getattr(torch, settings.dtype),
        settings.device if settings.offload == "none" else "cpu",
        quantization=settings.quantization,
        loras=settings.loras,
        controls=request.controls,
    )
    return fit(models, settings)


def generate(
    request: GenerationRequest,
    models: Models,
    job_dir: str | Path,
    *,
    should_stop: ShouldStop | None = None,
) -> Iterator[Event]:
    """Make the film of `request` in the new folder `job_dir`.

    Args:
        should_stop: called between two steps; when it returns True the job ends with a playable film of what is
            finished.

    Raises:
        UserError: an input, the folder or the disk cannot be used. What was finished stays; `resume` continues.
    """
    from .stages import prepare_film

    film = prepare_film(request)  # nothing is written for a request that cannot work
    folder = _create_job(film, job_dir)
    yield Progress("preparing", 0.0, 0.0, film.plan.seconds_high or None, num_chunks=len(film.plan.chunks))
    yield from _events(folder, film.of(folder.request), models, should_stop)


def prepare_job(request: GenerationRequest, job_dir: str | Path) -> JobFolder:
    """The new folder of a job, with copies of its inputs and nothing made yet; `resume` makes its film.

    Raises:
        UserError: an input, the folder or the disk cannot be used.
    """
    from .stages import prepare_film

    film = prepare_film(request)
    film.source.close()
    return _create_job(film, job_dir)


def _create_job(film: Film, job_dir: str | Path) -> JobFolder:
    from .jobs.folder import JobFolder
    from .runtime.process_group import process_group

    if process_group().leads:
        # The cuts that were found are written down, so that a resume or a later version has the same shots.
        request = replace(film.request, cuts=film.plan.cuts)
        JobFolder.create(job_dir, request, len(film.plan.chunks), film.plan.num_frames)
    process_group().wait()
    return JobFolder.open(job_dir)


def resume(
    job_dir: str | Path, models: Models | None = None, *, should_stop: ShouldStop | None = None
) -> Iterator[Event]:
    """Continue a job after a crash or a cancel: finished chunks are kept, the result is that of an unbroken run.

    Raises:
        JobError: another run works in it, or its media are gone; names them (`jobs/relink.py` finds them again).
    """
    from .jobs.folder import JobFolder
    from .jobs.relink import check_media
    from .stages import prepare_film

    folder = JobFolder.open(job_dir)
    check_media(folder)
    folder.check_free()
    film = prepare_film(folder.request, str(folder.path))
    yield from _events(folder, film, models or load_models(folder.request), should_stop)


def retake(
    job_dir: str | Path,
    chunk: int,
    overrides: TakeOverrides,
    models: Models | None = None,
    *,
    should_stop: ShouldStop | None = None,
) -> Iterator[Event]:
    """Make one chunk of a finished job once more, with `overrides`, and put the film together with it.

    The other takes stay (`choose_take`). If it is cancelled or fails, the film and the choice are as before.

    Raises:
        InputError: there is no such chunk or picture. JobError: the job is not finished, or another run works on it.
    """
    from .jobs.folder import JobFolder
    from .jobs.retakes import add_take, read_takes, write_takes

    folder = JobFolder.open(job_dir)
    film = _film_with_chunk(folder, chunk)
    before = read_takes(folder)
    add_take(folder, chunk, overrides)
    complete = False
    try:
        for event in _events(folder, film, models or load_models(folder.request), should_stop):
            complete = isinstance(event, Finished) and event.complete
            yield event
    finally:
        if not complete:
            write_takes(folder, before)


def choose_take(
    job_dir: str | Path, chunk: int, take: int, models: Models | None = None, *, should_stop: ShouldStop | None = None
) -> Iterator[Event]:
    """Put another take of a chunk into the film; what is not on disk is made again.

    Raises:
        InputError: there is no such chunk or take.
    """
    from .jobs import retakes
    from .jobs.folder import JobFolder

    folder = JobFolder.open(job_dir)
    film = _film_with_chunk(folder, chunk)
    retakes.choose_take(folder, chunk, take)
    yield from _events(folder, film, models or load_models(folder.request), should_stop)


def _film_with_chunk(folder: JobFolder, chunk: int) -> Film:
    """The film of a finished job that nobody else works on, if it has such a chunk."""
    from .jobs.relink import check_media
    from .stages import prepare_film

    folder.check_free()
    check_media(folder)
    if not folder.output.exists():
        raise JobError(
            f"The job {folder.path} has no film yet; finish it with `infinitetalk resume {folder.path}` first."
        )
    film = prepare_film(folder.request, str(folder.path))
    count = len(film.plan.chunks)
    if not 0 <= chunk < count:
        film.source.close()
        raise InputError(
            f"The film has chunks 0 to {count - 1}, and chunk {chunk} was given; `infinitetalk takes {folder.path}` "
            "lists them."
        )
    return film


def _events(folder: JobFolder, film: Film, models: Models, should_stop: ShouldStop | None) -> Iterator[Event]:
    """What `_make_film` reports from its threads, in order, until it ends or fails."""
    from .runtime.process_group import process_group

    group = process_group()
    abandoned = threading.Event()
    reported: queue.Queue[Event | BaseException | None] = queue.Queue()

    def stop() -> bool:
        return abandoned.is_set() or (should_stop is not None and should_stop())

    def work() -> None:
        run = _Run(folder, film, models, reported.put, lambda: group.any(stop()), writes=group.leads)
        try:
            with film.source, folder.locked() if group.leads else contextlib.nullcontext():
                _make_film(run)
        except BaseException as error:  # raised again where the events are read
            reported.put(error)
        else:
            reported.put(None)

    worker = threading.Thread(target=work, name="film", daemon=True)
    worker.start()
    try:
        while (event := reported.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
    finally:
        abandoned.set()
        worker.join()


def _make_film(run: _Run) -> None:
    """The main loop."""
    from .generation.generator import Cancelled, ChunkGenerator
    from .generation.inputs import FilmInputs
    from .generation.reference import ShotColors
    from .jobs.preview import LatentPreview
    from .jobs.progress import Clock
    from .jobs.resolve import resolve_jobs
    from .jobs.takes import TakeStore
    from .media.writer import BackgroundWriter
    from .planning.voices import FilmVoices
    from .stages.base import StageFilm
    from .stages.chain import StageChain

    folder, film, models = run.folder, run.film, run.models
    clock = Clock(film.plan, run.report, LatentPreview(models.vae))
    store = TakeStore(folder, film, film.soundtrack())
    cancelled = False
    try:
        # 1. Prepare what serves the whole film.
        jobs = resolve_jobs(folder, film)
        voices = FilmVoices(film.voices)
        inputs = FilmInputs(film, models, voices)
        generator = ChunkGenerator(models, inputs.speaker_masks(), shots=ShotColors())
        stages = StageChain(StageFilm(film, inputs, voices, clock.reading(run.should_stop), folder.take_dir))

        with BackgroundWriter() as background:
            for job in jobs:
                clock.begin(job.chunk)
                # 2. A chunk of an earlier run is kept.
                reference = inputs.reference(job)
                if (kept := store.find(job)) is not None:
                    generator.continue_from(job.chunk, reference, kept.context)
                    clock.skip(job.chunk)
                    run.report(kept.event)
                    continue

                # 3. Otherwise it is generated, between the stages that are on.
                chunk_inputs = stages.before(job, inputs.chunk_inputs(job, reference))
                clock.generating(chunk_inputs)
                generated = generator.generate(chunk_inputs, clock.step, run.should_stop)
                _remember_seconds(run, job.chunk, generated.seconds)
                made = stages.after(job, chunk_inputs, generated)
                del generated  # its frames are four times as large as their bytes
                generator.continue_from(job.chunk, reference, made.context)

                # 4. Encode and store.
                if run.writes:
                    background.submit(store.write, job, made, run.report)
                    if models.device.type == "cpu":
                        background.wait()  # both want the same cores; who waits for the chunk sees it sooner
    except Cancelled:
        cancelled = True

    # 5. Join the segments with the user's own sound.
    run.report(_assembled(run, store, clock, cancelled=cancelled))


def _remember_seconds(run: _Run, chunk: Chunk, seconds: dict[str, float]) -> None:
    """The next plan's times are those of this machine."""
    from .planning.chunks import NUM_CHUNK_FRAMES
    from .runtime.timing import remember_chunk_seconds

    if run.writes and chunk.num_frames == NUM_CHUNK_FRAMES:
        remember_chunk_seconds(run.film.spec, run.film.plan.settings, sum(seconds.values()))


def _assembled(run: _Run, store: TakeStore, clock: Clock, *, cancelled: bool) -> Finished:
    """The end of a run: the whole film, or a playable one of what is finished."""
    from .jobs.assembly import assemble
    from .jobs.retakes import read_takes

    folder, film = run.folder, run.film
    if not run.writes or not store.finished_chunks():
        return Finished(None, folder.path, not cancelled, 0, clock.seconds)
    if cancelled and read_takes(folder) and folder.output.exists():  # the film as it was is longer
        return Finished(folder.output, folder.path, False, film.plan.num_frames, clock.seconds)
    clock.finishing()
    num_frames = assemble(film, store)
    return Finished(folder.output, folder.path, not cancelled, num_frames, clock.seconds)
