"""A camera's movement: a few editable points in time, a smooth curve through them, matrices per frame.

World: the first frame's camera looks along +z from the origin, x to the right, y down (OpenCV's axes). Lengths are in
distances to the subject, which stands at (0, 0, 1).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..config.camera import MOST_AMOUNT, MOVEMENTS
from ..config.constants import FRAMES_PER_SECOND
from ..errors import InputError
from ..files import read_json
from ..media.atomic import atomic_output

VERSION = 1
FIELD_OF_VIEW = 45.0  # degrees, of the picture's longer side where nothing is known about the lens
CHANNELS = ("x", "y", "z", "yaw", "pitch", "roll")
PRESETS = MOVEMENTS
_LIMITS = {"x": 2.0, "y": 2.0, "z": 2.0, "yaw": 180.0, "pitch": 80.0, "roll": 180.0}
# At amount 1, over the whole film.
_PUSH, _PULL = 0.25, 0.35  # distances to the subject
_PAN, _TILT, _ORBIT = 12.0, 8.0, 12.0  # degrees
_SHAKE_DEGREES, _SHAKE_DISTANCE = 0.8, 0.012
_SHAKE_HERTZ = (0.35, 0.8, 1.7)  # breathing, swaying, trembling
_SHAKE_SHARE = (0.6, 0.3, 0.1)
_HANDHELD_STEP = 0.16  # seconds between the points of a handheld path


@dataclass(frozen=True)
class CameraPoint:
    """Where the camera is at `seconds`, against its first frame.

    x, y, z: right, down, forward, in distances to the subject. yaw, pitch, roll: degrees to the right, upwards,
    clockwise.
    """

    seconds: float
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise InputError(f"{name} of a camera point is {value!r}; give a number.")
        if self.seconds < 0:
            raise InputError(f"A camera point lies at {self.seconds:g} s; the film begins at 0.")
        for name, limit in _LIMITS.items():
            if abs(value := getattr(self, name)) > limit:
                raise InputError(f"{name} of a camera point is {value:g}; it may go from {-limit:g} to {limit:g}.")

    @property
    def values(self) -> tuple[float, ...]:
        """x, y, z, yaw, pitch, roll."""
        return tuple(getattr(self, name) for name in CHANNELS)


@dataclass(frozen=True)
class CameraPath:
    """Points in order of time; between them the camera moves smoothly and never past a point's value.

    name: what it came from, for people. read_from: `film_print` of the film whose camera it is, if it is one's: that
    film's own pictures have moved along with it already.
    """

    points: tuple[CameraPoint, ...]
    name: str = ""
    read_from: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(self.points))
        if not self.points:
            raise InputError("A camera path needs at least one point.")
        times = [point.seconds for point in self.points]
        if any(later <= earlier for earlier, later in zip(times, times[1:])):
            raise InputError("The points of a camera path must lie one after another in time.")

    def at(self, seconds: np.ndarray | Sequence[float]) -> np.ndarray:
        """float64 [n, 6]: x, y, z, yaw, pitch, roll; before the first point and after the last the camera rests."""
        from scipy.interpolate import PchipInterpolator

        times = np.array([point.seconds for point in self.points])
        values = np.array([point.values for point in self.points])
        wanted = np.clip(np.asarray(seconds, np.float64), times[0], times[-1])
        if len(times) == 1:
            return np.repeat(values, len(wanted), axis=0)
        return PchipInterpolator(times, values)(wanted)

    def w2c(self, num_frames: int, start_frame: int = 0) -> np.ndarray:
        """World-to-camera matrices, float64 [num_frames, 4, 4], of frames at 25 per second."""
        return to_w2c(self.at((start_frame + np.arange(num_frames)) / FRAMES_PER_SECOND))

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        points = [dataclasses.asdict(point) for point in self.points]
        read = {"read_from": self.read_from} if self.read_from else {}
        return {"version": VERSION, "name": self.name, **read, "points": points}

    @classmethod
    def from_dict(cls, data: Any, where: str = "the camera path") -> CameraPath:
        """What `to_dict` gave. Raises InputError naming `where` and what is wrong."""
        if not isinstance(data, dict) or not isinstance(data.get("points"), list):
            raise InputError(f"{where} holds no camera path; expected an object with a list of points.")
        if data.get("version") != VERSION:
            raise InputError(
                f"{where} is of version {data.get('version')!r}, version {VERSION} was expected; make it again."
            )
        points = []
        for number, point in enumerate(data["points"], start=1):
            if not isinstance(point, dict) or "seconds" not in point:
                raise InputError(f"Point {number} of {where} has no time; expected an object with seconds and values.")
            unknown = set(point) - {"seconds", *CHANNELS}
            if unknown:
                raise InputError(f"Point {number} of {where} has an unknown key {sorted(unknown)[0]!r}.")
            points.append(CameraPoint(**point))
        return cls(tuple(points), str(data.get("name", "")), str(data.get("read_from", "")))


def film_print(film: str | os.PathLike) -> str:
    """A film's identity, wherever it lies: sha256 of its bytes."""
    with open(film, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def preset_path(name: str, amount: float, seconds: float, seed: int = 0) -> CameraPath:
    """A ready-made movement over `seconds`.

    Args:
        name: one of `PRESETS`.
        amount: 1 is a clear, ordinary movement; negative goes the other way (pan and orbit to the left, tilt down).

    Raises:
        InputError: an unknown name, or an amount outside -3 to 3.
    """
    if name not in PRESETS:
        raise InputError(f"There is no camera movement {name!r}; choose one of {', '.join(PRESETS)}.")
    if not math.isfinite(amount) or abs(amount) > MOST_AMOUNT:
        raise InputError(f"The amount of the camera movement is {amount:g}; give a number from -3 to 3.")
    assert seconds > 0
    label = f"{name}, amount {amount:g}"
    if name == "handheld":
        return CameraPath(_handheld(amount, seconds, seed), label)
    points = []
    for part in np.linspace(0.0, 1.0, 9):
        eased = float(part * part * (3 - 2 * part))  # starts and ends at rest
        moved = _moved(name, amount * eased)
        points.append(CameraPoint(float(part * seconds), **{key: round(value, 6) for key, value in moved.items()}))
    return CameraPath(tuple(points), label)


def _moved(name: str, amount: float) -> dict[str, float]:
    if name == "push in":
        return {"z": _PUSH * amount}
    if name == "pull out":
        return {"z": -_PULL * amount}
    if name == "pan":
        return {"yaw": _PAN * amount}
    if name == "tilt":
        return {"pitch": _TILT * amount}
    angle = math.radians(_ORBIT * amount)  # the subject stays in the middle
    return {"x": math.sin(angle), "z": 1 - math.cos(angle), "yaw": -_ORBIT * amount}


def _handheld(amount: float, seconds: float, seed: int) -> tuple[CameraPoint, ...]:
    random = np.random.default_rng(seed)
    times = np.arange(0.0, seconds + _HANDHELD_STEP, _HANDHELD_STEP)
    phases = random.uniform(0, 2 * math.pi, (len(CHANNELS), len(_SHAKE_HERTZ)))
    waves = np.sin(2 * math.pi * times[:, None, None] * np.array(_SHAKE_HERTZ) + phases)
    shaken = (waves * np.array(_SHAKE_SHARE)).sum(axis=2)
    shaken -= shaken[0]  # the first frame is the reference itself
    sizes = np.array([_SHAKE_DISTANCE] * 3 + [_SHAKE_DEGREES, _SHAKE_DEGREES, 0.5 * _SHAKE_DEGREES])
    rows = (amount * shaken * sizes).round(6)
    return tuple(CameraPoint(float(t), *(float(v) for v in row)) for t, row in zip(times.round(3), rows))


def to_w2c(values: np.ndarray) -> np.ndarray:
    """[n, 6] as of `CameraPath.at` → float64 [n, 4, 4]."""
    values = np.asarray(values, np.float64)
    rotations = rotation_matrices(values[:, 3:])
    matrices = np.tile(np.eye(4), (len(values), 1, 1))
    matrices[:, :3, :3] = rotations.transpose(0, 2, 1)
    matrices[:, :3, 3] = -np.einsum("nji,nj->ni", rotations, values[:, :3])
    return matrices


def from_w2c(matrices: np.ndarray) -> np.ndarray:
    """The reverse: float64 [n, 6]."""
    rotations = np.asarray(matrices)[:, :3, :3].transpose(0, 2, 1)
    centres = -np.einsum("nij,nj->ni", rotations, np.asarray(matrices)[:, :3, 3])
    yaw = np.arctan2(rotations[:, 0, 2], rotations[:, 2, 2])
    pitch = -np.arcsin(np.clip(rotations[:, 1, 2], -1, 1))
    roll = np.arctan2(rotations[:, 1, 0], rotations[:, 1, 1])
    return np.concatenate([centres, np.degrees(np.stack([yaw, pitch, roll], axis=1))], axis=1)


def rotation_matrices(angles: np.ndarray) -> np.ndarray:
    """Camera-to-world rotations, [n, 3, 3], of yaw, pitch and roll in degrees, [n, 3]: roll first, yaw last."""
    yaw, pitch, roll = np.radians(np.asarray(angles, np.float64)).T
    zero, one = np.zeros_like(yaw), np.ones_like(yaw)

    def matrix(*rows):
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    about_y = matrix((np.cos(yaw), zero, np.sin(yaw)), (zero, one, zero), (-np.sin(yaw), zero, np.cos(yaw)))
    about_x = matrix((one, zero, zero), (zero, np.cos(pitch), -np.sin(pitch)), (zero, np.sin(pitch), np.cos(pitch)))
    about_z = matrix((np.cos(roll), -np.sin(roll), zero), (np.sin(roll), np.cos(roll), zero), (zero, zero, one))
    return about_y @ about_x @ about_z


def intrinsics(height: int, width: int, field_of_view: float = FIELD_OF_VIEW) -> np.ndarray:
    """float64 [3, 3] in pixels: `field_of_view` degrees across the longer side, the axis through the middle."""
    focal = max(height, width) / 2 / math.tan(math.radians(field_of_view) / 2)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])


def save_path(path: CameraPath, file: str | os.PathLike) -> Path:
    """Write JSON, whole or not at all. Raises OutputError."""
    file = Path(file)
    with atomic_output(file) as partial:
        partial.write_text(json.dumps(path.to_dict(), indent=1) + "\n", encoding="utf-8")
    return file


def load_path(file: str | os.PathLike) -> CameraPath:
    """Read what `save_path` wrote. Raises InputError in the user's words."""
    file = Path(file)
    try:
        data = read_json(file)
    except FileNotFoundError:
        raise InputError(f"There is no camera path {file}.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file.name} is not a camera path (it is no readable JSON); make it again.") from error
    return CameraPath.from_dict(data, file.name)
