"""Fetching published files through huggingface_hub: what is there is kept, what was begun goes on.

Before the first byte the hub is asked for sizes and checksums and the disk for room. Every finished file is compared
with its size and checksum, and the commit it came from is noted (`notes.py`).
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, UserError, writing_failed
from .files import RemoteFile
from .locate import find_file, gigabytes
from .notes import Notes

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SPARE_BYTES = 1_000_000_000  # left free on the disk: a machine with a full one serves nobody
_REPORT_EVERY_SECONDS = 0.5


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
    folder: Path | None = None,
    *,
    revision: str | None = None,
    report: Report = lambda progress: None,
) -> list[Path]:
    """Fetch what is missing of `files`; a call after an interruption continues where it stopped.

    Args:
        folder: in the official layout below it; None for the hub's own cache.
        revision: a branch, tag or commit for all repositories, instead of what is noted or the default.
    Returns:
        where each file lies, in order.
    Raises:
        CheckpointError: no network, no such file, a checksum that differs, or too little room: a sentence with numbers.
    """
    folders = [] if folder is None else [folder]
    missing = [file for file in files if find_file(file, folders) is None]
    if missing:
        wanted = ask_hub(missing, folder, revision)
        check_room(wanted, folder)
        _fetch(wanted, folder, report)
    paths = [find_file(file, folders) for file in files]
    assert all(path is not None for path in paths), "a fetched file is not found"
    return paths


def ask_hub(files: Sequence[RemoteFile], folder: Path | None, revision: str | None = None) -> list[Wanted]:
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


def check_room(wanted: Sequence[Wanted], folder: Path | None) -> None:
    """Refuse before the first byte if the disk cannot take what is still to come.

    Raises:
        CheckpointError: with what is needed and what is free.
    """
    from huggingface_hub import constants

    place = Path(constants.HF_HUB_CACHE) if folder is None else folder
    needed = sum(one.num_bytes for one in wanted) - sum(map(_begun, _partial_folders(wanted, folder)))
    exists = next(path for path in (place, *place.absolute().parents) if path.exists())
    free = shutil.disk_usage(exists).free
    if needed + SPARE_BYTES > free:
        raise CheckpointError(
            f"{gigabytes(max(needed, 0))} are still to be fetched into {place} and {gigabytes(SPARE_BYTES)} should "
            f"stay free, but the disk has {gigabytes(free)}; make room, or choose another disk with --checkpoints-dir."
        )


def _partial_folders(wanted: Sequence[Wanted], folder: Path | None) -> set[Path]:
    from huggingface_hub import constants

    if folder is None:
        names = {one.file.repository.replace("/", "--") for one in wanted}
        return {Path(constants.HF_HUB_CACHE) / f"models--{name}" / "blobs" for name in names}
    return {folder / one.file.folder / ".cache" / "huggingface" / "download" for one in wanted}


def _begun(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.incomplete")) if folder.is_dir() else 0


def _fetch(wanted: Sequence[Wanted], folder: Path | None, report: Report) -> None:
    from huggingface_hub import hf_hub_download

    notes = Notes.read(folder)
    total, finished, clock = sum(one.num_bytes for one in wanted), 0, _Clock()
    for one in wanted:
        file = one.file

        def advance(bytes_of_file: int, file: RemoteFile = file, before: int = finished) -> None:
            done = min(before + bytes_of_file, total)
            report(DownloadProgress(file, done, total, clock.seconds_left(done, total)))

        advance(0)
        try:
            path = hf_hub_download(
                file.repository,
                file.path,
                revision=one.commit,
                local_dir=None if folder is None else folder / file.folder,
                tqdm_class=_bar(advance),
            )
        except Exception as error:  # many kinds: connection, hub, disk
            raise _unreachable(error, f"{file.repository}/{file.path}") from error
        finished += one.num_bytes
        _check(Path(path), one)
        notes.add(file, one.commit, one.num_bytes, one.sha256)
        advance(one.num_bytes)


def _check(path: Path, one: Wanted) -> None:
    """Size and checksum as stated; a file that differs is removed."""
    size = path.stat().st_size
    problem = f"has {size} bytes instead of {one.num_bytes}" if size != one.num_bytes else None
    if problem is None and one.sha256 is not None and sha256_of(path) != one.sha256:
        problem = "has another checksum than the hub states"
    if problem is not None:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
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
    """A progress bar for huggingface_hub that draws nothing and tells `advance` the bytes of the file so far."""
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

