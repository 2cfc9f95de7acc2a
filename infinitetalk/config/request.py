"""The request for one film: filled by the page, the command line or a script, checked before any weight is read.

`GenerationRequest` is frozen and goes to and from `project.json` unchanged. A preset gives every setting that the
request leaves at None; `resolve` merges the two into `Settings`, which is all the engine looks at.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import InputError
from ..files import read_json
from .camera import Camera, CameraControl, SDEdit, from_former_camera
from .composite import Composite
from .constants import FRAMES_PER_SECOND
from .head import Head
from .pose import Pose
from .presets import load_preset, names_auto, preset_names
from .settings import (
    MAX_STEPS,
    Attention,
    Cache,
    Framing,
    Lora,
    Offload,
    Quantization,
    Settings,
    choice,
    integer,
    known_keys,
    number,
    path_text,
    quoted,
    text,
)
from .shares import MAX_CONTROL_STRENGTH, Choice, from_table

__all__ = [
    "REFERENCE_PLACEMENTS", "FRAMES_PER_SECOND", "MAX_SEED", "MAX_STEPS", "ReferencePlacement", "Arrangement", "Camera",
    "CameraControl", "Composite", "Framing",
    "GenerationRequest", "Guide", "Head", "Keyframe", "LongSource", "Lora", "Pose", "SDEdit", "Settings", "ShortSource",
    "Speaker", "load_preset", "parse_seed", "preset_names", "read_project",
]  # fmt: skip

MAX_SEED = 2**63 - 1

Arrangement = Literal["together", "in-turn"]
ShortSource = Literal["hold", "ping-pong", "stop"]
LongSource = Literal["trim", "keep"]
ReferencePlacement = Literal["auto", "adjacent", "edge", "inside", "ends"]
OutputRate = Literal["25", "source"]

# Where the source's reference picture stands, seen from the chunk that it guides; after the first from soft to strong.
REFERENCE_PLACEMENTS: dict[str, str] = {
    "auto": "by itself: middle, and both ends in chunks in which the camera moves far",
    "adjacent": "soft: a picture up to a second outside the chunk; holds person and camera, leaves gestures free",
    "edge": "middle, as published: the chunk's first picture; the chunk begins like the source",
    "inside": "strong: the chunk's middle picture; its pose may be copied at any moment of the chunk",
    "ends": "both ends: the chunk's first and last picture; follows a camera that moves far, and costs a little time",
}


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
        raise InputError(f"The seed is {quoted(str(text))}; give a whole number such as 7.") from None
    return integer("The seed", value, 0, MAX_SEED)


@dataclass(frozen=True)
class Speaker:
    """One voice and the person who speaks it.

    audio: a sound file, or a film whose sound track is used.
    box: (row_min, column_min, row_max, column_max) of the person in source pixels; None = the official halves.
    """

    audio: str
    box: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "audio", path_text(self.audio))
        if not self.audio:
            raise InputError("No speech was given; choose a sound file, or a film with a sound track.")
        if self.box is not None:
            try:
                box = tuple(float(v) for v in self.box)
            except (TypeError, ValueError, OverflowError):
                box = ()
            if len(box) != 4 or not (0 <= box[0] < box[2] < math.inf and 0 <= box[1] < box[3] < math.inf):
                raise InputError(
                    f"The speaker's box is {quoted(self.box)}; give row_min, column_min, row_max, column_max."
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
        number("A keyframe's time", self.time_seconds, 0, 1e6)
        object.__setattr__(self, "image", path_text(self.image) or None)
        if (self.source_seconds is None) == (self.image is None):
            raise InputError("A keyframe needs either an instant of the source or a picture, not both and not neither.")
        if self.source_seconds is not None:
            number("A keyframe's source time", self.source_seconds, 0, 1e6)


@dataclass(frozen=True)
class Guide:
    """What differs in the chunks whose middle lies in a span of the film; None leaves the film's own.

    prompt: what happens there, where the model reads one. reference_placement: see `REFERENCE_PLACEMENTS`.
    control_strength:
    factor of the strengths of pose and camera networks. Of several guides, the last one counts.
    """

    start_seconds: float
    stop_seconds: float
    prompt: str | None = None
    reference_placement: ReferencePlacement | None = None
    control_strength: float | None = None

    def __post_init__(self) -> None:
        number("The start of a guide", self.start_seconds, 0, 1e6)
        number("The end of a guide", self.stop_seconds, 0, 1e6)
        if not self.start_seconds < self.stop_seconds:
            raise InputError(
                f"A guide lasts from {self.start_seconds:g} to {self.stop_seconds:g} s; let it end after it starts."
            )
        if self.prompt is not None:
            text("The prompt of a guide", self.prompt)
        if self.reference_placement is not None:
            choice("reference_placement", self.reference_placement, tuple(REFERENCE_PLACEMENTS))
        if self.control_strength is not None:
            number("The control strength of a guide", self.control_strength, 0, MAX_CONTROL_STRENGTH)


_FORMER = ("detail_size",)  # written by earlier versions; of no effect
FEATURES: dict[str, type] = {
    "camera": Camera, "camera_control": CameraControl, "sdedit": SDEdit, "head": Head, "pose": Pose,
    "composite": Composite,
}  # fmt: skip
OVERRIDABLE = (
    "steps", "shift", "guidance_scale", "audio_guidance_scale", "color_correction", "framing", "loras", "cache",
    "cache_threshold", "quantization", "offload", "attention",
)  # fmt: skip


@dataclass(frozen=True)
class GenerationRequest:
    """One film to make.

    Inputs.
        source: a picture or film. speakers: one or two. keyframes: pins, in any order. cuts: the instants (seconds of
        the source) at which its shots begin; None = found from its pictures. max_seconds: the film ends there.
    Generation.
        preset: a name from `preset_names()`; `auto` stands for what fits this machine. seed: of the noise; each chunk
        draws from its own generator (seed, chunk, take). prompt, negative_prompt: for models that read one.
        reference_placement: see `REFERENCE_PLACEMENTS`. guides: what differs in single spans.
    Movement.
        camera, camera_control, sdedit: three ways to move the camera, of which one may be given. head, pose: how they
        move beyond what the model makes of references and speech. composite: the generated person over the source's
        pixels. stages: settings of further stages by their names (`stages/base.py`).
    Sound and length.
        arrangement: how two voices meet. short_source: what follows when a film ends before the speech. long_source:
        when it ends after the speech, `trim` ends with the speech, `keep` lets the rest of it follow as it is.
        output_rate: frames per second of the film: 25, or the source's own, by repeating or dropping frames.
        background: how loud the source's own sound stays under the speech, from 0 to 1.

    The rest overrides the preset where not None; shift follows size.
    """

    source: str
    speakers: tuple[Speaker, ...]
    preset: str = "nano"
    seed: int = 7
    prompt: str = ""
    negative_prompt: str | None = None
    keyframes: tuple[Keyframe, ...] = ()
    reference_placement: ReferencePlacement = "auto"
    guides: tuple[Guide, ...] = ()
    arrangement: Arrangement = "together"
    short_source: ShortSource = "hold"
    long_source: LongSource = "trim"
    output_rate: OutputRate = "25"
    background: float = 0.0
    camera: Camera | None = None
    camera_control: CameraControl | None = None
    sdedit: SDEdit | None = None
    head: Head | None = None
    pose: Pose | None = None
    composite: Composite | None = None
    stages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cuts: tuple[float, ...] | None = None
    max_seconds: float | None = None
    checkpoints_dir: str | None = None
    steps: int | None = None
    shift: float | None = None
    guidance_scale: float | None = None
    audio_guidance_scale: float | None = None
    color_correction: float | None = None
    framing: Framing | None = None
    size: str | None = None
    loras: tuple[Lora, ...] | None = None
    cache: Cache | None = None
    cache_threshold: float | None = None
    quantization: Quantization | None = None
    offload: Offload | None = None
    attention: Attention | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", path_text(self.source))
        if not self.source:
            raise InputError("No picture or film was given; choose a portrait to animate.")
        object.__setattr__(self, "speakers", _all_of(Speaker, "speakers", self.speakers))
        keyframes = _all_of(Keyframe, "keyframes", self.keyframes)
        object.__setattr__(self, "keyframes", tuple(sorted(keyframes, key=lambda k: k.time_seconds)))
        object.__setattr__(self, "guides", _all_of(Guide, "guides", self.guides))
        choice("reference_placement", self.reference_placement, tuple(REFERENCE_PLACEMENTS))
        text("The prompt", self.prompt)
        if self.negative_prompt is not None:
            text("The negative prompt", self.negative_prompt)
        if not 1 <= len(self.speakers) <= 2:
            raise InputError(f"{len(self.speakers)} voices were given; give one or two.")
        object.__setattr__(self, "seed", integer("The seed", self.seed, 0, MAX_SEED))
        choice("arrangement", self.arrangement, ("together", "in-turn"))
        choice("short_source", self.short_source, ("hold", "ping-pong", "stop"))
        choice("long_source", self.long_source, ("trim", "keep"))
        choice("output_rate", self.output_rate, ("25", "source"))
        object.__setattr__(self, "background", float(number("background", self.background, 0, 1)))
        for name, kind in FEATURES.items():
            object.__setattr__(self, name, from_table(kind, getattr(self, name), name))
        object.__setattr__(self, "stages", _stage_choices(self.stages))
        if (self.camera is not None) + (self.camera_control is not None) + (self.sdedit is not None) > 1:
            raise InputError(
                "camera reprojects finished pictures, camera_control steers their generation and sdedit starts from "
                "the source's; each decides how the camera moves, so give one of them."
            )
        if self.cuts is not None:
            object.__setattr__(self, "cuts", _instants("cuts", self.cuts))
        if self.max_seconds is not None:
            number("max_seconds", self.max_seconds, 0.04, 1e6)
        if self.size is not None:
            text("The size", self.size)
        if self.loras is not None:
            object.__setattr__(self, "loras", Lora.all_of(self.loras, "loras"))
        object.__setattr__(self, "preset", str(self.preset))
        if not isinstance(self.checkpoints_dir, str | os.PathLike | None):
            raise InputError(f"The folder of checkpoints is {quoted(self.checkpoints_dir)}; give its path.")
        if not names_auto(self.preset):
            self.resolve()  # a bad override or preset is reported here, before anything runs

    def resolve(self) -> Settings:
        """The preset's settings with this request's overrides; `runtime.auto.settled` comes first for `auto`.

        Raises:
            PresetError: unknown preset. InputError: an override out of range.
        """
        overrides = {name: getattr(self, name) for name in OVERRIDABLE if getattr(self, name) is not None}
        return replace(load_preset(self.preset, self.size), **overrides)

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the control networks that the request needs (`checkpoints.files.CONTROLS`)."""
        camera = () if self.camera_control is None else ("uni3c",)
        return camera if self.pose is None else (*camera, self.pose.mode)

    @property
    def is_steered(self) -> bool:
        """Whether camera, head or body are to move in a way that can be drawn and measured."""
        return any(one is not None for one in (self.camera, self.camera_control, self.head, self.pose))

    @property
    def choices(self) -> dict[str, Choice]:
        """The features that are on, by the name of their field."""
        return {name: value for name in FEATURES if (value := getattr(self, name)) is not None}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "the request") -> GenerationRequest:
        """The inverse of `to_dict`; an unknown key is an error naming `where` and the key."""
        data = {key: value for key, value in data.items() if key not in _FORMER} if isinstance(data, Mapping) else data
        if isinstance(data, Mapping) and isinstance(data.get("camera"), Mapping):
            data = {**data, **from_former_camera(dict(data["camera"]))}
        data = dict(known_keys(cls, data, where))
        for key in ("source", "speakers"):
            if key not in data:
                raise InputError(f"{where} lacks {key!r}; give the picture or film as source and one or two speakers.")
        try:
            data["speakers"] = tuple(Speaker(**known_keys(Speaker, s, where)) for s in data.get("speakers", ()))
            data["keyframes"] = tuple(Keyframe(**known_keys(Keyframe, k, where)) for k in data.get("keyframes", ()))
            data["guides"] = tuple(Guide(**known_keys(Guide, g, where)) for g in data.get("guides", ()))
            return cls(**data)
        except TypeError as error:
            raise InputError(f"{where} is incomplete or malformed ({error}).") from error


