"""The main path: a request becomes a film, chunk by chunk. Read this first.

    for event in generate(request, load_models(request), job_dir="jobs/a"):
        ...                               # Progress | ChunkFinished | Finished

The work runs in a thread of its own, so that events arrive when they happen. A second one encodes each finished chunk
while the next is denoised on a graphics card; on a processor the next one waits for it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .config.constants import FRAMES_PER_SECOND
from .config.former_names import with_former_names
from .config.request import GenerationRequest
from .errors import InputError, JobError
from .events import Event, Finished, Progress
from .runtime.log_levels import limit_library_logs
from .runtime.malloc_arenas import share_one_arena

if TYPE_CHECKING:
    from .checkpoints.loading import Models
    from .jobs.folder import JobFolder
    from .jobs.retakes import TakeOverrides
    from .planning.film import FilmPlan

ShouldStop = Callable[[], bool]


def plan(request: GenerationRequest) -> FilmPlan:
    """What the film will be and take; reads no weights.

    Raises:
        UserError: in the user's words, for whatever cannot be used.
    """
    from .planning.film import prepare

    film = prepare(request)
    film.source.close()
    return film.plan


def load_models(request: GenerationRequest) -> Models:
    """The networks that `request` needs.

    Raises:
        CheckpointError: weights are missing or do not fit; names the file and the key, or the command that fetches
            them.
    """
    import torch

    from .checkpoints.loading import load
    from .models.specs import get_spec
    from .runtime.fit import checked_device, fit

    limit_library_logs()
    share_one_arena()
    settings = request.resolve()
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
        should_stop: asked between two steps; when it says True the job ends with a playable film of what is finished.

    Raises:
        UserError: an input, the folder or the disk cannot be used. What was finished stays; `resume` continues.
    """
    job, film_plan = _prepare_job(request, job_dir)
    yield Progress("preparing", 0.0, 0.0, film_plan.seconds_high or None, num_chunks=len(film_plan.chunks))
    yield from _events(job, models, should_stop)


def prepare_job(request: GenerationRequest, job_dir: str | Path) -> JobFolder:
    """The new folder of a job, with copies of its inputs and nothing made yet; `resume` makes its film.

    Raises:
        UserError: an input, the folder or the disk cannot be used.
    """
    return _prepare_job(request, job_dir)[0]


def _prepare_job(request: GenerationRequest, job_dir: str | Path) -> tuple[JobFolder, FilmPlan]:
    from .jobs.folder import JobFolder
    from .runtime.process_group import process_group

    film_plan = plan(request)  # nothing is written for a request that cannot work
    if process_group().leads:
        # What was found is written down, so that a resume or a later version sees the same shots.
        JobFolder.create(job_dir, replace(request, cuts=film_plan.cuts), len(film_plan.chunks), film_plan.num_frames)
    process_group().wait()
    return JobFolder.open(job_dir), film_plan


def resume(
    job_dir: str | Path, models: Models | None = None, *, should_stop: ShouldStop | None = None
) -> Iterator[Event]:
    """Continue a job after a crash or a cancel: finished chunks are kept, the result is that of an unbroken run.

    Raises:
        JobError: another run works in it, or its media are gone; names them (`jobs/relink.py` finds them again).
    """
    from .jobs.folder import JobFolder
    from .jobs.relink import check_media

    job = JobFolder.open(job_dir)
    check_media(job)
    yield from _events(job, models or load_models(job.request), should_stop)


def retake(
    job_dir: str | Path,
    chunk: int,
    recipe: TakeOverrides,
    models: Models | None = None,
    *,
    should_stop: ShouldStop | None = None,
) -> Iterator[Event]:
    """Make one chunk of a finished job once more, as `recipe` says, and put the film together with it.

    The other takes stay (`choose_take`). If it is cancelled or fails, the film and the choice are as before.

    Raises:
        InputError: there is no such chunk or picture. JobError: the job is not finished, or another run works on it.
    """
    from .jobs.folder import JobFolder
    from .jobs.retakes import add_take, read_takes, write_takes

    job = JobFolder.open(job_dir)
    _check_chunk(job, chunk)
    before = read_takes(job)
    add_take(job, chunk, recipe)
    complete = False
    try:
        for event in _events(job, models or load_models(job.request), should_stop):
            complete = isinstance(event, Finished) and event.complete
            yield event
    finally:
        if not complete:
            write_takes(job, before)


