"""Every mistake a user can make is one of these; the page and the command line print the sentence and nothing else.

A message says what arrived, what was expected and what to do, in one sentence. Our own mistakes are assertions.
"""

from __future__ import annotations

import errno
import os


class UserError(ValueError):
    """Something the user can put right. `str(error)` is the sentence to show."""


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


def writing_failed(path: str | os.PathLike, cause: OSError) -> OutputError:
    """The sentence for a failed write to `path`."""
    if cause.errno == errno.ENOSPC:
        return OutputError(f"The disk is full: {path} could not be written; free some space and try again.")
    if cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{path} cannot be written (no permission); choose another place.")
    return OutputError(f"{path} could not be written ({cause.strerror or cause}); choose another place.")