def _instants(name: str, values: Any) -> tuple[float, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InputError(f"{name} is {quoted(values)}; give a list of seconds.")
    return tuple(sorted({float(number(f"An instant of {name}", value, 0, 1e6)) for value in values}))


def _stage_choices(given: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(given, Mapping) or not all(isinstance(one, Mapping) for one in given.values()):
        raise InputError(f"stages is {quoted(given)}; give a table of settings for each stage by its name.")
    return {str(name): dict(one) for name, one in given.items()}


def _all_of(kind: type, name: str, values: Any) -> tuple:
    values = tuple(values) if isinstance(values, Sequence) and not isinstance(values, str) else (values,)
    for value in values:
        if not isinstance(value, kind):
            raise InputError(f"{name} holds {quoted(value)}; give a list of {kind.__name__}(...).")
    return values


def read_project(path: Path) -> dict[str, Any]:
    """The contents of a `project.json`.

    Raises:
        InputError: if it is missing, not JSON, or JSON of something else.
    """
    try:
        data = read_json(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give a project.json written by an earlier run.") from None
    except (OSError, ValueError) as error:  # not text, not JSON, a number too long
        raise InputError(f"{path} is not a project file ({error}).") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} is not a project file (it holds a {type(data).__name__}, not a table).")
    return data
