"""Every mistake a user can make is one of these; the page and the command line print the sentence and nothing else.

A message says what arrived, what was expected and what to do, in one sentence. Our own mistakes are assertions.
"""

from __future__ import annotations

import errno
import os
import re

_REFUSALS = (
    errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC,
    errno.ELOOP, errno.EMFILE, errno.ENFILE, errno.EILSEQ, errno.EINVAL, errno.EEXIST, errno.ENOTEMPTY, errno.ENXIO,
)  # fmt: skip
_LONGEST_WORD = 400  # characters; longer than any path that a system takes as a whole
_LONGEST_SENTENCE = 3000


class UserError(ValueError):
    """Something the user can put right. `str(error)` is the sentence to show."""

    def __init__(self, sentence: object = "") -> None:
        super().__init__(printable(str(sentence)))


def printable(sentence: str) -> str:
    """The sentence as any terminal, log and page can show it, whatever names and values it repeats.

    Lone surrogates and control characters are written as escapes; words and sentences without an end are shortened.
    """
    if len(sentence) > 20 * _LONGEST_SENTENCE:
        sentence = sentence[: 20 * _LONGEST_SENTENCE]
    sentence = sentence.encode("utf-8", "backslashreplace").decode("utf-8")
    sentence = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda match: repr(match.group())[1:-1], sentence)
    sentence = re.sub(
        rf"\S{{{_LONGEST_WORD + 1},}}", lambda match: f"{match.group()[:60]}...{match.group()[-30:]}", sentence
    )
    return sentence if len(sentence) <= _LONGEST_SENTENCE else f"{sentence[:_LONGEST_SENTENCE]}..."


class InputError(UserError):
    """A file or setting that was given cannot be used."""


class MediaError(InputError):
    """A picture, film or sound cannot be read as what it was given for."""


class PresetError(InputError):
    """A preset is unknown, or its file holds an unknown key or a bad value."""


class CheckpointError(UserError):
    """Weights are missing, damaged or do not fit the network; names the file and the key."""


class JobError(UserError):
    """A job folder cannot be used: in use, of another request, damaged, or not writable."""


class OutputError(UserError):
    """The result cannot be written where the user wants it."""


def system_refusal(error: BaseException) -> UserError | None:
    """A sentence for what the system or a library refuses by its nature, wherever it came up; None for other errors."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, MemoryError):
        return UserError("This takes more memory than is free; close other programs, or choose a smaller size or file.")
    if isinstance(error, RecursionError):
        return InputError("A value or file is nested too deeply to be read; flatten it.")
    if isinstance(error, UnicodeError):
        return InputError("A name or text holds characters that cannot be written here; rename or retype it.")
    if isinstance(error, ValueError) and "null" in str(error) and ("byte" in str(error) or "character" in str(error)):
        return InputError("A name holds a zero byte, which no file has; correct it.")
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        name = error.filename or "A file or folder"
        return UserError(f"{name} cannot be used ({error.strerror}); choose another one or correct it.")
    return None


def writing_failed(path: str | os.PathLike, cause: OSError) -> OutputError:
    """The sentence for a failed write to `path`."""
    if cause.errno == errno.ENOSPC:
        return OutputError(f"The disk is full: {path} could not be written; free some space and try again.")
    if cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{path} cannot be written (no permission); choose another place.")
    return OutputError(f"{path} could not be written ({cause.strerror or cause}); choose another place.")
