"""The job folder: everything needed to finish a film after a crash, and to make it again elsewhere.

    project.json            the complete request, with the inputs' paths relative to this folder
    inputs/                 copies of the picture or film and the voices
    chunks/0003/take-00/    segment.mp4, context.safetensors, take.json; take-01 if made once more (`retakes.py`)
    output.mp4
    name.txt                what the user calls the film, where that was said

A take is written under a temporary name and renamed when it is complete and on disk, so a folder `take-NN` is always
whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..config.request import GenerationRequest, Keyframe, Speaker, read_project
from ..errors import JobError, writing_failed
from ..files import read_json

PROJECT_FORMAT = 1
_OWNER = ".owner.json"  # who holds the lock; where nobody does, a run was killed and left it
_NAME = "name.txt"
MOST_NAME_CHARACTERS = 80
_MOST_NAME_BYTES = 180  # of a copied input's own name
_LINK_ABOVE_BYTES = 500_000_000  # a source film this large is linked into the folder where the disk allows it


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Atomically: a temporary file, fsync, rename."""
    temporary = path.with_name(path.name + ".partial")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise writing_failed(str(path), error) from error


def check_format(project: Mapping[str, Any], where: str) -> None:
    """Raises JobError unless the project is of the format that is read here."""
    given = project.get("format")
    if isinstance(given, int) and given > PROJECT_FORMAT:
        raise JobError(
            f"{where} was written by a newer version (format {given}, this one reads {PROJECT_FORMAT}); update the "
            "studio to use it."
        )
    if given != PROJECT_FORMAT:
        raise JobError(f"{where} has format {given!r}, expected {PROJECT_FORMAT}; it is no project of this studio.")


