"""Every choice that shapes pictures or fits them to a machine, checked when it is made.

What a preset file holds (`presets.py`) and what the engine looks at; `request.py` adds what one film is made from.
"""

from __future__ import annotations

import difflib
import numbers
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from ..errors import InputError
from .former_names import with_current_names

MAX_STEPS = 200

Framing = Literal["face", "whole"]
Cache = Literal["none", "teacache", "first-block", "mag"]
Quantization = Literal["none", "int8", "fp8", "int4", "nf4", "llm-int8"]
Offload = Literal["none", "block", "leaf"]
Keys = Literal["device", "host", "recompute"]
Branches = Literal["together", "apart"]
Encoders = Literal["keep", "visit"]
Attention = Literal["auto", "native", "flash", "sage"]

CACHES: tuple[Cache, ...] = ("none", "teacache", "first-block", "mag")
QUANTIZATIONS: tuple[Quantization, ...] = ("none", "int8", "fp8", "int4", "nf4", "llm-int8")

_LONGEST_QUOTE = 60  # characters of a wrong value repeated in a sentence


_quotes = reprlib.Repr()  # bounded before it formats: a few aliases in a file can stand for gigabytes
_quotes.maxlevel, _quotes.maxdict, _quotes.maxlist, _quotes.maxtuple = 2, 3, 4, 4
_quotes.maxset = _quotes.maxfrozenset = _quotes.maxdeque = _quotes.maxarray = 4
_quotes.maxstring = _quotes.maxother = _quotes.maxlong = 2 * _LONGEST_QUOTE


def quoted(value: Any) -> str:
    """A wrong value as a sentence repeats it."""
    try:
        text = _quotes.repr(value[: 2 * _LONGEST_QUOTE] if isinstance(value, str | bytes) else value)
    except ValueError:  # Python refuses to write out whole numbers of thousands of digits
        return "a number too long to print"
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


def _within(value: Any, low: float, high: float) -> bool:
    """False for nan; whole numbers beyond a float's range do not overflow."""
    return low <= value <= high


