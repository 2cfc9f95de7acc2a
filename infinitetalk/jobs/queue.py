"""Films waiting to be made, in an order that survives restarts; and what a folder of jobs holds.

    queue = JobQueue("jobs")
    queue.add(prepare_job(request, "jobs/a"))     # the inputs are copied: nothing else has to stay where it was
    while (job := queue.first()) is not None:     # None while the queue is paused
        for event in resume(job): ...
        queue.remove(job)

The order stands in `queue.json` in the folder of the jobs, written whole or not at all; several processes may edit it,
each for an instant under a lock. A job that was running when the power went is still the first, and `resume` continues
it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..config.settings import known_keys, quoted
from ..errors import JobError, UserError, writing_failed
from ..files import read_json
from .folder import JobFolder, lock_file, write_json

QUEUE_FORMAT = 1
_PATIENCE_SECONDS = 10.0  # for another process that edits the queue; it needs milliseconds


@dataclass(frozen=True)
class Waiting:
    """A job in the queue.

    job: its folder's name, or its path where it lies elsewhere. failed: why it is passed over. held: it is passed over
    until it is let go, as one visitor's films may be while the queue goes on for the others.
    """

    job: str
    failed: str | None = None
    held: bool = False


@dataclass(frozen=True)
class QueueState:
    paused: bool = False
    jobs: tuple[Waiting, ...] = ()


class JobQueue:
    """The queue of the jobs in one folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        self.path = self.folder / "queue.json"

    def state(self) -> QueueState:
        """Raises JobError if the file was edited wrongly."""
        try:
            data = read_json(self.path)
        except FileNotFoundError:
            return QueueState()
        except (OSError, ValueError) as error:
            raise JobError(f"{self.path} is not a queue of jobs ({error}); mend or remove it.") from error
        try:
            if data["format"] != QUEUE_FORMAT or not isinstance(data["paused"], bool):
                raise JobError(f"{self.path} has format {data['format']!r}, expected {QUEUE_FORMAT}; remove it.")
            jobs = tuple(self._waiting(one) for one in data["jobs"])
        except (KeyError, TypeError, AttributeError) as error:
            raise JobError(f"{self.path} is not a queue of jobs ({error}); mend or remove it.") from error
        return QueueState(data["paused"], jobs)

    def _waiting(self, given: Any) -> Waiting:
        """An entry of the file; one job has one name, however it was written."""
        table = known_keys(Waiting, given, str(self.path))
        name, failed, held = table.get("job"), table.get("failed"), table.get("held", False)
        if not isinstance(name, str) or not name or "\0" in name or not isinstance(held, bool):
            raise JobError(f"{self.path} has the entry {quoted(dict(table))}, which names no job; mend or remove it.")
        path = Path(os.path.normpath(self.folder / name))
        return Waiting(self._name(path), None if failed is None else str(failed), held)

    def jobs(self) -> list[Path]:
        """All of them in their order."""
        return [self.folder / one.job for one in self.state().jobs]

    def first(self) -> Path | None:
        """The job to make next; None while paused, or if all that are left have failed or are held."""
        state = self.state()
        able = [one for one in state.jobs if one.failed is None and not one.held]
        return None if state.paused or not able else self.folder / able[0].job

    def add(self, job: str | Path | JobFolder, place: int | None = None) -> None:
        """Put a job at the end, or at a place counted from 0; one that is in the queue already moves there.

        Raises:
            UserError: there is no job in that folder.
        """
        path = job.path if isinstance(job, JobFolder) else JobFolder.open(job).path
        name = self._name(path)

        def changed(state: QueueState) -> QueueState:
            others = [one for one in state.jobs if one.job != name]
            where = len(others) if place is None else max(0, min(place, len(others)))
            return replace(state, jobs=(*others[:where], Waiting(name), *others[where:]))

        self._edit(changed)

    move = add

    def arrange(self, jobs: Iterable[str | Path]) -> None:
        """Let these exchange their places until they stand in this order; all others stay where they are."""
        order = [self._name(Path(job).absolute()) for job in jobs]

        def changed(state: QueueState) -> QueueState:
            known = {one.job: one for one in state.jobs}
            next_one = iter([known[name] for name in order if name in known])
            return replace(state, jobs=tuple(next(next_one) if one.job in order else one for one in state.jobs))

        self._edit(changed)

    def hold(self, jobs: Iterable[str | Path], held: bool = True) -> None:
        """Pass over these until they are let go."""
        names = {self._name(Path(job).absolute()) for job in jobs}
        self._edit(
            lambda state: replace(
                state, jobs=tuple(replace(one, held=held) if one.job in names else one for one in state.jobs)
            )
        )

    def remove(self, job: str | Path) -> bool:
        """Take a job out of the queue; its folder stays. Returns whether it was there."""
        name = self._name(Path(job).absolute())
        before = self._edit(lambda state: replace(state, jobs=tuple(one for one in state.jobs if one.job != name)))
        return any(one.job == name for one in before.jobs)

    def fail(self, job: str | Path, sentence: str) -> None:
        """Pass over a job from now on; `add` puts it back."""
        name = self._name(Path(job).absolute())
        self._edit(
            lambda state: replace(
                state, jobs=tuple(Waiting(name, sentence) if one.job == name else one for one in state.jobs)
            )
        )

    def pause(self) -> None:
        """No further job begins; the running one goes on until whoever runs it stops it."""
        self._edit(lambda state: replace(state, paused=True))

    def go_on(self) -> None:
        self._edit(lambda state: replace(state, paused=False))

    def _name(self, path: Path) -> str:
        return path.name if path.parent == self.folder else str(path)

    def _edit(self, change: Callable[[QueueState], QueueState]) -> QueueState:
        """Apply a change; returns the state before it."""
        with self._locked():
            before = self.state()
            after = change(before)
            if after != before or not self.path.exists():
                jobs = [{k: v for k, v in asdict(one).items() if v} for one in after.jobs]
                write_json(self.path, {"format": QUEUE_FORMAT, "paused": after.paused, "jobs": jobs})
        return before

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = open(self.folder / ".queue.lock", "a+b")  # noqa: SIM115 (closed below)
        except OSError as error:
            raise writing_failed(str(self.folder), error) from error
        with file:
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while True:
                try:
                    lock_file(file)
                    break
                except OSError as error:
                    if time.monotonic() > deadline:
                        raise JobError(f"Another program holds {self.path}; try again.") from error
                    time.sleep(0.01)
            yield