def choose_take(
    job_dir: str | Path, chunk: int, take: int, models: Models | None = None, *, should_stop: ShouldStop | None = None
) -> Iterator[Event]:
    """Show another take of a chunk, and put the film together; what is not on disk is made again.

    Raises:
        InputError: there is no such chunk or take.
    """
    from .jobs import retakes
    from .jobs.folder import JobFolder

    job = JobFolder.open(job_dir)
    _check_chunk(job, chunk)
    retakes.choose_take(job, chunk, take)
    yield from _events(job, models or load_models(job.request), should_stop)


def _check_chunk(job, chunk: int) -> None:
    from .jobs.relink import check_media

    job.check_free()
    check_media(job)
    if not job.output.exists():
        raise JobError(f"The job {job.path} has no film yet; finish it with `infinitetalk resume {job.path}` first.")
    count = len(plan(job.request).chunks)
    if not 0 <= chunk < count:
        raise InputError(
            f"The film has chunks 0 to {count - 1}, and chunk {chunk} was asked for; `infinitetalk takes {job.path}` "
            "lists them."
        )


def _events(job, models: Models, should_stop: ShouldStop | None) -> Iterator[Event]:
    """What `_make_film` reports from its threads, in order, until it ends or fails."""
    from .runtime.process_group import process_group

    members = process_group()
    abandoned = threading.Event()
    reported: queue.Queue[Event | BaseException | None] = queue.Queue()

    def stop() -> bool:
        return abandoned.is_set() or (should_stop is not None and should_stop())

    def work() -> None:
        try:
            with job.locked() if members.leads else contextlib.nullcontext():
                _make_film(job, models, reported.put, lambda: members.any(stop()), writes=members.leads)
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


