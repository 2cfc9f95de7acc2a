"""`auto`, or `<quality>+auto`: the preset that this machine and the weights on it call for, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..checkpoints.locate import find, gigabytes
from ..config.presets import (
    AUTO,
    DEFAULT,
    DEFAULT_QUALITY,
    hardware_names,
    hardware_needs,
    load_preset,
    names_auto,
    quality_names,
)
from ..config.request import GenerationRequest
from ..errors import PresetError
from ..models.specs import get_spec
from .machine import Machine, this_machine


@dataclass(frozen=True)
class Choice:
    """A preset chosen for a machine, and why, in one sentence."""

    name: str
    sentence: str


def on_this_machine(name: str, checkpoints_dir: str | None = None, machine: Machine | None = None) -> str:
    """`name` with `auto` replaced by what `choose` says; other names as they are."""
    return choose(name, checkpoints_dir, machine).name if names_auto(name) else str(name)


def settled(request: GenerationRequest) -> GenerationRequest:
    """The request with a preset by name.

    Raises:
        PresetError: there is no such quality. InputError: an override does not go with what was chosen.
    """
    if not names_auto(request.preset):
        return request
    return replace(request, preset=choose(request.preset, request.checkpoints_dir).name)


def choose(name: str = AUTO, checkpoints_dir: str | None = None, machine: Machine | None = None) -> Choice:
    """The preset that `auto` or `<quality>+auto` stands for.

    The largest hardware tier whose card and memory this machine has; nano where there is none, or where files of the
    large model are missing from the folder and the hub's cache. Looks at names of files, reads no weights.

    Raises:
        PresetError: there is no such quality.
    """
    parts = [part for part in str(name).split("+") if part != AUTO]
    quality = parts[0] if parts else DEFAULT_QUALITY
    if len(parts) > 1 or quality not in quality_names():
        raise PresetError(
            f"There is no preset {name!r}; give {AUTO}, or join it to one of {', '.join(quality_names())}."
        )
    machine = machine or this_machine()
    has = machine.describe()
    tiers = [(tier, needs) for tier in hardware_names() if (needs := hardware_needs(tier))]
    # Makers round up: a card of 24 GB reports a little less, and so does a machine's memory.
    fitting = [
        (tier, gpu_gb, ram_gb) for tier, (gpu_gb, ram_gb) in tiers
        if machine.gpu_mb >= 0.94 * 1024 * gpu_gb and machine.ram_mb >= 0.94 * 1024 * ram_gb
    ]  # fmt: skip
    if not fitting:
        gpu_gb, ram_gb = tiers[-1][1]
        return Choice(
            DEFAULT,
            f"Chose {DEFAULT}: this machine has {has}, and the large model needs at least a card of "
            f"{gpu_gb} GB and {ram_gb} GB of memory.",
        )
    tier, gpu_gb, ram_gb = fitting[0]
    chosen = f"{quality}+{tier}"
    settings = load_preset(chosen)
    located = find(get_spec(settings.model), checkpoints_dir, quantization=settings.quantization, need_all=False)
    if not located.complete:
        return Choice(
            DEFAULT,
            f"Chose {DEFAULT}: this machine has {has}, enough for {chosen}, but "
            f"{len(located.missing)} files of about {gigabytes(located.bytes_missing)} of the weights of "
            f"{settings.model} are not here; `infinitetalk checkpoints download {chosen}` fetches them.",
        )
    source = "" if located.quantized is None else f", and the published {located.quantized} weights are here"
    return Choice(
        chosen,
        f"Chose {chosen}: this machine has {has}; {tier} needs a card of {gpu_gb} GB and {ram_gb} GB "
        f"of memory{source}.",
    )