@dataclass(frozen=True)
class JobState:
    """One job folder, as a list of jobs shows it; read from small files, without opening its media.

    num_made: chunks that have a take on disk. num_chunks, num_frames: of the whole film, None where it is not said.
    name: what the user calls it. killed: the last run in it was ended from outside.
    film: output.mp4 if it is there. owner: ' (process ...)' of a run that works in it now, empty if none does.
    fault: why it cannot be used.
    """

    path: Path
    num_made: int = 0
    num_chunks: int | None = None
    num_frames: int | None = None
    name: str = ""
    killed: bool = False
    film: Path | None = None
    owner: str = ""
    fault: str | None = None
    request: dict[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return self.film is not None and self.num_made == self.num_chunks and not self.killed


def list_jobs(folder: str | Path) -> list[JobState]:
    """The jobs in a folder, newest first. A folder that holds no job is passed over; a damaged one has a fault."""
    found = [path for path in Path(folder).absolute().glob("*") if (path / "project.json").is_file()]
    found.sort(key=lambda path: (path / "project.json").stat().st_ctime, reverse=True)
    return [job_state(path) for path in found]


def job_state(path: str | Path) -> JobState:
    path = Path(path).absolute()
    try:
        job = JobFolder.open(path)
    except UserError as error:
        return JobState(path, name=path.name, fault=str(error))
    made = {take.parent.parent.name for take in path.glob("chunks/*/take-[0-9]*/take.json")
            if not take.parent.name.endswith(".partial")}  # fmt: skip
    project = job.project()
    lengths = (project.get("num_chunks"), project.get("num_frames"))
    num_chunks, num_frames = (number if isinstance(number, int) else None for number in lengths)
    return JobState(
        path, len(made), num_chunks, num_frames, job.name, job.was_killed(),
        job.output if job.output.exists() else None, job.owner(), None, job.request.to_dict(),
    )  # fmt: skip
