"""Fetching published files from the hub: what is there is kept, what was begun goes on.

Before the first byte sizes and checksums are read from the hub and the disk's free space is checked. Every finished
file is compared with its size and checksum, and the commit it came from is noted (`notes.py`). Addresses, log-in,
retries and ranges are huggingface_hub's; the file that grows is ours, because `hf_hub_download` begins a killed file
anew.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import CheckpointError, UserError, writing_failed
from .files import RemoteFile
from .locate import find_file, gigabytes
from .notes import Notes

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SPARE_BYTES = 1_000_000_000  # left free on the disk: a machine with a full one serves nobody
_REPORT_EVERY_SECONDS = 0.5
_LOCK_SECONDS = 1


@dataclass(frozen=True)
class Wanted:
    """A file to be fetched: its commit, size and checksum as the hub states them."""

    file: RemoteFile
    commit: str
    num_bytes: int
    sha256: str | None


@dataclass(frozen=True)
class DownloadProgress:
    """bytes_done of bytes_total over all files, what was there before included; seconds_left None until known."""

    file: RemoteFile
    bytes_done: int
    bytes_total: int
    seconds_left: float | None


Report = Callable[[DownloadProgress], None]


def download(
    files: Sequence[RemoteFile],
    folder: Path,
    *,
    revision: str | None = None,
    report: Report = lambda progress: None,
) -> list[Path]:
    """Fetch what is missing of `files` into `folder`, in the official layout; goes on where it was interrupted.

    Args:
        revision: a branch, tag or commit for all repositories, instead of what is noted or the default.
    Returns:
        where each file lies, in order; what the hub's own cache has already stays there.
    Raises:
        CheckpointError: no network, no such file, a checksum that differs, or too little room: a sentence with numbers.
    """
    missing = [file for file in files if find_file(file, [folder]) is None]
    if missing:
        wanted = ask_hub(missing, folder, revision)
        check_room(wanted, folder)
        _fetch(wanted, folder, report)
    paths = [path for file in files if (path := find_file(file, [folder])) is not None]
    assert len(paths) == len(files), "a fetched file is not found"
    return paths


def ask_hub(files: Sequence[RemoteFile], folder: Path, revision: str | None = None) -> list[Wanted]:
    """Commit, size and checksum of each file, one question a repository.

    Raises:
        CheckpointError: offline, unreachable, or there is no such repository, revision or file.
    """
    from huggingface_hub import HfApi, constants

    about = gigabytes(sum(file.bytes_about for file in files))
    if constants.HF_HUB_OFFLINE:
        raise CheckpointError(
            f"{len(files)} files (about {about}) are missing and HF_HUB_OFFLINE forbids to fetch them; unset it, or "
            f"copy the files here, {files[0].repository}/{files[0].path} first."
        )
    notes, api = Notes.read(folder), HfApi()
    answers: dict[tuple[str, str], Any] = {}
    wanted = []
    for file in files:
        chosen = revision or notes.commit(file) or file.revision
        key = (file.repository, chosen)
        if key not in answers:
            answers[key] = _question(api, file.repository, chosen)
        info = answers[key]
        found = next((one for one in info.siblings or () if one.rfilename == file.path), None)
        if found is None:
            raise CheckpointError(
                f"{file.repository} has no file {file.path} at {chosen}; its owners may have moved it: look at its "
                "page and put the file into the folder by hand."
            )
        sha256 = found.lfs.sha256 if found.lfs is not None else None
        wanted.append(Wanted(file, info.sha, found.size or 0, sha256))
    return wanted


def _question(api: HfApi, repository: str, revision: str) -> Any:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return api.model_info(repository, revision=revision, files_metadata=True)
    except GatedRepoError as error:
        raise CheckpointError(
            f"{repository} wants its terms accepted; do so on its page, log in with `hf auth login` and try again."
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"The hub knows no repository {repository}, or it is private; log in with `hf auth login` or put its files "
            "into the folder by hand."
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{repository} has no revision {revision!r}; give a branch, tag or commit.") from error
    except Exception as error:
        raise _unreachable(error, repository) from error


def _unreachable(error: BaseException, what: str) -> UserError:
    """The sentence for whatever the network, the hub or the disk did; what is fetched so far stays."""
    for cause in (error, error.__cause__, error.__context__):
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS):
            return writing_failed(str(cause.filename or what), cause)
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return CheckpointError(
        f"{what} could not be fetched ({reason}); check the connection and run the command again, it goes on where it "
        "stopped."
    )


def check_room(wanted: Sequence[Wanted], folder: Path) -> None:
    """Refuse before the first byte if the disk cannot take what is still to come.

    Raises:
        CheckpointError: with what is needed and what is free.
    """
    needed = sum(max(0, one.num_bytes - _begun(one, folder)) for one in wanted)
    exists = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(exists).free
    if needed + SPARE_BYTES > free:
        raise CheckpointError(
            f"{gigabytes(needed)} are still to be fetched into {folder} and {gigabytes(SPARE_BYTES)} should stay free, "
            f"but the disk has {gigabytes(free)}; make room, or choose another disk with --checkpoints-dir."
        )


def part_of(one: Wanted, folder: Path) -> Path:
    """The file that grows; its name depends on the content, so that no file is continued with another's bytes."""
    target = folder / one.file.folder / one.file.path
    return target.with_name(f"{target.name}.{(one.sha256 or one.commit)[:12]}.part")


