"""What the user chooses about the body's movement, checked when it is made (`stages/pose.py` does it)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .settings import choice, number, path_text
from .shares import FOLLOW, MAX_CONTROL_STRENGTH, Digest, check_steps, fingerprint

PoseMode = Literal["unianimate", "vace"]
POSE_MODES: dict[str, str] = {
    "unianimate": "made for the model's own base: skeletons and a LoRA",
    "vace": "a side branch that was made for the text-to-video base; on trial here, and its score says what it does",
}
SLOWEST, FASTEST = 0.25, 4.0
_LATEST_OFFSET = 4 * 3600.0


@dataclass(frozen=True)
class Pose:
    """A body that moves as a skeleton does, through a control network.

    mode: see `POSE_MODES`.
    source: `FOLLOW` (the source film's person), another film, or a sequence recorded by `infinitetalk pose` (.npz).
    strength: factor of what the network adds, 1 as trained. first, last: the steps in which it adds, as shares.
    offset_seconds: where in the movement the film begins. speed: of the movement.
    person: which of several people in a film: the number from the left, or `x,y` as shares of its picture.
    """

    mode: PoseMode = "unianimate"
    source: str = FOLLOW
    strength: float = 1.0
    first: float = 0.0
    last: float = 1.0
    offset_seconds: float = 0.0
    speed: float = 1.0
    person: str | None = None

    def __post_init__(self) -> None:
        choice("The pose's mode", self.mode, tuple(POSE_MODES))
        object.__setattr__(self, "source", path_text(self.source) or FOLLOW)
        number("The pose's strength", self.strength, 0, MAX_CONTROL_STRENGTH)
        check_steps("pose", self.first, self.last)
        number("Where the movement begins", self.offset_seconds, 0, _LATEST_OFFSET)
        number("The movement's speed", self.speed, SLOWEST, FASTEST)
        object.__setattr__(self, "person", path_text(self.person) or None)

    @property
    def file(self) -> str | None:
        """The other film or the sequence, where it is one."""
        return None if self.source == FOLLOW else self.source

    @property
    def recording(self) -> str | None:
        """The recorded sequence, where the source is one."""
        return self.source if self.source.lower().endswith(".npz") else None

    def fingerprint(self, digest: Digest) -> dict[str, Any]:
        return fingerprint(self, {"kind": "Pose"}, digest)
