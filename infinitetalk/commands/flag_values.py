"""What stands after a flag, such as `orbit:-0.5` or `3-7.5=she smiles`, as values of a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..config.camera import Camera, CameraControl, SDEdit
from ..config.composite import Composite
from ..config.head import LIVELY, Head
from ..config.pose import Pose
from ..config.request import Keyframe
from ..config.settings import Lora, number
from ..config.shares import FOLLOW
from ..errors import InputError

_FORMER_SDEDIT = "sdedit"  # a value of --camera before it had a flag of its own


def parse_camera(text: str) -> Camera | SDEdit | None:
    """`push in`, `orbit:-0.5`, `path.json`, `follow` or `none`; as in earlier versions also `sdedit:0.4`.

    Raises:
        InputError: there is no such movement, or a number is out of range.
    """
    name, value = _with_number(text)
    if _is_none(name):
        return None
    if name.strip().lower() == _FORMER_SDEDIT:
        if value is None:
            return SDEdit()
        kept = number("The share of the source that --camera sdedit keeps", value, 0, 1)
        return SDEdit(round(1 - kept, 9))
    path = str(Path(name).absolute()) if Path(name).is_file() else name
    return Camera(path) if value is None else Camera(path, value)


def parse_camera_control(text: str, path: Camera | CameraControl | None) -> CameraControl:
    """`1` or `0.8@0-0.6`, for the camera path that `path` holds.

    Raises:
        InputError: there is no path, or a number is out of range.
    """
    if path is None:
        raise InputError(
            "--camera-control has no camera path; add --camera with a movement, follow or a path's .json file."
        )
    strength, _, steps = text.partition("@")
    try:
        value = float(strength)
    except ValueError:
        raise InputError(f"--camera-control is {text!r}; give a strength such as 1, or 0.8@0-0.6.") from None
    first, last = parse_steps("camera-control", steps) if steps else (0.0, 1.0)
    return CameraControl(path.path, path.amount, value, first, last)


def parse_sdedit(text: str) -> SDEdit | None:
    """A denoising strength, "" for the usual one, or `none`. Raises InputError."""
    if _is_none(text):
        return None
    if not text.strip():
        return SDEdit()
    try:
        strength = float(text)
    except ValueError:
        raise InputError(
            f"--sdedit is {text!r}; give a denoising strength from 0 (keeps the source) to 1 (from noise), or none."
        ) from None
    return SDEdit(strength)


def parse_composite(text: str) -> Composite | None:
    """`2`, `0.3,0.4`, "" for the only person, or `none`. Raises InputError."""
    return None if _is_none(text) else Composite(text)


def parse_head(text: str) -> Head | None:
    """`lively`, `follow:0.5`, `dance.mp4`, or `none`. Raises InputError."""
    name, value = _with_number(text)
    if _is_none(name):
        return None
    word = name.strip().lower()
    source = word if word in (LIVELY, FOLLOW) else str(Path(name).absolute())
    return Head(source) if value is None else Head(source, value)


def parse_pose(text: str) -> Pose | None:
    """`follow`, `dance.mp4:0.8`, `walk.npz`, or `none`. Raises InputError."""
    name, value = _with_number(text)
    if _is_none(name):
        return None
    word = name.strip().lower()
    source = word if word == FOLLOW else str(Path(name).absolute())
    return Pose(source=source) if value is None else Pose(source=source, strength=value)


def parse_steps(flag: str, text: str) -> tuple[float, float]:
    """`0-0.7` as shares of a chunk's steps. Raises InputError."""
    first, _, last = text.partition("-")
    try:
        return float(first), float(last)
    except ValueError:
        raise InputError(f"--{flag} names the steps {text!r}; give FIRST-LAST as shares, such as 0-0.7.") from None


def parse_lora(text: str) -> Lora:
    """`style.safetensors:0.8` or `style.safetensors`; what follows the last colon counts if it is a number.

    Raises:
        InputError: no file was given, or the scale is not allowed.
    """
    file, value = _with_number(text)
    # A job may be continued from another folder; names of published files stay as they are.
    return Lora(str(Path(file).absolute()) if Path(file).is_file() else file, 1.0 if value is None else value)


def parse_keyframe(text: str) -> Keyframe:
    """`3.5=smile.png` or `3.5=1.2`. Raises InputError."""
    seconds, _, target = text.partition("=")
    try:
        at = float(seconds)
    except ValueError:
        raise InputError(
            f"--keyframe is {text!r}; give TIME=PICTURE or TIME=SOURCE_SECONDS, such as 3.5=smile.png."
        ) from None
    try:
        source_seconds = float(target)
    except ValueError:
        return Keyframe(at, image=target or None)
    return Keyframe(at, source_seconds=source_seconds)


def parse_instant(flag: str, text: str) -> float:
    """Seconds. Raises InputError."""
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--{flag} is {text!r}; give seconds, such as 12.5.") from None


def parse_guide(flag: str, text: str, key: str) -> dict[str, Any]:
    """`3-7.5=she smiles` as a table of a guide that holds the value under `key`. Raises InputError."""
    span, _, value = text.partition("=")
    start, _, stop = span.partition("-")
    try:
        return {"start_seconds": float(start), "stop_seconds": float(stop), key: value}
    except ValueError:
        raise InputError(f"--{flag} is {text!r}; give START-STOP=VALUE in seconds, such as 3-7.5=...") from None


def parse_strength_guide(flag: str, text: str) -> dict[str, Any]:
    """`3-7.5=0.5` as a table of a guide. Raises InputError."""
    guide = parse_guide(flag, text, "control_strength")
    try:
        return guide | {"control_strength": float(guide["control_strength"])}
    except ValueError:
        given = guide["control_strength"]
        raise InputError(f"--{flag} gives the factor {given!r}; give a number from 0 to 2.") from None


def _is_none(text: str) -> bool:
    return text.strip().lower() == "none"


def _with_number(text: str) -> tuple[str, float | None]:
    """`orbit:-0.5` as (orbit, -0.5); what follows the last colon counts if it is a number."""
    name, _, given = text.rpartition(":")
    try:
        return (name, float(given)) if name else (text, None)
    except ValueError:
        return text, None
