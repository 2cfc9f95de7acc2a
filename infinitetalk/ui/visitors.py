"""Visitors of a shared studio: who they are, how much one may take, and whose film is next.

Everybody's first film comes before anybody's second.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

MOST_WAITING_FILMS = 10  # of one visitor
MOST_FILMS_IN_LINE = 200  # of all
MOST_SECONDS = 1800.0  # of a film or sound, on a shared studio
MOST_BYTES_A_DAY = 8_000_000_000  # that one visitor uploads
LEAST_FREE_BYTES = 4_000_000_000  # of the disk; below it nothing more is taken in
_DAY_SECONDS = 24 * 3600.0


class HasVisitor(Protocol):
    visitor: str


_Film = TypeVar("_Film", bound=HasVisitor)


def visitor_of(client: str | None, headers: Mapping[str, str]) -> str:
    """A name for the machine that asks; behind a Space's proxy its own address is in a header."""
    forwarded = headers.get("x-forwarded-for", "") if os.environ.get("SPACE_ID") else ""
    return forwarded.split(",")[0].strip() or client or ""


def current_visitor() -> str:
    """Of the event that a handler answers; empty outside of one."""
    from gradio.context import LocalContext

    request = LocalContext.request.get(None)
    if request is None:
        return ""
    client = getattr(request, "client", None)
    return visitor_of(getattr(client, "host", None), getattr(request, "headers", None) or {})


def in_turn(waiting: Iterable[_Film], running: HasVisitor | None = None) -> list[_Film]:
    """Films in the order in which they are made: each visitor's first in order of arrival, then the second ones, ..."""
    rounds: Counter[str] = Counter() if running is None else Counter([running.visitor])
    places = []
    for index, film in enumerate(waiting):
        places.append((rounds[film.visitor], index, film))
        rounds[film.visitor] += 1
    return [film for _, _, film in sorted(places, key=lambda place: place[:2])]


class UploadAllowance:
    """Counts what each visitor has uploaded in the last day; safe to use from any thread."""

    def __init__(self, most_bytes: int = MOST_BYTES_A_DAY) -> None:
        self._most = most_bytes
        self._taken: dict[str, deque[tuple[float, int]]] = {}
        self._lock = threading.Lock()

    def take(self, visitor: str, num_bytes: int) -> bool:
        """Whether so much more is allowed; it then counts."""
        now = time.monotonic()
        with self._lock:
            taken = self._taken.setdefault(visitor, deque())
            while taken and taken[0][0] < now - _DAY_SECONDS:
                taken.popleft()
            if sum(size for _, size in taken) + num_bytes > self._most:
                return False
            taken.append((now, num_bytes))
            if len(self._taken) > 10_000:  # addresses that have not been back for a day
                since = now - _DAY_SECONDS
                self._taken = {name: sizes for name, sizes in self._taken.items() if sizes and sizes[-1][0] > since}
            return True