def file_digest(path: str | Path) -> str:
    """sha256 of a file's bytes, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class JobFolder:
    """One job's folder. Use `create` or `open`, then `with job.locked():` around the work."""

    def __init__(self, path: Path, request: GenerationRequest) -> None:
        self.path = path
        self.request = request  # inputs made absolute

    @property
    def output(self) -> Path:
        return self.path / "output.mp4"

    @classmethod
    def create(
        cls, path: str | Path, request: GenerationRequest, num_chunks: int | None = None, num_frames: int | None = None
    ) -> JobFolder:
        """Make the folder, copy the inputs into it and write project.json. num_chunks, num_frames: for lists of jobs.

        Raises:
            JobError: if the folder already holds a job. OutputError: if it cannot be written.
        """
        path = Path(path).absolute()
        if (path / "project.json").exists():
            raise JobError(f"The folder {path} already holds a job; choose another folder, or continue it with resume.")
        try:
            if path.is_dir() and not _is_unborn(path):
                raise JobError(f"The folder {path} is not empty and holds no job; choose an empty or new folder.")
            (path / "inputs").mkdir(parents=True, exist_ok=True)
            (path / "chunks").mkdir(exist_ok=True)
            stored = _copy_inputs(request, path / "inputs")
        except (FileExistsError, NotADirectoryError) as error:
            raise JobError(f"{path} is not a folder; choose another place for the job.") from error
        except OSError as error:
            raise writing_failed(str(path), error) from error
        prints = {f"inputs/{file.name}": {"bytes": file.stat().st_size, "sha256": file_digest(file)}
                  for file in sorted((path / "inputs").iterdir())}  # fmt: skip
        project = {"format": PROJECT_FORMAT, "request": stored.to_dict(), "media": prints}
        lengths = {"num_chunks": num_chunks, "num_frames": num_frames}
        write_json(path / "project.json", project | {key: n for key, n in lengths.items() if n is not None})
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> JobFolder:
        """The job in an existing folder.

        Raises:
            InputError: if there is no readable project.json. JobError: if it is of another format.
        """
        path = Path(path).absolute()
        project = read_project(path / "project.json")
        check_format(project, str(path / "project.json"))
        request = GenerationRequest.from_dict(project.get("request", {}), str(path / "project.json"))
        return cls(path, _map_files(request, lambda name: _inside(path, name)))

    def project(self) -> dict[str, Any]:
        """What project.json holds now."""
        return dict(read_project(self.path / "project.json"))

    def inside(self, name: str) -> str:
        """The path of a file of this job, named relative to its folder.

        Raises:
            JobError: it lies outside.
        """
        return _inside(self.path, name)

    @property
    def name(self) -> str:
        """What the user called the film; else the name of the picture or film that it was made of."""
        try:
            said = (self.path / _NAME).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            said = ""
        return said or Path(given_name(self.request.source)).stem

    def rename(self, name: str) -> None:
        """Call the film something else; an empty name gives it back its first one.

        In a file of its own, since a run may write project.json at the same moment. Raises OutputError.
        """
        path = self.path / _NAME
        try:
            path.with_suffix(".partial").write_text(" ".join(name.split())[:MOST_NAME_CHARACTERS], encoding="utf-8")
            os.replace(path.with_suffix(".partial"), path)
        except OSError as error:
            raise writing_failed(str(path), error) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one process; the lock ends with the process, however it ends.

        Raises:
            JobError: if another run holds it.
        """
        with open(self.path / ".lock", "a+b") as file:
            try:
                _lock_soon(file)
            except OSError as error:
                raise JobError(
                    f"Another run{self._owner()} is working in {self.path}; wait for it or choose another."
                ) from error
            owner = {"process": os.getpid(), "machine": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
            write_json(self.path / _OWNER, owner)
            try:
                yield
            finally:
                (self.path / _OWNER).unlink(missing_ok=True)

    def check_free(self) -> None:
        """Raises JobError if another run works in the folder; for changes that come before the work itself."""
        if owner := self.owner():
            raise JobError(f"Another run{owner} is working in {self.path}; wait for it or choose another.")

    def owner(self) -> str:
        """Who works in the folder now, as `_owner`; empty if nobody does, whatever a killed run has left."""
        try:
            with open(self.path / ".lock", "r+b") as file:
                lock_file(file)
        except FileNotFoundError:
            return ""
        except OSError:
            return self._owner() or " (unnamed)"
        return ""

    def was_killed(self) -> bool:
        """Whether the last run that worked here was ended from outside, and none works here now."""
        left = self.path / _OWNER
        return left.exists() and not self.owner() and left.exists()  # the run may have ended while we looked

    def _owner(self) -> str:
        """' (process 71 on host, since 12:00)'; nothing where the file does not say."""
        try:
            owner = read_json(self.path / _OWNER)
            return f" (process {owner['process']} on {owner['machine']}, since {owner['since']})"
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def take_dir(self, chunk: int, take: int = 0) -> Path:
        return self.path / "chunks" / f"{chunk:04d}" / f"take-{take:02d}"

    @contextlib.contextmanager
    def writing_take(self, chunk: int, take: int = 0) -> Iterator[Path]:
        """A folder to fill; it becomes the take when the block ends without an error."""
        final = self.take_dir(chunk, take)
        partial = final.with_name(final.name + ".partial")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            yield partial
            for file in partial.iterdir():
                _sync(file)
            _sync(partial)
            os.replace(partial, final)
            _sync(final.parent)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise writing_failed(str(final), error) from error
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def finished_take(self, chunk: int, inputs_digest: str) -> dict[str, Any] | None:
        """The record of a complete take made from exactly these inputs, its number under `take`; or None.

        A file that has not the size the record says (a disk that lost its last write) makes the take incomplete.
        """
        for folder in self.take_dirs(chunk):
            try:
                record = read_json(folder / "take.json")
                sizes = record.get("bytes", {})
                whole = all((folder / name).stat().st_size == size for name, size in sizes.items())
            except (OSError, ValueError, AttributeError):
                continue
            if whole and record.get("inputs_sha256") == inputs_digest:
                return record | {"take": int(folder.name.removeprefix("take-"))}
        return None

    def next_take(self, chunk: int) -> int:
        """A number that no take on disk has."""
        return 1 + max((int(folder.name.removeprefix("take-")) for folder in self.take_dirs(chunk)), default=-1)

    def take_dirs(self, chunk: int) -> list[Path]:
        """The folders of a chunk's takes, in their order; every one is whole."""
        found = (self.path / "chunks" / f"{chunk:04d}").glob("take-*")
        return sorted(folder for folder in found if folder.name.removeprefix("take-").isdigit())


