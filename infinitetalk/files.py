"""Reading files that somebody else wrote: regular ones alone, of a bounded size and depth.

A named pipe blocks for ever, a device never ends, and a few lines of JSON or YAML can stand for gigabytes.
"""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from .errors import InputError, UserError

MAX_JSON_BYTES = 16_000_000  # a camera path of an hour is about 10 MB
MAX_YAML_BYTES = 64_000
MAX_ARRAYS_BYTES = 256_000_000
MAX_DEPTH = 32  # of lists and tables within each other

_KINDS = {
    stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"
}  # fmt: skip


def check_file(path: str | os.PathLike, error: type[UserError] = InputError) -> Path:
    """`path` as a Path.

    Raises:
        error: it is not a regular file with at least one byte that this user may read.
    """
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise error(f"{path} is a folder, a file was expected; choose a file in it.")
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
            raise error(f"{path} is {kind}, a file was expected; save what it holds as a file first.")
        if status.st_size == 0:  # so is everything below /proc
            raise error(f"{path.name} is empty (0 bytes); choose another file or copy it again.")
        with path.open("rb") as file:
            file.read(1)
    except FileNotFoundError as cause:
        raise error(f"{path} does not exist; check the name and the folder.") from cause
    except PermissionError as cause:
        raise error(f"{path} cannot be read (no permission); choose another file or change its permissions.") from cause
    except (OSError, ValueError) as cause:  # ValueError: a zero byte or a lone surrogate in the name
        if isinstance(cause, UserError):
            raise
        raise error(
            f"{path} cannot be read ({getattr(cause, 'strerror', None) or cause}); choose another file."
        ) from cause
    return path


def read_text(path: str | os.PathLike, most_bytes: int) -> str:
    """UTF-8 text of a regular file.

    Raises:
        OSError: as opening it does. ValueError: no regular file, too large, or not UTF-8.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    if status.st_size > most_bytes:
        raise ValueError(f"it has {status.st_size / 1e6:.1f} MB, at most {most_bytes / 1e6:g} MB are read")
    with open(path, "rb") as file:
        return file.read(most_bytes).decode("utf-8")


def read_json(path: str | os.PathLike, most_bytes: int = MAX_JSON_BYTES) -> Any:
    """What a JSON file holds.

    Raises:
        OSError, ValueError: as `read_text`, and for anything but JSON of at most `MAX_DEPTH`.
    """
    try:
        data = json.loads(read_text(path, most_bytes))
    except RecursionError as error:
        raise ValueError("its tables are nested too deeply") from error
    _check_depth(data)
    return data


def read_yaml(path: str | os.PathLike, most_bytes: int = MAX_YAML_BYTES) -> Any:
    """What a YAML file of settings holds: text, numbers, lists and tables, each written out where it stands.

    Raises:
        OSError, ValueError: as `read_text`, and for aliases, tags, several documents, or anything but YAML.
    """
    import yaml

    text = read_text(path, most_bytes)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("it refers to another place (*name); write the value out")
            if getattr(event, "tag", None) is not None:
                raise ValueError(f"it has a tag ({str(event.tag)[:40]}); leave it out")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise ValueError("its tables are nested too deeply")
        return yaml.load(text, Loader=_plain_loader())  # noqa: S506 (a safe loader with fewer types)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error)
        mark = getattr(error, "problem_mark", None)
        raise ValueError(f"{problem}{f', line {mark.line + 1}' if mark is not None else ''}") from error
    except (RecursionError, OverflowError, TypeError) as error:
        raise ValueError(f"it cannot be read ({error})") from error


def check_arrays(path: str | os.PathLike, most_bytes: int = MAX_ARRAYS_BYTES) -> None:
    """Compare what an .npz file's headers promise with what it holds, before numpy takes memory for it.

    Raises:
        OSError, ValueError: no regular file, no .npz, arrays larger than `most_bytes` together, or of other sizes than
            their members.
    """
    import zipfile

    from numpy.lib import format as npy

    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("it is not a regular file")
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
            if total > most_bytes:
                raise ValueError(f"its arrays have {total / 1e6:.0f} MB, at most {most_bytes / 1e6:.0f} MB are read")
            for member in archive.infolist():
                with archive.open(member) as file:
                    version = npy.read_magic(file)
                    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                    shape, _, dtype = read(file)
                    if dtype.hasobject or math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
                        raise ValueError(f"{member.filename[:40]} has not the size that its header states")
    except (zipfile.BadZipFile, NotImplementedError, KeyError, EOFError, RuntimeError) as error:
        raise ValueError(f"it is not a file of arrays ({error})") from error


def _plain_loader() -> Any:
    """YAML's safe loader, in which a date is text."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _check_depth(data: Any) -> None:
    level, depth = [data], 0
    while level := [
        each
        for one in level
        if isinstance(one, dict | list)
        for each in (one.values() if isinstance(one, dict) else one)
        if isinstance(each, dict | list)
    ]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError("its tables are nested too deeply")
