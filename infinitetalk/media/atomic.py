"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError, writing_failed


def check_output(path: str | os.PathLike) -> Path:
    """The name of the temporary file that `atomic_output` will use; leaves nothing behind.

    Raises:
        OutputError: the folder does not exist or cannot be written, or `path` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path} is a folder, a file name was expected; add a name to it.")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}; create it or choose another.")
    # A name of its own: one of 250 bytes has no room for a suffix.
    partial = path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.{os.getpid()}.part")
    if len(os.fsencode(path.name)) > 255:
        raise OutputError(f"The name {path.name} is longer than file systems take (255 bytes); shorten it.")
    try:
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise writing_failed(path, error) from error
    return partial


@contextmanager
def atomic_output(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary file in the folder of `path`, given its name once the block has ended well; removed otherwise.

    The content is on the disk (fsync) before it gets the name, so a crash leaves the earlier file or the new one.

    Raises:
        OutputError: the folder does not exist or cannot be written, `path` is a folder, or the disk is full.
    """
    path = Path(path)
    partial = check_output(path)
    try:
        partial.touch()
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)
    except OSError as error:  # FFmpeg's errors of the disk are OSErrors too
        if error.errno in (errno.EFBIG, errno.EDQUOT):  # a limit or a quota: full, as far as this user goes
            error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise writing_failed(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
