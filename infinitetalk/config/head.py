"""What the user chooses about the head's movement, checked when it is made (`stages/head_turn.py` does it)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .settings import number, path_text
from .shares import FOLLOW, Digest, fingerprint

LIVELY = "lively"  # as people move while they talk
MOST_HEAD = 2.0


@dataclass(frozen=True)
class Head:
    """A head that moves in a model's finished pictures, which by itself keeps still.

    source: `LIVELY` (slow drifts, nods with what is stressed, blinks), `FOLLOW` (as in the source film), or another
    film. amount: of the turns, 1 as they are; 0 to 2.
    """

    source: str = LIVELY
    amount: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", path_text(self.source) or LIVELY)
        number("How far the head moves", self.amount, 0, MOST_HEAD)

    @property
    def file(self) -> str | None:
        """The other film, where it is one."""
        return None if self.source in (LIVELY, FOLLOW) else self.source

    def fingerprint(self, digest: Digest) -> dict[str, Any]:
        return fingerprint(self, {"kind": "Head"}, digest)