def _begun(one: Wanted, folder: Path) -> int:
    part = part_of(one, folder)
    return part.stat().st_size if part.is_file() else 0


def _fetch(wanted: Sequence[Wanted], folder: Path, report: Report) -> None:
    notes = Notes.read(folder)
    total, finished, clock = sum(one.num_bytes for one in wanted), 0, _Clock()
    for one in wanted:

        def advance(bytes_of_file: int, file: RemoteFile = one.file, before: int = finished) -> None:
            done = min(before + bytes_of_file, total)
            report(DownloadProgress(file, done, total, clock.seconds_left(done, total)))

        part = part_of(one, folder)
        try:
            _fetch_one(one, part, advance)
            _check(part, one)
            os.replace(part, folder / one.file.folder / one.file.path)
        except UserError:
            raise
        except Exception as error:  # many kinds: connection, hub, disk
            raise _unreachable(error, f"{one.file.repository}/{one.file.path}") from error
        finished += one.num_bytes
        notes.add(one.file, one.commit, one.num_bytes, one.sha256)
        advance(one.num_bytes)


def _fetch_one(one: Wanted, part: Path, advance: Callable[[int], None]) -> None:
    """Append to `part` what it lacks."""
    from filelock import Timeout
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import WeakFileLock, build_hf_headers

    url = hf_hub_url(one.file.repository, one.file.path, revision=one.commit)
    address = get_hf_file_metadata(url).location
    headers = build_hf_headers()
    if urlsplit(address).netloc != urlsplit(url).netloc:  # a signed address elsewhere is no place for a password
        headers.pop("authorization", None)
    part.parent.mkdir(parents=True, exist_ok=True)
    lock = part.with_name(part.name + ".lock")
    try:
        with WeakFileLock(lock, timeout=_LOCK_SECONDS), open(part, "ab") as file:
            begun = file.tell()
            advance(begun)
            if begun < one.num_bytes:
                http_get(
                    address, file, resume_size=begun, headers=headers, expected_size=one.num_bytes,
                    displayed_filename=one.file.path, tqdm_class=_bar(advance),
                )  # fmt: skip
    except Timeout as error:
        raise CheckpointError(f"{one.file.path} is being fetched by another program; wait for it.") from error
    lock.unlink(missing_ok=True)


def _check(path: Path, one: Wanted) -> None:
    """Size and checksum as stated; a file that differs is removed."""
    size = path.stat().st_size
    problem = f"has {size} bytes instead of {one.num_bytes}" if size != one.num_bytes else None
    if problem is None and one.sha256 is not None and sha256_of(path) != one.sha256:
        problem = "has another checksum than the hub states"
    if problem is not None:
        path.unlink()
        raise CheckpointError(f"{one.file.path} {problem} and was removed; run the command again.")


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Clock:
    """Time left from the bytes fetched since the start; what a resumed file brought along is not counted as speed."""

    def __init__(self) -> None:
        self._start: tuple[float, int] | None = None

    def seconds_left(self, done: int, total: int) -> float | None:
        now = time.monotonic()
        if self._start is None or done < self._start[1]:
            self._start = (now, done)
        seconds, fetched = now - self._start[0], done - self._start[1]
        return (total - done) * seconds / fetched if fetched > 0 and seconds > 1 else None


def _bar(advance: Callable[[int], None]) -> type:
    """A progress bar for huggingface_hub that draws nothing and calls `advance` with the bytes of the file so far."""
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)  # of the hub's own bars
            super().__init__(*arguments, **(options | {"disable": True}))
            self.n = options.get("initial") or 0
            self._told = 0.0
            advance(self.n)

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            if time.monotonic() - self._told > _REPORT_EVERY_SECONDS:
                self._told = time.monotonic()
                advance(int(self.n))
            return None

    return Bar
