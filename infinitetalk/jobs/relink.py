"""Media that a job has lost: what is missing, and finding it again by its content, whatever it is called now."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import InputError, JobError, writing_failed
from .folder import JobFolder, copy_or_link, file_digest


def check_media(job: JobFolder) -> None:
    """Raises JobError naming the files that the job needs and has no more, and how to give them back."""
    if missing := missing_media(job):
        names = ", ".join(missing)
        raise JobError(
            f"The job {job.path} has lost {names}; give {'it' if len(missing) == 1 else 'them'} back with "
            f"`infinitetalk resume {job.path} --relink {missing[0]}=FILE`, or --relink FOLDER to look there."
        )


def missing_media(job: JobFolder) -> list[str]:
    """Names, within the job's folder, of inputs that are not there."""
    request = job.request
    needed = [request.source, *(speaker.audio for speaker in request.speakers),
              *(keyframe.image for keyframe in request.keyframes if keyframe.image),
              *(one.file for one in request.choices.values() if one.file)]  # fmt: skip
    folder = job.path.resolve()
    return [Path(name).relative_to(folder).as_posix() for name in dict.fromkeys(needed) if not Path(name).is_file()]


def relink(job: JobFolder, places: Sequence[str]) -> list[str]:
    """Give a job its lost media back; returns the names of those found. A file is taken for what its bytes are.

    places: each `NAME=FILE`, with a name as `missing_media` gives it, or a folder to look in, subfolders included.

    Raises:
        InputError: there is no such name, file or folder. JobError: a file is not the one that the job was made from.
        OutputError: it cannot be copied into the job.
    """
    known = job.project().get("media", {})
    missing = missing_media(job)
    found = []
    for place in places:
        name, _, file = place.partition("=")
        if Path(place).is_dir():
            for one in [one for one in missing if one in known and one not in found]:
                if (match := _find(Path(place), known[one])) is not None:
                    _give_back(job, one, match)
                    found.append(one)
            continue
        if not file:
            raise InputError(f"--relink is {place!r}; give NAME=FILE, or a folder that exists.")
        if name not in missing:
            lost = f"it lacks {', '.join(missing)}" if missing else "it lacks nothing"
            raise InputError(f"The job {job.path} does not lack {name!r}; {lost}.")
        if not Path(file).is_file():
            raise InputError(f"{file} does not exist; give the file that {name} was copied from.")
        if name in known and not _matches(Path(file), known[name]):
            raise JobError(f"{file} is not the file that {name} was copied from (its content differs); give that one.")
        _give_back(job, name, Path(file))
        found.append(name)
    return found


def _find(folder: Path, print_: dict) -> Path | None:
    return next((path for path in _files(folder) if _matches(path, print_)), None)


def _files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        yield from (Path(root) / name for name in sorted(names))


def _matches(path: Path, print_: dict) -> bool:
    try:
        return path.stat().st_size == print_["bytes"] and file_digest(path) == print_["sha256"]
    except (OSError, KeyError, TypeError):
        return False


def _give_back(job: JobFolder, name: str, file: Path) -> None:
    target = job.path / name
    partial = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(exist_ok=True)
        partial.unlink(missing_ok=True)
        copy_or_link(str(file), partial)
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise writing_failed(str(target), error) from error
