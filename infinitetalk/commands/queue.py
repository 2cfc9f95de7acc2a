"""`infinitetalk queue`: films to make one after another, in an order that survives restarts."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, JobError, UserError
from .arguments import CommandParser, command_parser
from .terminal import render

if TYPE_CHECKING:
    from ..jobs.queue import JobQueue


def build_parser() -> CommandParser:
    parser = command_parser("queue", "Films to make one after another. Without flags, list the queue.")
    parser.add_argument("--jobs-dir", type=Path, default=Path("jobs"), help="folder of the jobs (default: jobs)")
    parser.add_argument("--add", action="append", default=[], metavar="JOB_DIR", help="put a job at the end")
    parser.add_argument("--move", action="append", default=[], metavar="JOB_DIR=PLACE", help="to a place from 0")
    parser.add_argument("--remove", action="append", default=[], metavar="JOB_DIR", help="its folder stays")
    parser.add_argument("--pause", action="store_true", help="no further job begins")
    parser.add_argument("--go-on", action="store_true", help="end the pause")
    parser.add_argument("--run", action="store_true", help="make the films in their order")
    return parser


def main(argv: Sequence[str]) -> int:
    """Edit the queue, then run or list it; returns the exit code. Raises UserError."""
    from ..jobs.queue import JobQueue

    options = build_parser().parse_args(argv)
    queue = JobQueue(options.jobs_dir)
    moves = [_move(text) for text in options.move]
    for job in options.add:
        queue.add(job)
    for job, place in moves:
        queue.move(job, place)
    for job in options.remove:
        if not queue.remove(job):
            raise InputError(f"The job {job} is not in the queue {queue.path}.")
    if options.pause:
        queue.pause()
    if options.go_on:
        queue.go_on()
    if options.run:
        return _run(queue.first, queue.remove, queue.fail, options.json)
    _list(queue, options.json)
    return 0


def _list(queue: JobQueue, as_json: bool) -> None:
    from ..jobs.queue import job_state

    state = queue.state()
    if as_json:
        print(json.dumps(dataclasses.asdict(state), indent=2))
        return
    if state.paused:
        print("Paused; --go-on ends it.")
    for place, (waiting, path) in enumerate(zip(state.jobs, queue.jobs(), strict=True)):
        job = job_state(path)
        made = f"{job.num_made} of {job.num_chunks or '?'} chunks made{job.owner}"
        progress = waiting.failed or job.fault or (f"held, {made}" if waiting.held else made)
        print(f"{place:4d}  {waiting.job}  {progress}")


def _run(
    first: Callable[[], Path | None], done: Callable[[Path], bool], failed: Callable[[Path, str], None], as_json: bool
) -> int:
    """Make what stands first until nothing does; a job that cannot be made is passed over and named at the end."""
    from ..pipeline import resume

    code, before = 0, None
    while (job := first()) is not None:
        if job == before:
            raise JobError(f"{job} stays first in the queue although it is done; remove it with --remove.")
        before = job
        try:
            code = max(code, render(resume(job), None, as_json))
        except UserError as error:
            failed(job, str(error))
            print(f"{job.name}: {error}", file=sys.stderr)
            code = 1
        else:
            done(job)
    return code


def _move(text: str) -> tuple[str, int]:
    job, _, place = text.rpartition("=")
    if not job or not place.isdecimal():
        raise InputError(f"--move is {text!r}; give JOB_DIR=PLACE, such as jobs/a=0.")
    return job, int(place)
