"""Presets: YAML files of settings, by name.

A name is that of a complete file (`nano`), or a quality and a hardware joined (`final+24gb-int8`): one file says how
the pictures are made, the other how that fits a machine. `auto` stands for what fits this machine (`auto.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ..errors import InputError, PresetError
from ..files import read_yaml
from ..paths import presets_dir
from .settings import Settings, known_keys, quoted

DEFAULT = "nano"
DEFAULT_QUALITY = "final"
AUTO = "auto"
# Only in hardware files: what they are made for, and a complete preset that takes the place of any quality.
_HARDWARE_KEYS = ("gpu_gb", "ram_gb", "instead")


def preset_names() -> list[str]:
    """Everything `load_preset` takes by name, the default first."""
    complete = sorted(p.stem for p in presets_dir().glob("*.yaml"))
    joined = [f"{quality}+{hardware}" for quality in quality_names() for hardware in hardware_names()]
    return [*sorted(complete, key=lambda name: name != DEFAULT), *joined]


def names_auto(name: str) -> bool:
    """Whether the name is `auto` or a quality joined to it, which `runtime.auto` puts in terms of this machine."""
    return AUTO in str(name).split("+")


def quality_names() -> list[str]:
    """How the pictures are made, the best first."""
    return _in_order("quality")


def hardware_names() -> list[str]:
    """Machines they are made on, the largest first."""
    return _in_order("hardware")


def load_preset(name: str, size: str | None = None) -> Settings:
    """The settings of a preset, or of a `.yaml` file elsewhere.

    Args:
        size: instead of the preset's own; a shift given by size follows it.

    Raises:
        PresetError: naming the file and the key, if the preset is unknown, holds an unknown key or a bad value.
    """
    name = str(name)
    if "+" in name and not name.endswith((".yaml", ".yml")):
        return _joined(name, size)
    if "\0" in name:
        raise PresetError(f"There is no preset {quoted(name)}; {_choices()}.")
    path = Path(name) if name.endswith((".yaml", ".yml")) else presets_dir() / f"{name}.yaml"
    if path.stem != Path(name).stem or (path.parent == presets_dir() and not path.is_file()):
        raise PresetError(f"There is no preset {quoted(name)}; {_choices()}.")
    return _settings(_read(path), f"the preset file {path}", size)


def hardware_needs(tier: str) -> tuple[float, float] | None:
    """GB of card and of memory that a machine of the presets is; None if it stands for a complete preset."""
    data = _read(_part("hardware", tier))
    return None if "instead" in data else (data.get("gpu_gb", 0), data.get("ram_gb", 0))


def _joined(name: str, size: str | None) -> Settings:
    parts = name.split("+")
    qualities, hardware = quality_names(), hardware_names()
    chosen = [[p for p in parts if p in kind] for kind in (qualities, hardware)]
    if len(parts) != 2 or [len(kind) for kind in chosen] != [1, 1]:
        raise PresetError(
            f"There is no preset {quoted(name)}; join one of {', '.join(qualities)} and one of {', '.join(hardware)}, "
            f"such as {qualities[0]}+{hardware[0]}."
        )
    first, second = _part("quality", chosen[0][0]), _part("hardware", chosen[1][0])
    pictures, machine = _read(first), _read(second)
    if instead := machine.get("instead"):
        return load_preset(instead, size)
    machine = {key: value for key, value in machine.items() if key not in _HARDWARE_KEYS}
    if both := sorted((pictures.keys() & machine.keys()) - {"description"}):
        raise PresetError(f"The preset files {first} and {second} both set {both[0]!r}; leave it to one of them.")
    description = " ".join(str(part["description"]) for part in (pictures, machine) if "description" in part)
    joined = {**pictures, **machine, "description": description}
    return _settings(joined, f"the preset files {first} and {second}", size)


def _settings(data: Any, where: str, size: str | None) -> Settings:
    where = where[0].upper() + where[1:]
    try:
        known = dict(known_keys(Settings, data, where))
        if size is not None:
            known["size"] = size
        if isinstance(known.get("shift"), Mapping):  # one for each size
            wanted = known.get("size", "480p")
            if wanted not in known["shift"]:
                raise InputError(f"shift has no value for size {quoted(wanted)}; it has {', '.join(known['shift'])}.")
            known["shift"] = known["shift"][wanted]
    except InputError as error:
        raise PresetError(str(error)) from error
    missing = [f.name for f in fields(Settings) if f.default is MISSING and f.name not in known]
    if missing:
        raise PresetError(f"{where} lacks {', '.join(missing)}; add what is missing.")
    try:
        return Settings(**known)
    except InputError as error:
        raise PresetError(f"In {where[0].lower()}{where[1:]}, {error}") from error


def _read(path: Path) -> Any:
    try:
        return read_yaml(path)
    except FileNotFoundError:
        raise PresetError(f"The preset file {path} does not exist; {_choices()}.") from None
    except (OSError, ValueError) as error:
        raise PresetError(f"The preset file {path} cannot be read ({str(error).splitlines()[0]}).") from error


def _part(axis: str, name: str) -> Path:
    return presets_dir() / axis / f"{name}.yaml"


def _in_order(axis: str) -> list[str]:
    """Names of the files in presets/<axis>, in the order of `_ORDER`; others follow by name."""
    known = _ORDER[axis]
    found = sorted(path.stem for path in (presets_dir() / axis).glob("*.yaml"))
    return sorted(found, key=lambda name: known.index(name) if name in known else len(known))


_ORDER = {
    "quality": ("final", "fusionx-8", "lightx2v-4", "draft"),
    "hardware": ("h100-bf16", "48gb", "24gb-int8", "16gb-fp8", "12gb-nf4", "8gb-offload", "cpu-nano"),
}


def _choices() -> str:
    complete = sorted(p.stem for p in presets_dir().glob("*.yaml"))
    return (
        f"choose one of {', '.join([*complete, AUTO])}, or join a quality ({', '.join(quality_names())}) and a machine "
        f"({', '.join(hardware_names())}) as in final+24gb-int8"
    )