def given_name(stored: str) -> str:
    """anna.png for inputs/0-anna.png: inputs are stored with a number before the name that the user gave them."""
    number, _, name = Path(stored).name.partition("-")
    return name if number.isdigit() and name else Path(stored).name


def _is_unborn(path: Path) -> bool:
    """Whether the folder is empty, or holds what a run left that died before it had written project.json."""
    names = {entry.name for entry in path.iterdir()}
    half_made = names <= {"inputs", "chunks", "project.json.partial"} and "inputs" in names
    return not names or (half_made and not any((path / "chunks").glob("*")))


def _copy_inputs(request: GenerationRequest, folder: Path) -> GenerationRequest:
    names: dict[str, str] = {}

    def store(original: str) -> str:
        if original not in names:
            name = f"{len(names)}-{_shortened(Path(original).name)}"
            copy_or_link(original, folder / name)
            names[original] = f"inputs/{name}"
        return names[original]

    return _map_files(request, store)


def _shortened(name: str) -> str:
    """A file name with room for a number before it and a suffix behind it; file systems take 255 bytes.

    Bytes that are no text (a name from a system with another encoding) become U+FFFD, so that JSON can hold it.
    """
    stem, suffix = os.path.splitext(os.fsencode(name).decode("utf-8", "replace"))
    suffix = suffix[:16]
    room = _MOST_NAME_BYTES - len(os.fsencode(suffix))
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem + suffix


def copy_or_link(original: str, target: Path) -> None:
    """A copy; of a very large file a link, where the disk allows it. Raises OSError."""
    if not (os.path.getsize(original) > _LINK_ABOVE_BYTES and _try_link(original, target)):
        shutil.copyfile(original, target)


def _try_link(original: str, target: Path) -> bool:
    try:
        os.link(original, target)
    except OSError:
        return False
    return True


def _map_files(request: GenerationRequest, change: Any) -> GenerationRequest:
    """`request` with every file name replaced by `change(name)`."""
    return replace(
        request,
        source=change(request.source),
        speakers=tuple(Speaker(change(s.audio), s.box) for s in request.speakers),
        keyframes=tuple(
            Keyframe(k.time_seconds, k.source_seconds, None if k.image is None else change(k.image))
            for k in request.keyframes
        ),
        **{name: _with_file(one, change) for name, one in request.choices.items() if one.file is not None},
    )


def _with_file(choice: Any, change: Any) -> Any:
    """The choice with its file's name changed, whichever of its fields holds that."""
    (name,) = (each.name for each in fields(choice) if getattr(choice, each.name) == choice.file)
    return replace(choice, **{name: change(choice.file)})


def _inside(folder: Path, name: str) -> str:
    """An input's path, refused if a tampered project.json points outside the job folder."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise JobError(f"{folder / 'project.json'} names the file {name!r} outside its folder; it is not used.")
    return str(path)


def _sync(path: Path) -> None:
    """Have the disk hold what was written; folders too, where the system can."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:  # Windows does not open folders
        return
    try:
        os.fsync(descriptor)
    except OSError:
        if path.is_file() and os.name != "nt":
            raise
    finally:
        os.close(descriptor)


if os.name == "nt":
    import msvcrt

    def lock_file(file: Any) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def lock_file(file: Any) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_soon(file: Any) -> None:
    """Lock even while somebody only looks who holds it (`JobFolder.owner`), which takes no time."""
    for _ in range(5):
        try:
            return lock_file(file)
        except OSError:
            time.sleep(0.02)
    return lock_file(file)
