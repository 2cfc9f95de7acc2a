"""A film being made for a visitor of the page, and what its followers get to know of it.

A job outlives the page that started it, so a reloaded page finds its film again. A visitor who does not come back
within `GRACE_SECONDS` has left: the job stops and keeps its finished chunks. A film from the queue needs nobody.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config.request import GenerationRequest
from ..errors import UserError, system_refusal, writing_failed
from ..events import ChunkFinished, Event, Finished, Progress

GRACE_SECONDS = 60.0
PROGRESS_INTERVAL_SECONDS = 0.25

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
    if (refusal := system_refusal(error)) is not None:
        log.warning("%s: %s", type(error).__name__, refusal)
        return Failed(str(refusal))
    reference = secrets.token_hex(3)
    log.error("%s", reference, exc_info=error)
    print(f"A fault of the studio was written to its log as {reference}.", file=sys.stderr)
    return Failed(
        f"Sorry, something went wrong on our side (report {reference}); your files are untouched, please try again.",
        reference,
    )


class Job:
    """One film, from waiting to finished; safe to use from any thread.

    work: on a folder that is there; None makes a new film. again: the film in it is finished, and a part of it is made
    once more. queued: made whether somebody looks on or not.
    """

    def __init__(
        self, request: GenerationRequest, directory: Path, plan: Any = None, work: Work | None = None,
        *, queued: bool = False, again: bool = False,
    ) -> None:  # fmt: skip
        self.id = secrets.token_urlsafe(16)  # who knows it may watch, so it cannot be guessed
        self.request = request
        self.directory = directory
        self.plan = plan
        self.work = work
        self.queued = queued
        self.again = again
        self.visitor = ""  # who has put it into the line (`visitors.current_visitor`)
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
        unseen = self._num_followers == 0 and time.monotonic() - self._last_followed > GRACE_SECONDS
        return self._cancelled or (unseen and not self.queued)

    @property
    def progress(self) -> Progress | None:
        """The newest."""
        return self._progress

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
                    with self._changed:  # progress can wait, a finished chunk is reported at once
                        self._changed.wait_for(
                            lambda: len(self._lasting) > num_seen,  # noqa: B023
                            timeout=PROGRESS_INTERVAL_SECONDS,
                        )
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
