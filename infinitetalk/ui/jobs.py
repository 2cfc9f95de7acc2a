"""Films being made for visitors of the page: one at a time, each in its own folder, seen only by whoever started it.

A job runs on the studio's one worker thread and outlives the page that asked for it, so a reloaded page finds its film
again. A visitor who does not come back within `GRACE_SECONDS` has left: the job stops and keeps its finished chunks.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError, writing_failed
from ..events import ChunkFinished, Event, Finished, Progress
from ..request import GenerationRequest

GRACE_SECONDS = 60.0
PROGRESS_INTERVAL_SECONDS = 0.25
NUM_REMEMBERED_JOBS = 200

# Settings that networks are loaded or fitted by; with all of these equal, a film takes the networks of the one before.
_SHAPES_NETWORKS = (
    "model", "dtype", "device", "quantization", "loras", "offload", "pinned_gb", "resident_gb", "encoders", "tile_vae",
    "attention", "compile",
)  # fmt: skip

log = logging.getLogger("infinitetalk.studio")


@dataclass(frozen=True)
class Waiting:
    """The film has not begun: `place` films are made before it."""

    place: int


@dataclass(frozen=True)
class Failed:
    """No film. `message` is the sentence to show; `reference` finds the traceback in the log when the fault is ours."""

    message: str
    reference: str | None = None


Update = Event | Waiting | Failed
Work = Callable[[Any, Callable[[], bool]], Iterator[Event]]  # (networks, should_stop)


def log_to(jobs_dir: Path) -> Path:
    """Send the studio's tracebacks to `jobs_dir`/studio.log and nowhere else.

    Raises:
        OutputError: if the folder cannot be written.
    """
    path = jobs_dir / "studio.log"
    try:
        jobs_dir.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8", delay=False)
    except OSError as error:
        raise writing_failed(str(jobs_dir), error) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for old in log.handlers[:]:
        log.removeHandler(old)
        old.close()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    return path


def failure(error: Exception) -> Failed:
    """The sentence for an error: the user's own mistake as it is, ours as an apology with the traceback in the log."""
    if isinstance(error, UserError):
        return Failed(str(error))
    reference = secrets.token_hex(3)
    log.error("%s", reference, exc_info=error)
    print(f"A fault of the studio was written to its log as {reference}.", file=sys.stderr)
    return Failed(
        f"Sorry, something went wrong on our side (report {reference}); your files are untouched, please try again.",
        reference,
    )


class Job:
    """One film, from waiting to finished; safe to use from any thread."""

    def __init__(self, request: GenerationRequest, directory: Path, plan: Any = None, work: Work | None = None) -> None:
        self.id = secrets.token_urlsafe(16)  # who knows it may watch, so it cannot be guessed
        self.request = request
        self.directory = directory
        self.plan = plan
        self.work = work  # on a film that is there; None makes a new one
        self.ended = False
        self._lasting: list[ChunkFinished | Finished | Failed] = []
        self._progress: Progress | None = None
        self._changed = threading.Condition()
        self._cancelled = False
        self._num_followers = 0
        self._last_followed = time.monotonic()

    def cancel(self) -> None:
        """Stop at the next step and keep what is finished."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def should_stop(self) -> bool:
        deserted = self._num_followers == 0 and time.monotonic() - self._last_followed > GRACE_SECONDS
        return self._cancelled or deserted

    def publish(self, event: Event | Failed) -> None:
        with self._changed:
            if isinstance(event, Progress):
                self._progress = event
            else:
                self._lasting.append(event)
                self.ended = isinstance(event, (Finished, Failed))
            self._changed.notify_all()

    def follow(self, place: Callable[[], int] = lambda: 0) -> Iterator[Update]:
        """Every lasting event from the first one, the newest progress between them, and the place while waiting.

        Ends after `Finished` or `Failed`. place: number of films before this one.
        """
        num_seen, seen_progress, seen_place = 0, None, None
        with self._counted():
            while True:
                with self._changed:
                    self._changed.wait_for(
                        lambda: len(self._lasting) > num_seen or self._progress is not seen_progress,  # noqa: B023
                        timeout=0.5,
                    )
                    news, progress = self._lasting[num_seen:], self._progress
                num_seen += len(news)
                yield from news
                if news and isinstance(news[-1], (Finished, Failed)):
                    return
                if progress is not seen_progress:
                    seen_progress = progress
                    yield progress
                    time.sleep(PROGRESS_INTERVAL_SECONDS)
                elif progress is None and num_seen == 0 and (now := place()) != seen_place:
                    seen_place = now
                    yield Waiting(now)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._changed:
            self._num_followers += 1
        try:
            yield
        finally:
            with self._changed:
                self._num_followers -= 1
                self._last_followed = time.monotonic()


class Studio:
    """The queue of films, the thread that makes them, and the networks it keeps loaded between them."""

    def __init__(self, jobs_dir: Path) -> None:
        self.jobs_dir = Path(jobs_dir).absolute()
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._loading = threading.Lock()
        self._models: tuple[Any, Any] | None = None  # (what they are, the networks)

    def submit(self, request: GenerationRequest, plan: Any = None) -> Job:
        """Put a film at the end of the queue."""
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(8)}"
        return self._enqueue(Job(request, self.jobs_dir / name, plan))

    def change(self, job: Job, work: Work) -> Job:
        """Put work on a finished job's film at the end of the queue; the job that is returned has the same folder."""
        return self._enqueue(Job(job.request, job.directory, job.plan, work))

    def _enqueue(self, job: Job) -> Job:
        with self._changed:
            self._jobs[job.id] = job
            self._forget_old_jobs()
            self._waiting.append(job)
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="studio-worker", daemon=True)
                self._worker.start()
            self._changed.notify_all()
        return job

    def find(self, job_id: Any) -> Job | None:
        return self._jobs.get(job_id) if isinstance(job_id, str) else None

    def place(self, job: Job) -> int:
        """Films that will be made before this one."""
        with self._changed:
            if job not in self._waiting:
                return 0
            return list(self._waiting).index(job) + (self._running is not None)

    def follow(self, job: Job) -> Iterator[Update]:
        return job.follow(lambda: self.place(job))

    def cancel(self, job: Job) -> None:
        """A film that waits is dropped at once; one that runs stops at its next step and keeps its finished chunks."""
        job.cancel()
        with self._changed:
            waiting = job in self._waiting
            if waiting:
                self._waiting.remove(job)
        if waiting:
            job.publish(Finished(output=None, job_dir=job.directory, complete=False, num_frames=0))

    def models(self, request: GenerationRequest) -> Any:
        """The request's networks, loaded once and kept until a request needs others."""
        from ..pipeline import load_models

        settings = request.resolve()
        wanted = (request.checkpoints_dir, *(getattr(settings, name) for name in _SHAPES_NETWORKS))
        with self._loading:
            if self._models is None or self._models[0] != wanted:
                self._models = None  # let go of the old ones first: both together may not fit
                self._models = (wanted, load_models(request))
            return self._models[1]

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                job = self._running = self._waiting.popleft()
            try:
                self._make(job)
            except Exception as error:  # whatever it was, the visitor is told and the next film is made
                job.publish(failure(error))
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
            job.publish(event)
        assert job.ended, "the engine stopped without an end"
        log.info("%s done in %.1f s", job.directory.name, time.monotonic() - started)

    def _forget_old_jobs(self) -> None:
        """Only the memory of them; their folders stay."""
        for job_id, job in list(self._jobs.items()):
            if len(self._jobs) <= NUM_REMEMBERED_JOBS:
                return
            if job.ended:
                del self._jobs[job_id]
