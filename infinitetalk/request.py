"""What the user asked for: filled by the page, the command line or a script, checked before any weight is read.

`GenerationRequest` is frozen and goes to and from `project.json` unchanged. A preset gives every setting that the
request leaves at None; `resolve` merges the two into `Settings`, which is all the engine looks at.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from .errors import InputError, PresetError
from .paths import presets_dir

FRAMES_PER_SECOND = 25  # of the model; films are decoded to it by timestamps
MAX_SEED = 2**63 - 1
MAX_STEPS = 200

Framing = Literal["face", "whole"]
Arrangement = Literal["together", "in-turn"]
ShortSource = Literal["hold", "ping-pong", "stop"]


_LONGEST_QUOTE = 60  # characters of a wrong value repeated in a sentence


def _quoted(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write out whole numbers of thousands of digits
        return "a number too long to print"
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


def _number(name: str, value: Any, low: float, high: float) -> float:
    # Comparing does not overflow for whole numbers beyond a float's range, and is false for nan.
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low <= value <= high:
        raise InputError(f"{name} is {_quoted(value)}; give a number from {low:g} to {high:g}.")
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _integer(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not low <= value <= high:
        raise InputError(f"{name} is {_quoted(value)}; give a whole number from {low} to {high}.")
    return int(value)


def _choice(name: str, value: Any, choices: Sequence[str]) -> str:
    if value not in choices:
        raise InputError(f"{name} is {_quoted(value)}; choose one of {', '.join(choices)}.")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} is {_quoted(value)}; give text.")
    return value


def _path(value: Any) -> str:
    """A path as text; empty for None."""
    return "" if value is None else str(value).strip() and str(value)


def parse_seed(text: Any) -> int:
    """A seed as typed by a person.

    Raises:
        InputError: if it is not a whole number from 0 to 2**63 - 1.
    """
    if isinstance(text, float) and text.is_integer():  # a page's number field
        text = int(text)
    try:
        value = int(str(text).strip())
    except ValueError:
        raise InputError(f"The seed is {_quoted(str(text))}; give a whole number such as 7.") from None
    return _integer("The seed", value, 0, MAX_SEED)


@dataclass(frozen=True)
class Speaker:
    """One voice and the person who speaks it.

    audio: a sound file, or a film whose sound track is used.
    box: (row_min, column_min, row_max, column_max) of the person in source pixels; None = the official halves.
    """

    audio: str
    box: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "audio", _path(self.audio))
        if not self.audio:
            raise InputError("No speech was given; choose a sound file, or a film with a sound track.")
        if self.box is not None:
            try:
                box = tuple(float(v) for v in self.box)
            except (TypeError, ValueError, OverflowError):
                box = ()
            if len(box) != 4 or not (0 <= box[0] < box[2] < math.inf and 0 <= box[1] < box[3] < math.inf):
                raise InputError(
                    f"The speaker's box is {_quoted(self.box)}; give row_min, column_min, row_max, column_max."
                )
            object.__setattr__(self, "box", box)


@dataclass(frozen=True)
class Keyframe:
    """A pin: the chunk that covers `time_seconds` of the result takes this picture as its reference.

    Exactly one of `source_seconds` (an instant of the source) and `image` (a picture file) is given.
    """

    time_seconds: float
    source_seconds: float | None = None
    image: str | None = None

    def __post_init__(self) -> None:
        _number("A keyframe's time", self.time_seconds, 0, 1e6)
        object.__setattr__(self, "image", _path(self.image) or None)
        if (self.source_seconds is None) == (self.image is None):
            raise InputError("A keyframe needs either an instant of the source or a picture, not both and not neither.")
        if self.source_seconds is not None:
            _number("A keyframe's source time", self.source_seconds, 0, 1e6)


@dataclass(frozen=True)
class Settings:
    """Every choice that shapes the pictures, with no hole left: what a preset file holds.

    model: name in `models.specs`. steps: network steps per chunk. shift: of the time schedule (paper: 7 at 480p,
    11 at 720p). text_scale, audio_scale: guidance; a text scale of 1 spares one evaluation per step, and an audio
    scale of 1 as well spares all but one. color_correction: 0 (off) to 1, per-frame Lab matching to the reference.
    size: bucket table. framing: `face` cuts the source to the face, `whole` keeps it.
    detail: carry the source's own fine detail over to the generated pictures, at `detail_size` pixels (0 = off).
    """

    model: str
    steps: int
    shift: float
    text_scale: float
    audio_scale: float
    adaptive_guidance: bool = False
    color_correction: float = 0.0
    size: str = "480p"
    framing: Framing = "whole"
    detail_size: int = 0
    dtype: Literal["float32", "bfloat16"] = "float32"
    description: str = ""

    def __post_init__(self) -> None:
        for name in ("model", "size", "description"):
            _text(name, getattr(self, name))
        for name, low, high in (("steps", 1, MAX_STEPS), ("detail_size", 0, 2048)):
            object.__setattr__(self, name, _integer(name, getattr(self, name), low, high))
        for name, low, high in (
            ("shift", 0.01, 100), ("text_scale", 0, 50), ("audio_scale", 0, 50), ("color_correction", 0, 1),
        ):
            object.__setattr__(self, name, float(_number(name, getattr(self, name), low, high)))
        if not isinstance(self.adaptive_guidance, bool):
            raise InputError(f"adaptive_guidance is {_quoted(self.adaptive_guidance)}; give true or false.")
        _choice("framing", self.framing, ("face", "whole"))
        _choice("dtype", self.dtype, ("float32", "bfloat16"))


OVERRIDABLE = ("steps", "shift", "text_scale", "audio_scale", "color_correction", "framing", "detail_size")


@dataclass(frozen=True)
class GenerationRequest:
    """One film to make.

    source: a picture or film. speakers: one or two. preset: a name from `preset_names()`. seed: of the noise; each
    chunk draws from its own generator (seed, chunk, take). keyframes: pins, in any order. arrangement: how two voices
    meet. short_source: what happens when a film ends before the speech. max_seconds: cut the result there.
    The rest overrides the preset where not None.
    """

    source: str
    speakers: tuple[Speaker, ...]
    preset: str = "nano"
    seed: int = 7
    prompt: str = ""
    negative_prompt: str | None = None
    keyframes: tuple[Keyframe, ...] = ()
    arrangement: Arrangement = "together"
    short_source: ShortSource = "hold"
    max_seconds: float | None = None
    checkpoints_dir: str | None = None
    steps: int | None = None
    shift: float | None = None
    text_scale: float | None = None
    audio_scale: float | None = None
    color_correction: float | None = None
    framing: Framing | None = None
    detail_size: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", _path(self.source))
        if not self.source:
            raise InputError("No picture or film was given; choose a portrait to animate.")
        object.__setattr__(self, "speakers", _all_of(Speaker, "speakers", self.speakers))
        keyframes = _all_of(Keyframe, "keyframes", self.keyframes)
        object.__setattr__(self, "keyframes", tuple(sorted(keyframes, key=lambda k: k.time_seconds)))
        _text("The prompt", self.prompt)
        if self.negative_prompt is not None:
            _text("The negative prompt", self.negative_prompt)
        if not 1 <= len(self.speakers) <= 2:
            raise InputError(f"{len(self.speakers)} voices were given; give one or two.")
        object.__setattr__(self, "seed", _integer("The seed", self.seed, 0, MAX_SEED))
        _choice("arrangement", self.arrangement, ("together", "in-turn"))
        _choice("short_source", self.short_source, ("hold", "ping-pong", "stop"))
        if self.max_seconds is not None:
            _number("max_seconds", self.max_seconds, 0.04, 1e6)
        self.resolve()  # a bad override or preset is reported here, before anything runs

    def resolve(self) -> Settings:
        """The preset's settings with this request's overrides.

        Raises:
            PresetError: unknown preset. InputError: an override out of range.
        """
        overrides = {name: getattr(self, name) for name in OVERRIDABLE if getattr(self, name) is not None}
        return replace(load_preset(self.preset), **overrides)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "the request") -> GenerationRequest:
        """The inverse of `to_dict`; an unknown key is an error naming `where` and the key."""
        data = dict(_known_keys(cls, data, where))
        for key in ("source", "speakers"):
            if key not in data:
                raise InputError(f"{where} lacks {key!r}; give the picture or film as source and one or two speakers.")
        try:
            data["speakers"] = tuple(Speaker(**_known_keys(Speaker, s, where)) for s in data.get("speakers", ()))
            data["keyframes"] = tuple(Keyframe(**_known_keys(Keyframe, k, where)) for k in data.get("keyframes", ()))
            return cls(**data)
        except TypeError as error:
            raise InputError(f"{where} is incomplete or malformed ({error}).") from error


def _all_of(kind: type, name: str, values: Any) -> tuple:
    values = tuple(values) if isinstance(values, Sequence) and not isinstance(values, str) else (values,)
    for value in values:
        if not isinstance(value, kind):
            raise InputError(f"{name} holds {_quoted(value)}; give a list of {kind.__name__}(...).")
    return values


def _known_keys(cls: type, data: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise InputError(f"{where} holds {type(data).__name__} where a table of settings was expected.")
    known = [f.name for f in fields(cls)]
    for key in data:
        if key not in known:
            raise InputError(f"{where} has the unknown key {key!r}; known are {', '.join(known)}.")
    return data


def preset_names() -> list[str]:
    """Names of the preset files, the default first."""
    names = sorted(p.stem for p in presets_dir().glob("*.yaml"))
    return sorted(names, key=lambda name: name != "nano")


def load_preset(name: str) -> Settings:
    """The settings of `presets/<name>.yaml`, or of a `.yaml` file elsewhere.

    Raises:
        PresetError: naming the file and the key, if the preset is unknown, holds an unknown key or a bad value.
    """
    import yaml

    name = str(name)
    if "\0" in name:
        raise PresetError(f"There is no preset {_quoted(name)}; choose one of {', '.join(preset_names())}.")
    path = Path(name) if name.endswith((".yaml", ".yml")) else presets_dir() / f"{name}.yaml"
    if path.stem != Path(name).stem or (path.parent == presets_dir() and path.stem not in preset_names()):
        raise PresetError(f"There is no preset {name!r}; choose one of {', '.join(preset_names())}.")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PresetError(f"The preset file {path} does not exist; presets are {', '.join(preset_names())}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PresetError(f"The preset file {path} cannot be read ({str(error).splitlines()[0]}).") from error
    try:
        known = _known_keys(Settings, data, f"The preset file {path}")
    except InputError as error:
        raise PresetError(str(error)) from error
    missing = [f.name for f in fields(Settings) if f.default is MISSING and f.name not in known]
    if missing:
        raise PresetError(f"The preset file {path} lacks {', '.join(missing)}; add what is missing.")
    try:
        return Settings(**known)
    except InputError as error:
        raise PresetError(f"In the preset file {path}, {error}") from error


def read_project(path: Path) -> dict[str, Any]:
    """The contents of a `project.json`.

    Raises:
        InputError: if it is missing, not JSON, or JSON of something else.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give a project.json written by an earlier run.") from None
    except (OSError, ValueError) as error:  # not text, not JSON, a number too long
        raise InputError(f"{path} is not a project file ({error}).") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} is not a project file (it holds a {type(data).__name__}, not a table).")
    return data
