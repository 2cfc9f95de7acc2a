"""How a film's camera and its person are steered: what the user chose, checked when it is made.

What it does is in `control/`, `stages/redraw.py` (finished pictures) and `generation/control_inputs.py` (networks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..errors import InputError
from .settings import choice, known_keys, number, path_text

CameraMode = Literal["redraw", "uni3c", "sdedit"]
PoseMode = Literal["unianimate", "vace"]

CAMERA_MODES: dict[str, str] = {
    "redraw": "every finished picture is drawn again as a camera on the path sees it; for every model, little time",
    "uni3c": "a network beside the model's is shown the scene along the path; nano has a small one of its own, "
    "for the 14B model its weights are extra",
    "sdedit": "a chunk starts from the source's own pictures with noise over them, and keeps their camera and pose",
}
POSE_MODES: dict[str, str] = {
    "unianimate": "made for the model's own base: skeletons and a LoRA",
    "vace": "a side branch that was made for the text-to-video base; on trial here, and its score says what it does",
}
FOLLOW = "follow"  # read from the source film
LIVELY = "lively"  # as people move while they talk
MOST_HEAD = 2.0
MOVEMENTS = ("push in", "pull out", "pan", "tilt", "orbit", "handheld")
MOST_AMOUNT = 3.0
MOST_STRENGTH = 2.0
_USUAL_STRENGTH = {"redraw": 0.3, "uni3c": 1.0, "sdedit": 0.3}  # redraw has none; what is stored stays as it was
SLOWEST, FASTEST = 0.25, 4.0
_LATEST_OFFSET = 4 * 3600.0


@dataclass(frozen=True)
class Camera:
    """A camera that does not only follow from the references.

    mode: see `CAMERA_MODES`. path: `FOLLOW`, one of `MOVEMENTS`, or a file written by `infinitetalk camera`; of no
    meaning for sdedit. amount: of a ready-made movement, 1 is ordinary, negative goes the other way.
    strength: of sdedit, 0 to 1: the share of the way from noise that the source's own pictures spare; of uni3c, 0 to 2:
    factor of what its network adds. None is usual: 0.3 and 1.
    first, last: of uni3c, the steps in which it adds, as shares of a chunk's steps.
    """

    mode: CameraMode = "redraw"
    path: str = "push in"
    amount: float = 1.0
    strength: float | None = None
    first: float = 0.0
    last: float = 1.0

    def __post_init__(self) -> None:
        choice("The camera's mode", self.mode, tuple(CAMERA_MODES))
        path = path_text(self.path)
        name = path.replace("-", " ").lower()
        object.__setattr__(self, "path", name if name in (*MOVEMENTS, FOLLOW) else path)
        if self.mode != "sdedit" and not self.is_named and not self.path.lower().endswith(".json"):
            raise InputError(
                f"The camera's path is {self.path!r}; give {', '.join(MOVEMENTS)}, {FOLLOW}, or a path's .json file."
            )
        number("The camera's amount", self.amount, -MOST_AMOUNT, MOST_AMOUNT)
        strength = _USUAL_STRENGTH[self.mode] if self.strength is None else self.strength
        most = MOST_STRENGTH if self.mode == "uni3c" else 1
        object.__setattr__(self, "strength", number("The camera's strength", strength, 0, most))
        _check_steps("camera", self.first, self.last)

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


@dataclass(frozen=True)
class Pose:
    """A body that moves as a skeleton does, drawn for a network beside the model's.

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
        number("The pose's strength", self.strength, 0, MOST_STRENGTH)
        _check_steps("pose", self.first, self.last)
        number("Where the movement begins", self.offset_seconds, 0, _LATEST_OFFSET)
        number("The movement's speed", self.speed, SLOWEST, FASTEST)
        object.__setattr__(self, "person", path_text(self.person) or None)

    @property
    def file(self) -> str | None:
        """The other film or the sequence, where it is one."""
        return None if self.source == FOLLOW else self.source

    @property
    def recorded(self) -> bool:
        """Whether the movement was read before."""
        return self.source.lower().endswith(".npz")

    @classmethod
    def of(cls, given: Any) -> Pose | None:
        """A table of a project, or one made already."""
        return given if given is None or isinstance(given, cls) else cls(**known_keys(cls, given, "pose"))


@dataclass(frozen=True)
class Lock:
    """Everything around one person stays the source's own pixels.

    person: whom of several at the film's start: the number from the left, or `x,y` as shares of the picture.
    """

    person: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "person", path_text(self.person) or None)

    @property
    def file(self) -> None:
        """It has none."""
        return None

    @classmethod
    def of(cls, given: Any) -> Lock | None:
        """A table of a project, or one made already."""
        return given if given is None or isinstance(given, cls) else cls(**known_keys(cls, given, "lock"))


def _check_steps(what: str, first: Any, last: Any) -> None:
    number(f"The first step of the {what}", first, 0, 1)
    number(f"The last step of the {what}", last, 0, 1)
    if not first < last:
        raise InputError(
            f"The {what} acts from {first:g} to {last:g} of the steps; let it end after it starts, 0 to 1 for all."
        )
