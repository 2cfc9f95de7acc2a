"""What the user chooses about a film's camera, checked when it is made: three features, of which each works alone.

`Camera` reprojects finished pictures (`stages/camera_reprojection.py`), `CameraControl` steers generation through Uni3C
(`stages/uni3c.py`), `SDEdit` starts chunks from the source's own frames (`stages/sdedit.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from .settings import number, path_text
from .shares import FOLLOW, MAX_CONTROL_STRENGTH, Digest, check_steps, fingerprint

MOVEMENTS = ("push in", "pull out", "pan", "tilt", "orbit", "handheld")
MOST_AMOUNT = 3.0
DEFAULT_DENOISING_STRENGTH = 0.7
_UNUSED_STRENGTH = 0.3  # stood in every reprojection's fingerprint


@dataclass(frozen=True)
class Camera:
    """Every finished picture is reprojected along a camera path; for every model, little time.

    path: `FOLLOW`, one of `MOVEMENTS`, or a file written by `infinitetalk camera`. amount: of a ready-made movement, 1
    is ordinary, negative goes the other way.
    """

    path: str = "push in"
    amount: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", _camera_path(self.path))
        number("The camera's amount", self.amount, -MOST_AMOUNT, MOST_AMOUNT)

    @property
    def file(self) -> str | None:
        """The path's file, where it has one."""
        return None if _is_named(self.path) else self.path

    def fingerprint(self, digest: Digest) -> dict[str, Any]:
        return {**fingerprint(self, {"kind": "Camera", "mode": "redraw"}, digest), "strength": _UNUSED_STRENGTH}


@dataclass(frozen=True)
class CameraControl:
    """A control network (Uni3C) is given renderings of the scene along a camera path.

    path, amount: as of `Camera`. strength: factor of the control residuals, 0 to 2, 1 as trained. first, last: the
    steps in which they are added, as shares of a chunk's steps.
    """

    path: str = "push in"
    amount: float = 1.0
    strength: float = 1.0
    first: float = 0.0
    last: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", _camera_path(self.path))
        number("The camera's amount", self.amount, -MOST_AMOUNT, MOST_AMOUNT)
        strength = number("The camera's strength", self.strength, 0, MAX_CONTROL_STRENGTH)
        object.__setattr__(self, "strength", strength)
        check_steps("camera", self.first, self.last)

    @property
    def file(self) -> str | None:
        """The path's file, where it has one."""
        return None if _is_named(self.path) else self.path

    def fingerprint(self, digest: Digest) -> dict[str, Any]:
        values = fingerprint(self, {"kind": "Camera", "mode": "uni3c"}, digest)
        return {name: value for name, value in values.items() if {"first": 0.0, "last": 1.0}.get(name, ...) != value}


@dataclass(frozen=True)
class SDEdit:
    """A chunk starts from the source's own frames with noise over them, and keeps their camera and pose.

    denoising_strength: 1 starts from noise alone, 0 keeps the source as it is.
    """

    denoising_strength: float = DEFAULT_DENOISING_STRENGTH

    def __post_init__(self) -> None:
        number("The denoising strength", self.denoising_strength, 0, 1)

    @property
    def file(self) -> None:
        """It names none."""

    def fingerprint(self, digest: Digest) -> dict[str, Any]:
        return {"kind": "Camera", "mode": "sdedit", "path": FOLLOW, "amount": 1.0, "strength": self.kept_share}

    @property
    def kept_share(self) -> float:
        """Of the way from noise, the share that the source's frames spare; its spelling before the field's own."""
        return round(1 - self.denoising_strength, 9)


def from_former_camera(table: Any) -> dict[str, Any]:
    """Fields of a request from a `camera` table with the key `mode`, which once chose between the three."""
    if not isinstance(table, dict) or "mode" not in table:
        return {"camera": table}
    mode = table["mode"]
    rest = {key: value for key, value in table.items() if key != "mode" and value is not None}
    if mode == "sdedit":
        kept = number("The camera's strength", rest.get("strength", 1 - DEFAULT_DENOISING_STRENGTH), 0, 1)
        return {"camera": None, "sdedit": SDEdit(round(1 - kept, 9))}
    if mode == "uni3c":
        return {"camera": None, "camera_control": rest}
    if mode != "redraw":
        raise InputError(f"The camera's mode is {mode!r}; choose one of redraw, uni3c, sdedit.")
    return {"camera": {key: value for key, value in rest.items() if key not in ("strength", "first", "last")}}


def _is_named(path: str) -> bool:
    return path in (*MOVEMENTS, FOLLOW)


def _camera_path(given: Any) -> str:
    path = path_text(given)
    name = path.replace("-", " ").lower()
    if _is_named(name):
        return name
    if not path.lower().endswith(".json"):
        raise InputError(
            f"The camera's path is {path!r}; give {', '.join(MOVEMENTS)}, {FOLLOW}, or a path's .json file."
        )
    return path