def _make_film(
    job, models: Models, report: Callable[[Event], None], should_stop: ShouldStop, *, writes: bool = True
) -> None:
    """The table of contents. writes: False in a process that only helps another one to compute (runtime/process_group.py)."""
    from .generation.generator import Cancelled, FilmStream, chunk_noise, num_evaluations, to_bytes
    from .generation.inputs import FilmInputs
    from .jobs.preview import LatentPreview
    from .jobs.progress import Clock
    from .jobs.tail import retimed_segment, tail_segment
    from .jobs.takes import Takes
    from .media.mux import mux_film
    from .media.writer import BackgroundWriter
    from .planning.chunks import NUM_CHUNK_FRAMES
    from .planning.film import output_rate, prepare
    from .runtime.timing import remember_chunk_seconds

    # 1. Open the inputs and plan.
    film = prepare(job.request, str(job.path))
    settings, spec, chunks = film.plan.settings, film.spec, film.plan.chunks
    spared = 0.0 if job.request.camera is None else job.request.camera.spared
    clock = Clock(film.plan, report, LatentPreview(models.vae), num_evaluations(settings, spared))

    def read(share: float) -> None:
        clock.following(share)
        if should_stop():
            raise Cancelled

    with film.source:
        # 2. What stays the same for the whole film: prompt, speakers' masks, how to hear and see.
        try:
            inputs = FilmInputs(film, models, read)
        except Cancelled:  # nothing of this run is made; what earlier ones made stays
            report(Finished(None, job.path, False, 0, clock.seconds))
            return
        stream = FilmStream(models, settings, inputs.text(), inputs.speaker_masks(), spared=spared)
        soundtrack = film.soundtrack()
        takes = Takes(job, film, soundtrack, models)
        cancelled = False

        with BackgroundWriter() as background:
            for chunk in chunks:
                # 3. Condition: the reference and what is heard. A cut in the source begins a new shot.
                clock.begin(chunk)
                digest, recipe = takes.digest(chunk), takes.recipe(chunk)
                reference = inputs.reference(chunk if recipe is None else recipe.guided(chunk))
                if chunk.opens_shot:
                    stream.cut()
                if inputs.begins_shot(chunk):
                    stream.begin_shot()
                if (kept := takes.kept(chunk, digest)) is not None:
                    stream.carry_on(reference, kept.context_latents, kept.last_frame)
                    clock.skip(chunk)
                    report(kept.event)
                    continue
                audio = inputs.audio(chunk)
                seed = job.request.seed if recipe is None or recipe.seed is None else recipe.seed
                noise = chunk_noise(seed, chunk.index, takes.noise_number(chunk), inputs.noise_shape(chunk))

                prompt = chunk.prompt if recipe is None or recipe.prompt is None else recipe.prompt

                # 4. Denoise and decode.
                shown = inputs.shown(chunk)
                try:
                    pictures = stream.generate_chunk(
                        chunk,
                        reference,
                        audio,
                        noise,
                        on_step=clock.step,
                        should_stop=should_stop,
                        keep_context=chunk is not chunks[-1],
                        settings=None if recipe is None else recipe.settings(settings),
                        text=None if prompt is None else inputs.text(prompt),
                        second=inputs.second(chunk),
                        start=inputs.start(chunk),
                        shown=shown,
                    )
                except Cancelled:
                    cancelled = True
                    break
                if not writes:
                    continue
                if chunk.num_frames == NUM_CHUNK_FRAMES:
                    remember_chunk_seconds(spec, settings, sum(pictures.seconds.values()))

                # 5. Append: drawn again if asked for, then encoded and stored.
                over = takes.faded_into(chunk)
                if over is not None:
                    stream.carry_on(reference, *takes.end_of(chunk, over))
                end = stream.context_latents, stream.last_frame
                frames, seconds = to_bytes(pictures.frames[:, chunk.kept]), pictures.seconds
                del pictures  # four times as large as its bytes
                redrawing = time.perf_counter()
                steered = inputs.steered_followed(chunk, frames, shown)
                frames, followed = inputs.redrawn(chunk, frames)
                frames, locked = inputs.locked(chunk, frames)
                followed |= steered | locked
                if inputs.redraw is not None or inputs.lock is not None:
                    seconds = seconds | {"redrawing": time.perf_counter() - redrawing}
                background.submit(takes.store, chunk, digest, frames, seconds, *end, report, recipe, over, followed)
                if models.device.type == "cpu":
                    background.wait()  # both want the same cores; who waits for the chunk sees it sooner

        # 6. Join the segments with the user's own sound.
        if not writes:
            report(Finished(None, job.path, not cancelled, 0, clock.seconds))
            return
        finished = takes.finished_chunks()
        if cancelled and takes.remade and job.output.exists():  # the film as it was is longer
            report(Finished(job.output, job.path, False, film.plan.num_frames, clock.seconds))
            return
        if not finished:
            report(Finished(None, job.path, False, 0, clock.seconds))
            return
        clock.finishing()
        segments = [takes.segment(chunk) for chunk in finished]
        if cancelled:
            soundtrack = film.soundtrack(finished[-1].new_stop_frame / FRAMES_PER_SECOND)
        elif film.plan.tail_seconds:
            segments.append(tail_segment(job, film, takes.writer, segments[-1], inputs.square))
        rate = output_rate(job.request, film.source)
        if rate != FRAMES_PER_SECOND:
            segments = [retimed_segment(job, takes.writer, segments, rate, soundtrack.duration_seconds)]
        num_frames = mux_film(
            segments,
            soundtrack,
            soundtrack.duration_seconds,
            job.output,
            metadata={
                "title": "InfiniteTalk Studio",
                "comment": {
                    "seed": job.request.seed,
                    "preset": job.request.preset,
                    "settings": with_former_names(asdict(settings)),
                },
            },
            rate=rate,
        )
        if rate != FRAMES_PER_SECOND:
            segments[0].unlink()  # as large as the film itself
    report(Finished(job.output, job.path, not cancelled, num_frames, clock.seconds))
