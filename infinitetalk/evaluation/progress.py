"""Where a long measurement is, and how long it will still take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

OnProgress = Callable[[str], None]


class Clock:
    """Counts planned work. `planned` are expected seconds of each step on two cores; real ones correct them."""

    def __init__(self, planned: list[tuple[str, float]], on_progress: OnProgress | None = None) -> None:
        self._planned = planned
        self._on_progress = on_progress or _to_stderr
        self._done = 0
        self._started = time.monotonic()

    def begin(self, name: str) -> None:
        """The next planned step starts."""
        assert self._planned[self._done][0] == name, (self._planned[self._done][0], name)
        elapsed = time.monotonic() - self._started
        past = sum(seconds for _, seconds in self._planned[: self._done])
        left = sum(seconds for _, seconds in self._planned[self._done :])
        # The first guess is trusted like 20 seconds of experience.
        pace = (elapsed + 20) / (past + 20)
        self._done += 1
        self._on_progress(f"[{self._done}/{len(self._planned)}] {name}, about {left * pace:.0f} s left")

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
