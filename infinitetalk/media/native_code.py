"""Running mediapipe: its native code talks to the terminal, and now and then a graph of its does not start."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

_Result = TypeVar("_Result")
_TRIES = 3
_PAUSE = 0.2  # seconds


def with_mediapipe(work: Callable[[], _Result]) -> _Result:
    """What `work` gives; it makes a graph of mediapipe's, uses it and closes it.

    On a busy machine a graph has failed to get its tensors ("AllocateTensors") where the next one did: `work` is done
    again, from its beginning, before the failure counts.

    Raises:
        RuntimeError: three graphs in a row failed.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            with quiet_native_code():
                return work()
        except RuntimeError:
            if not tries_left:
                raise
            time.sleep(_PAUSE)
    raise AssertionError("unreachable")


@contextlib.contextmanager
def quiet_native_code() -> Iterator[None]:
    """mediapipe's native code writes start-up notes to file descriptor 2; keep them off the user's terminal."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
