"""The studio behind the page: films one at a time, those that wait, and the networks kept loaded between them.

A film is a folder in the jobs folder; its name cannot be guessed, and whoever knows it may see and change the film.
Films put in the queue stand in `queue.json` too (`jobs/queue.py`), so they are made after a restart as well.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.request import GenerationRequest
from ..errors import InputError, UserError
from ..events import ChunkFinished, Finished, Progress
from .jobs import Failed, Job, Update, Work, failure
from .visitors import MOST_FILMS_IN_LINE, MOST_WAITING_FILMS, current_visitor, in_turn

if TYPE_CHECKING:
    from ..jobs.queue import QueueState

NUM_REMEMBERED_JOBS = 200
UNDO_SECONDS = 3600.0  # a removed film can be put back
REMOVED = ".removed"  # below the jobs folder
TIDY_SECONDS = 600.0
WATCH_SECONDS = 2.0  # between two looks at queue.json, which `infinitetalk queue` edits too
_NAME = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{16,}")

# Settings that networks are loaded or fitted by; with all of these equal, a film takes the networks of the one before.
_SHAPES_NETWORKS = (
    "model", "dtype", "device", "quantization", "loras", "offload", "pinned_gb", "resident_gb", "encoders", "tile_vae",
    "attention", "compile",
)  # fmt: skip

log = logging.getLogger("infinitetalk.studio")


def _idle_seconds(path: Path, inside: Iterable[Path]) -> float:
    """Since the newest change in a folder; 0 where it changes while we look."""
    try:
        return time.time() - max([path.stat().st_mtime, *(file.stat().st_mtime for file in inside)])
    except OSError:
        return 0.0


class Studio:
    """The films of one jobs folder, and the thread that makes them.

    Args:
        shared: visitors are strangers to each other: each sees the films that its browser remembers, no others.
        keep_hours: finished and stopped films are removed after that; None keeps them.
    """

    def __init__(self, jobs_dir: Path, *, shared: bool = True, keep_hours: float | None = None) -> None:
        from ..jobs.queue import JobQueue

        self.jobs_dir = Path(jobs_dir).absolute()
        self.shared = shared
        self.keep_hours = keep_hours
        self.queue = JobQueue(self.jobs_dir)
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._order = threading.RLock()  # held while the line and queue.json are made to say the same
        self._worker: threading.Thread | None = None
        self._loading = threading.Lock()
        self._models: tuple[Any, Any] | None = None  # (what they are, the networks)

    # --- films ------------------------------------------------------------------------------------------------------

    def submit(self, request: GenerationRequest, plan: Any = None) -> Job:
        """Make a film as soon as it is its turn, for somebody who waits for it.

        Raises:
            InputError: on a shared studio, where this visitor's films or the line are too many.
        """
        self._check_allowance(current_visitor())
        return self._enqueue(Job(request, self._new_folder(), plan))

    def submit_later(self, request: GenerationRequest, *, held: bool = False) -> Job:
        """Put a film into the queue; its files are copied now, and a restart does not forget it. held: see `pause`.

        Raises:
            UserError: an input or the disk cannot be used.
        """
        from ..pipeline import prepare_job

        self._check_allowance(current_visitor())
        folder = prepare_job(request, self._new_folder())
        job = self._continuing(folder.path, queued=True)
        with self._order:
            self.queue.add(folder)
            if held:
                self.queue.hold([folder.path])
            return self._enqueue(job)

    def resume(self, directory: Path) -> Job:
        """Finish a film that was stopped, for somebody who waits for it.

        Raises:
            UserError: the folder holds no film that can be finished.
        """
        job = self._continuing(directory, queued=False)
        with self._order:
            self.queue.remove(directory)  # where it failed before
            return self._enqueue(job)

    def change(self, job: Job, work: Work) -> Job:
        """Put work on a finished job's film at the end of the line; the job that is returned has the same folder."""
        return self._enqueue(Job(job.request, job.directory, job.plan, work, again=True))

    def wake(self) -> None:
        """Take up the queue where the last run of the studio left it, or as another program has changed it since.

        Raises:
            UserError: queue.json was edited wrongly.
        """
        if not self.queue.path.exists():
            return
        with self._order:
            # First what is known: a film that is done between the two is then in neither.
            with self._changed:
                waiting = list(self._waiting)
                known = {job.directory for job in [self._running, *waiting] if job is not None}
            able = [self.jobs_dir / one.job for one in self.queue.state().jobs if one.failed is None]
            for job in waiting:
                if job.queued and job.directory not in able:
                    self.cancel(job)
            for path in able:
                if path not in known:
                    try:
                        self._enqueue(self._continuing(path, queued=True))
                    except UserError as error:
                        self.queue.fail(path, str(error))
            with self._changed:
                places = {path: place for place, path in enumerate(able)}
                queued = [job for job in self._waiting if job.queued]
                in_order = iter(sorted(queued, key=lambda job: places.get(job.directory, len(able))))
                self._waiting = [next(in_order) if job.queued else job for job in self._waiting]
                self._changed.notify_all()

    def watch_queue(self) -> None:
        """`wake` whenever queue.json has changed, for as long as the studio is up."""

        def work() -> None:
            known: tuple[int, int] | None = None
            while True:
                try:
                    facts = self.queue.path.stat()
                    now = facts.st_mtime_ns, facts.st_ino  # it is written whole, as another file each time
                    if now != known:
                        known = now
                        self.wake()
                except FileNotFoundError:
                    known = None
                except Exception as error:  # reported once; the page says so too, and the next change may mend it
                    failure(error)
                time.sleep(WATCH_SECONDS)

        threading.Thread(target=work, name="watch-queue", daemon=True).start()

    def _new_folder(self) -> Path:
        return self.jobs_dir / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(8)}"

    def _continuing(self, directory: Path, *, queued: bool) -> Job:
        from ..jobs.folder import JobFolder
        from ..pipeline import plan, resume

        def work(models: Any, should_stop: Any) -> Iterator[Any]:
            return resume(directory, models, should_stop=should_stop)

        request = JobFolder.open(directory).request
        return Job(request, directory, plan(request), work, queued=queued)

    def _enqueue(self, job: Job) -> Job:
        with self._changed:
            job.visitor = current_visitor()
            self._jobs[job.id] = job
            self._forget_old_jobs()
            self._waiting.append(job)
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="studio-worker", daemon=True)
                self._worker.start()
            self._changed.notify_all()
        return job

    def _check_allowance(self, visitor: str) -> None:
        """Raises InputError on a shared studio whose line is full, or full of this visitor's films."""
        if not self.shared:
            return
        with self._changed:
            waiting = [each.visitor for each in self._waiting]
        if waiting.count(visitor) >= MOST_WAITING_FILMS:
            raise InputError(f"{MOST_WAITING_FILMS} of your films are waiting; wait until one is made, or remove one.")
        if len(waiting) >= MOST_FILMS_IN_LINE:
            raise InputError(f"{len(waiting)} films are waiting; come back when the studio is less busy.")

    def _line(self) -> list[Job]:
        """What waits, in the order in which it is made; strangers take turns."""
        return in_turn(self._waiting, self._running) if self.shared else list(self._waiting)

    def find(self, job_id: Any) -> Job | None:
        return self._jobs.get(job_id) if isinstance(job_id, str) else None

    def working_on(self, directory: Path) -> Job | None:
        """The job that is being made in a folder, or waits to be."""
        with self._changed:
            known = [self._running, *self._waiting] if self._running else self._waiting
            return next((job for job in known if job.directory == directory), None)

    def opened(self, directory: Path) -> Job:
        """A job that has ended, from its folder: its film as it is on disk.

        Raises:
            UserError: there is no film in it.
        """
        from ..jobs.folder import JobFolder
        from ..jobs.queue import job_state
        from ..pipeline import plan

        folder, state = JobFolder.open(directory), job_state(directory)
        if state.film is None:
            raise InputError("This film has no pictures yet; press Resume to make them.")
        job = Job(folder.request, directory, plan(folder.request))
        complete = state.complete
        chunks = job.plan.chunks if complete else job.plan.chunks[: state.num_made]
        for chunk in chunks:
            segment = folder.take_dir(chunk.index) / "segment.mp4"
            span = chunk.start_seconds, chunk.stop_seconds
            job.publish(ChunkFinished(chunk.index, len(job.plan.chunks), segment, *span, folder.request.seed))
        job.publish(Finished(state.film, directory, complete, chunks[-1].new_stop_frame))
        with self._changed:
            self._jobs[job.id] = job
        return job

    # --- whose films ------------------------------------------------------------------------------------------------

    def folder(self, name: Any) -> Path | None:
        """The folder of that name, if it is the name of a film."""
        if not isinstance(name, str) or (self.shared and not _NAME.fullmatch(name)):
            return None
        path = self.jobs_dir / name
        return path if path.parent == self.jobs_dir and (path / "project.json").is_file() else None

    def folders(self, mine: Any) -> list[Path]:
        """A visitor's films, newest first: those its browser remembers, or all where the studio serves one person."""
        if self.shared:
            names = mine if isinstance(mine, list) else []
            found = [path for name in dict.fromkeys(map(str, names)) if (path := self.folder(name)) is not None]
        else:
            found = [path for path in self.jobs_dir.glob("*") if (path / "project.json").is_file()]
        return sorted(found, key=lambda path: (path / "project.json").stat().st_ctime, reverse=True)

    def in_order(self, folders: list[Path]) -> list[Path]:
        """What is being made, what waits in its order, then the rest as it was given."""
        with self._changed:
            line = [job.directory for job in ([self._running] if self._running else []) + self._line()]
        places = {path: place for place, path in enumerate(line)}
        return sorted(folders, key=lambda path: places.get(path, len(line)))

    def remove(self, directory: Path) -> bool:
        """Take a film away; for an hour it can be put back. Returns whether it waited in the queue.

        Raises:
            UserError: it is being made.
        """
        from ..jobs.folder import JobFolder

        job = self.working_on(directory)
        if job is not None and job is self._running:
            raise InputError("This film is being made; cancel it first, then remove it.")
        with contextlib.suppress(InputError):  # a damaged film can be removed too
            JobFolder.open(directory).check_free()
        with self._order:
            if job is not None:
                self.cancel(job)
            self.queue.remove(directory)
        removed = self.jobs_dir / REMOVED
        removed.mkdir(exist_ok=True)
        target = removed / directory.name
        shutil.rmtree(target, ignore_errors=True)
        directory.rename(target)
        os.utime(target)
        self.tidy()
        return job is not None and job.queued

    def put_back(self, name: Any, queued: bool = False) -> Path | None:
        """The folder of a removed film, back in its place; None if it is gone. queued: it waits at the queue's end."""
        if not isinstance(name, str) or Path(name).name != name:
            return None
        source, target = self.jobs_dir / REMOVED / name, self.jobs_dir / name
        if not (source / "project.json").is_file() or target.exists():
            return None
        source.rename(target)
        if queued:
            job = self._continuing(target, queued=True)
            with self._order:
                self.queue.add(target)
                self._enqueue(job)
        return target

    def tidy(self) -> None:
        """Delete what was removed long ago, and films older than they are kept."""
        for path in (self.jobs_dir / REMOVED).glob("*"):
            if _idle_seconds(path, ()) > UNDO_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
        if self.keep_hours is None:
            return
        for path in self.jobs_dir.glob("*"):
            if _NAME.fullmatch(path.name) and self.working_on(path) is None and path not in self.queue.jobs():
                if _idle_seconds(path, path.rglob("*")) > 3600 * self.keep_hours:
                    shutil.rmtree(path, ignore_errors=True)

    def keep_tidy(self) -> None:
        """`tidy` now and for as long as the studio is up."""

        def work() -> None:
            while True:
                try:
                    self.tidy()
                except Exception as error:  # the next time may do better; films are made meanwhile
                    failure(error)
                time.sleep(TIDY_SECONDS)

        threading.Thread(target=work, name="tidy", daemon=True).start()

    # --- the line of films ------------------------------------------------------------------------------------------

    def place(self, job: Job) -> int:
        """Films that will be made before this one."""
        with self._changed:
            if job not in self._waiting:
                return 0
            return self._line().index(job) + (self._running is not None)

    def follow(self, job: Job) -> Iterator[Update]:
        return job.follow(lambda: self.place(job))

    def cancel(self, job: Job) -> None:
        """A film that waits is dropped at once; one that runs stops at its next step and keeps its finished chunks."""
        job.cancel()
        with self._order:
            with self._changed:
                waiting = job in self._waiting
                if waiting:
                    self._waiting.remove(job)
            if waiting:
                self._ended(job)
        if waiting:
            job.publish(Finished(output=None, job_dir=job.directory, complete=False, num_frames=0))

    def queued(self, mine: Any) -> list[Path]:
        """A visitor's films that wait in the queue, in their order."""
        own = set(self.folders(mine))
        with self._changed:
            return [job.directory for job in self._waiting if job.queued and job.directory in own]

    def move(self, directory: Path, by: int, mine: Any) -> None:
        """Let a film of the queue change places with the visitor's next one before (-1) or after (1) it.

        What strangers have put there keeps its place.
        """
        order = self.queued(mine)
        if directory not in order or not 0 <= order.index(directory) + by < len(order):
            return
        order.insert(order.index(directory) + by, order.pop(order.index(directory)))
        with self._order:
            with self._changed:
                slots = {job.directory: job for job in self._waiting if job.queued and job.directory in order}
                exchanged = iter([slots[path] for path in order if path in slots])
                self._waiting = [next(exchanged) if job.directory in slots else job for job in self._waiting]
            self.queue.arrange(order)

    def pause(self, paused: bool, mine: Any) -> None:
        """Begin no further film of the queue, or go on; of a shared studio's queue no further one of the visitor's."""
        if self.shared:
            self.queue.hold(self.queued(mine), paused)
        elif paused:
            self.queue.pause()
        else:
            self.queue.go_on()
        with self._changed:
            self._changed.notify_all()

    def queue_state(self) -> QueueState:
        """The queue as it is on disk; paused where the file cannot be read (`pause` says why), until it is mended."""
        from ..jobs.queue import QueueState

        try:
            return self.queue.state()
        except UserError:
            return QueueState(paused=True)

    def passed_over(self) -> set[Path]:
        """Films that wait in the queue and do not begin: all of them while it is paused."""
        state = self.queue_state()
        with self._changed:
            queued = [job.directory for job in self._waiting if job.queued]
        held = {self.jobs_dir / one.job for one in state.jobs if one.held}
        return {path for path in queued if state.paused or path in held}

    def _next(self) -> Job | None:
        idle = self.passed_over() if any(job.queued for job in self._waiting) else set()
        return next((job for job in self._line() if not (job.queued and job.directory in idle)), None)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._next() is not None)
                job = self._running = self._next()
                self._waiting.remove(job)
            try:
                self._make(job)
            except Exception as error:  # whatever it was, the visitor gets a sentence and the next film is made
                failed = failure(error)
                self._ended(job, failed)
                job.publish(failed)
            finally:
                with self._changed:
                    self._running = None

    def _make(self, job: Job) -> None:
        from ..pipeline import generate

        started = time.monotonic()
        job.publish(Progress(stage="loading", fraction=0.0, seconds_elapsed=0.0))
        models = self.models(job.request)
        if job.work is None:
            events = generate(job.request, models, job.directory, should_stop=job.should_stop)
        else:
            events = job.work(models, job.should_stop)
        for event in events:
            if isinstance(event, Finished):
                self._ended(job)
            job.publish(event)
        assert job.ended, "the engine stopped without an end"
        log.info("%s done in %.1f s", job.directory.name, time.monotonic() - started)

    def _ended(self, job: Job, failed: Failed | None = None) -> None:
        """The queue no longer waits for it; where it failed, the queue says why."""
        if not job.queued:
            return
        try:
            if failed is None:
                self.queue.remove(job.directory)
            else:
                self.queue.fail(job.directory, failed.message)
        except UserError as error:  # the film itself is as it is; after a restart the queue finds it made
            log.error("%s", error)

    # --- networks ---------------------------------------------------------------------------------------------------

    def models(self, request: GenerationRequest) -> Any:
        """The request's networks, loaded once and kept until a request needs others."""
        from ..pipeline import load_models

        settings = request.resolve()
        wanted = (
            request.checkpoints_dir, request.controls, *(getattr(settings, name) for name in _SHAPES_NETWORKS)
        )  # fmt: skip
        with self._loading:
            if self._models is None or self._models[0] != wanted:
                self._models = None  # let go of the old ones first: both together may not fit
                self._models = (wanted, load_models(request))
            return self._models[1]

    def _forget_old_jobs(self) -> None:
        """Only the memory of them; their folders stay."""
        for job_id, job in list(self._jobs.items()):
            if len(self._jobs) <= NUM_REMEMBERED_JOBS:
                return
            if job.ended:
                del self._jobs[job_id]
