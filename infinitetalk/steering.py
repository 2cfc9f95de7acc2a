"""How a film's camera and the speaker's head are steered: what the user chose, checked when it is made.

What it does is in `control/` and `streaming/redraw.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .errors import InputError
from .settings import choice, known_keys, number, path_text

CameraMode = Literal["redraw", "sdedit"]

CAMERA_MODES: dict[str, str] = {
    "redraw": "every finished picture is drawn again as a camera on the path sees it; for every model, little time",
    "sdedit": "a chunk starts from the source's own pictures with noise over them, and keeps their camera and pose",
}
FOLLOW = "follow"  # read from the source film
LIVELY = "lively"  # as people move while they talk
MOST_HEAD = 2.0
MOVEMENTS = ("push in", "pull out", "pan", "tilt", "orbit", "handheld")
MOST_AMOUNT = 3.0


@dataclass(frozen=True)
class Camera:
    """A camera that does not only follow from the references.

    mode: see `CAMERA_MODES`. path: `FOLLOW`, one of `MOVEMENTS`, or a file written by `infinitetalk camera`; of no
    meaning for sdedit. amount: of a ready-made movement, 1 is ordinary, negative goes the other way.
    strength: of sdedit, 0 to 1: the share of the way from noise that the source's own pictures spare.
    """

    mode: CameraMode = "redraw"
    path: str = "push in"
    amount: float = 1.0
    strength: float = 0.3

    def __post_init__(self) -> None:
        choice("The camera's mode", self.mode, tuple(CAMERA_MODES))
        path = path_text(self.path)
        name = path.replace("-", " ").lower()
        object.__setattr__(self, "path", name if name in (*MOVEMENTS, FOLLOW) else path)
        if self.mode == "redraw" and not self.is_named and not self.path.lower().endswith(".json"):
            raise InputError(
                f"The camera's path is {self.path!r}; give {', '.join(MOVEMENTS)}, {FOLLOW}, or a path's .json file."
            )
        number("The camera's amount", self.amount, -MOST_AMOUNT, MOST_AMOUNT)
        number("The camera's strength", self.strength, 0, 1)

    @property
    def is_named(self) -> bool:
        return self.path in (*MOVEMENTS, FOLLOW)

    @property
    def file(self) -> str | None:
        """The path's file, where it has one."""
        return None if self.mode == "sdedit" or self.is_named else self.path

    @property
    def spared(self) -> float:
        """Of the way from noise, by starting from the source's own pictures."""
        return float(self.strength) if self.mode == "sdedit" else 0.0

    @classmethod
    def of(cls, given: Any) -> Camera | None:
        """A table of a project, or one made already."""
        return given if given is None or isinstance(given, cls) else cls(**known_keys(cls, given, "camera"))


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

    @classmethod
    def of(cls, given: Any) -> Head | None:
        """A table of a project, or one made already."""
        return given if given is None or isinstance(given, cls) else cls(**known_keys(cls, given, "head"))
