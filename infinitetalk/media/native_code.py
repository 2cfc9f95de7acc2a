"""Running mediapipe: its native code talks to the terminal, and now and then a graph of its does not start."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import ParamSpec, TypeVar

_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")
_TRIES = 2
_PAUSE = 0.2  # seconds


def with_mediapipe(
    work: Callable[_Arguments, _Result], *arguments: _Arguments.args, **options: _Arguments.kwargs
) -> _Result:
    """What `work` gives; it makes a graph of mediapipe's, uses it and closes it.

    In a long-lived process that has loaded other native libraries a graph has failed to get its tensors
    ("AllocateTensors"), mostly once and a few times for good. `work` is done again, then in a process of its own.

    Args:
        work: a function of a module, with arguments and an answer that can be pickled.

    Raises:
        RuntimeError: it failed in the new process too.
    """
    for _ in range(_TRIES):
        try:
            with quiet_native_code():
                return work(*arguments, **options)
        except RuntimeError:
            time.sleep(_PAUSE)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_quietly, work, *arguments, **options).result()


def _quietly(work: Callable[_Arguments, _Result], *arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
    with quiet_native_code():
        return work(*arguments, **options)


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