def number(name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not _within(value, low, high):
        raise InputError(f"{name} is {quoted(value)}; give a number from {low:g} to {high:g}.")
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def integer(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not _within(value, low, high):
        raise InputError(f"{name} is {quoted(value)}; give a whole number from {low} to {high}.")
    return int(value)


def choice(name: str, value: Any, choices: Sequence[str]) -> str:
    if value not in choices:
        raise InputError(f"{name} is {quoted(value)}; choose one of {', '.join(choices)}.")
    return value


def text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} is {quoted(value)}; give text.")
    return value


def path_text(value: Any) -> str:
    """A path as text; empty for None."""
    return "" if value is None else str(value).strip() and str(value)


def known_keys(cls: type, data: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise InputError(f"{where} holds {type(data).__name__} where a table of settings was expected.")
    data = with_current_names(data)
    known = [f.name for f in fields(cls)]
    for key in data:
        if key not in known:
            close = difflib.get_close_matches(str(key)[:_LONGEST_QUOTE], known, 3, 0.5)
            # All of a long list would bury the one that was meant.
            meant = f"perhaps {' or '.join(close)} was meant" if close else f"known are {', '.join(known[:12])}"
            raise InputError(f"{where} has the unknown key {quoted(key)}; {meant}.")
    return data


@dataclass(frozen=True)
class Lora:
    """An adapter laid over the transformer's weights.

    file: a path, or a file's name as the preset knows it. scale: 1 as trained.
    """

    file: str
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "file", path_text(self.file))
        if not self.file:
            raise InputError("A LoRA was given without a file; give the path of a .safetensors file.")
        scale = float(number(f"The scale of the LoRA {self.file}", self.scale, -10, 10))
        if scale == 0:
            raise InputError(f"The scale of the LoRA {self.file} is 0, which does nothing; remove it or scale it.")
        object.__setattr__(self, "scale", scale)

    @classmethod
    def all_of(cls, given: Any, where: str) -> tuple[Lora, ...]:
        """A list of adapters, each one or a table `{file, scale}`."""
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise InputError(f"{where} is {quoted(given)}; give a list of {{file, scale}}.")
        return tuple(one if isinstance(one, cls) else cls._from_table(one, where) for one in given)

    @classmethod
    def _from_table(cls, table: Any, where: str) -> Lora:
        if "file" not in known_keys(cls, table, where):
            raise InputError(f"{where} lacks 'file'; give each LoRA a file.")
        return cls(**table)


@dataclass(frozen=True)
class Settings:
    """Every choice with no hole left.

    Pictures.
        model: name in `models.specs`. steps: network steps per chunk. shift: of the time schedule (7 at 480p, 11 at
        720p). guidance_scale: guidance by the prompt; 1 spares one evaluation per step. audio_guidance_scale: guidance
        by the speech; 1 as well spares all but one. color_correction: 0 (off) to 1, per-frame Lab matching to the
        reference. size: bucket table. framing: `face` cuts the source to the face, `whole` keeps it.
        loras: adapters. cache, cache_threshold: steps answered from the step before (`sampling/cache.py`).
    Machine.
        device: cpu, cuda or mps. dtype: of weights and arithmetic. quantization: of the blocks' linear layers.
        offload: weights wait in main memory and come in as blocks or layers are reached. pinned_gb: of them, at most so
        much in pinned memory, from which they are copied while the device computes. resident_gb: of them, so much
        stays. keys: where each chunk's encoded condition waits. branches: of a step, side by side (shares work, and
        offloaded weights come in once) or one after the other (needs less). encoders: text and image encoder stay, or
        visit the device while they work. tile_vae: pictures are encoded and decoded in tiles. attention: backend.
        compile: each block, once.
    """

    model: str
    steps: int
    shift: float
    guidance_scale: float
    audio_guidance_scale: float
    adaptive_guidance: bool = False
    color_correction: float = 0.0
    size: str = "480p"
    framing: Framing = "whole"
    dtype: Literal["float32", "bfloat16"] = "float32"
    description: str = ""
    loras: tuple[Lora, ...] = ()
    cache: Cache = "none"
    cache_threshold: float | None = None
    device: Literal["cpu", "cuda", "mps"] = "cpu"
    quantization: Quantization = "none"
    offload: Offload = "none"
    pinned_gb: float = 0.0
    resident_gb: float = 0.0
    keys: Keys = "device"
    branches: Branches = "together"
    encoders: Encoders = "keep"
    tile_vae: bool = False
    attention: Attention = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("model", "size", "description"):
            text(name, getattr(self, name))
        object.__setattr__(self, "steps", integer("steps", self.steps, 1, MAX_STEPS))
        for name, low, high in (
            ("shift", 0.01, 100),
            ("guidance_scale", 0, 50),
            ("audio_guidance_scale", 0, 50),
            ("color_correction", 0, 1),
            ("pinned_gb", 0, 4096),
            ("resident_gb", 0, 4096),
        ):
            object.__setattr__(self, name, float(number(name, getattr(self, name), low, high)))
        if self.cache_threshold is not None:
            object.__setattr__(self, "cache_threshold", float(number("cache_threshold", self.cache_threshold, 0, 100)))
        for name in ("adaptive_guidance", "tile_vae", "compile"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {quoted(getattr(self, name))}; give true or false.")
        for name, choices in CHOICES.items():
            choice(name, getattr(self, name), choices)
        object.__setattr__(self, "loras", Lora.all_of(self.loras, "loras"))
        self._check_together()

    def _check_together(self) -> None:
        """What no machine can do at once is refused here and not after minutes of loading."""
        if self.quantization == "nf4" and self.device != "cuda":
            raise InputError(
                f"quantization {self.quantization} works on NVIDIA cards only, and the device is {self.device}; choose "
                "int8, fp8 or int4."
            )
        if self.offload != "none" and self.device == "cpu":
            raise InputError("offload moves weights to a graphics card, and the device is cpu; set offload to none.")


CHOICES: dict[str, tuple[str, ...]] = {
    "framing": ("face", "whole"),
    "dtype": ("float32", "bfloat16"),
    "cache": CACHES,
    "device": ("cpu", "cuda", "mps"),
    "quantization": QUANTIZATIONS,
    "offload": ("none", "block", "leaf"),
    "keys": ("device", "host", "recompute"),
    "branches": ("together", "apart"),
    "encoders": ("keep", "visit"),
    "attention": ("auto", "native", "flash", "sage"),
}
