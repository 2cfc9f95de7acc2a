"""Ending the server: at once, in whatever state it is, with one sentence.

Films are written so that a process may end at any instant (`jobs/folder.py`); what was being made is resumed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType

SENTENCE = "The studio has stopped; films that were not finished can be resumed."


def stop_on_signals() -> None:
    """Let SIGTERM, SIGINT and SIGHUP end this process; to be called by the main thread, before anything slow."""
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(Exception):  # a terminal that is gone
        print(SENTENCE, flush=True)
        sys.stderr.flush()
    # Threads may be in native code for many seconds; waiting for them would save nothing.
    os._exit(0 if number == signal.SIGINT else 128 + number)
