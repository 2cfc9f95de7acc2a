"""Background compositing as the user chooses it, checked when it is made (`stages/compositing.py` does it)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .settings import path_text
from .shares import Digest, fingerprint


@dataclass(frozen=True)
class Composite:
    """The generated person over the source's own pixels.

    person: which of several people at the film's start: the number from the left, or `x,y` as shares of the picture.
    """

    person: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "person", path_text(self.person) or None)

    @property
    def file(self) -> None:
        """It names none."""

    def fingerprint(self, digest: Digest) -> dict[str, Any]:
        return fingerprint(self, {"kind": "Lock"}, digest)  # its name before
