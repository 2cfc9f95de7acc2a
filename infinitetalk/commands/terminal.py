"""What commands show and where they write: progress bars, lines of JSON, notes, and names for their films."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..errors import OutputError
from ..events import ChunkFinished, Event, Finished, Progress
from ..media.atomic import atomic_output, check_output

T = TypeVar("T")


def render(events: Iterable[Event], output: Path | None, as_json: bool) -> int:
    """Show events until the last; returns the exit code."""
    from ..runtime.process_group import process_group

    bar = None if as_json or not sys.stderr.isatty() else _ProgressBar()
    finished: Finished | None = None
    for event in events:
        if not process_group().leads:
            pass
        elif as_json:
            print(json.dumps(event_to_dict(event)), flush=True)
        elif bar:
            bar.show(event)
        if isinstance(event, Finished):
            finished = event
    assert finished is not None
    if not process_group().leads:
        return 0
    path = finished.output
    if output is not None and path is not None:
        deliver(path, output)
        path = output
    if not as_json:
        print(path)
    return 0 if finished.complete else 1


def event_to_dict(event: Event) -> dict[str, Any]:
    """An event as JSON-ready data, its kind under `event`."""
    kind = {Progress: "progress", ChunkFinished: "chunk_finished", Finished: "finished"}[type(event)]
    data = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(event).items() if k != "preview"}
    return {"event": kind, **data}


def checked_output(output: str | Path | None) -> Path | None:
    """The place the film is to be written to, refused before any work if it cannot be."""
    if output is None:
        return None
    path = Path(output).absolute()
    if path.suffix.lower() != ".mp4":
        raise OutputError(f"The output {output} does not end in .mp4, the only format written; rename it.")
    if path.is_dir():
        raise OutputError(f"The output {output} is a folder; give a file name ending in .mp4.")
    if not path.parent.is_dir():
        raise OutputError(f"The folder {path.parent} of the output does not exist; make it or choose another.")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"The folder {path.parent} of the output cannot be written; choose another.")
    check_output(path)
    return path


def deliver(film: Path, output: Path) -> None:
    """Copy into the target's folder, then rename over it: the earlier file stays whole until the new one is."""
    with atomic_output(output) as partial:
        shutil.copyfile(film, partial)


class _ProgressBar:
    """One line on a terminal, redrawn."""

    _WIDTH = 28

    def show(self, event: Event) -> None:
        if isinstance(event, Progress):
            filled = round(event.fraction * self._WIDTH)
            where = "" if event.chunk is None else f" chunk {event.chunk + 1}/{event.num_chunks}"
            step = "" if event.step is None else f" step {event.step + 1}/{event.num_steps}"
            left = "" if event.seconds_left is None else f" {format_seconds(event.seconds_left)} left"
            line = f"[{'#' * filled}{'.' * (self._WIDTH - filled)}] {event.stage}{where}{step}{left}"
        elif isinstance(event, Finished):
            line = f"[{'#' * self._WIDTH}] done"
        else:
            return
        end = "\n" if isinstance(event, Finished) else ""
        print(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}", end=end, file=sys.stderr, flush=True)


def format_seconds(seconds: float) -> str:
    """75 -> '1:15', 4000 -> '1:06:40', 7 -> '7 s'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def free_name(path: Path) -> Path:
    """`path`, or the first of name-2, name-3, ... that nothing uses yet."""
    candidate, number = path, 2
    while candidate.exists():
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return candidate


def output_beside(given: str | None, otherwise: str, suffix: str, source: Path) -> Path:
    """Where a result goes: as given, or `otherwise` in the working directory under a name that is free.

    Raises:
        OutputError: the name has another suffix, or is that of the source.
    """
    if given is None:
        return free_name(Path(otherwise))
    path = Path(given)
    if path.suffix.lower() != suffix:
        raise OutputError(f"The output {path} does not end in {suffix}; rename it.")
    if path.exists() and source.exists() and path.samefile(source):
        raise OutputError(f"The output {path.name} is the film that is read; choose another name for it.")
    return path


def print_result(result: dict[str, Any], warnings: Sequence[str], as_json: bool) -> None:
    """Print all of it for machines; for people the files that were written, and warnings on stderr."""
    if as_json:
        print(json.dumps({**result, "warnings": list(warnings)}, indent=2))
        return
    for warning in warnings:
        print(f"Note: {warning}", file=sys.stderr)
    for name in ("film", "sequence", "path"):
        if name in result:
            print(result[name])


class Meter:
    """One line on a terminal: what is done, the share and the time left."""

    def __init__(self, what: str, silent: bool) -> None:
        self._what, self._shown = what, not silent and sys.stderr.isatty()
        self._begun = time.monotonic()

    def __call__(self, share: float) -> None:
        if self._shown and share > 0:
            left = (time.monotonic() - self._begun) * (1 - share) / share
            end = "\n" if share >= 1 else ""
            line = f"\r\x1b[K{self._what} {100 * share:3.0f} % {left:.0f} s left"
            print(line, end=end, file=sys.stderr, flush=True)

    def watch(self, items: Iterable[T], total: int) -> Iterator[T]:
        """The items, each counted when it has been taken."""
        for index, item in enumerate(items, start=1):
            yield item
            self(index / total)
