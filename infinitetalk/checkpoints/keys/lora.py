"""Which weight of the network each entry of a LoRA file changes, found from names and shapes alone.

Files in circulation name the same layer in many ways: trainers put their own word in front (`diffusion_model.`,
`transformer.`, `base_model.model.`, `lora_unet_`), spell the layer as the official network or as diffusers does, with
dots or with underscores, and call the two factors down and up or A and B. `match_keys` takes them all, and nothing
else: what it cannot place is an error that names the closest layers, never a warning.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ...errors import CheckpointError
from .transformer import to_official

# "complete" applies whatever a file holds. "official" does what the published program does (wan/wan_lora.py): names
# must begin with `diffusion_model.`, alpha counts for nothing, and everything that it does not know is passed over.
Rules = Literal["complete", "official"]
Shape = tuple[int, ...]

OFFICIAL_PREFIX = "diffusion_model."
PREFIXES = (
    "base_model.model.", "pipe.dit.", "model.diffusion_model.", "diffusion_model.", "transformer.", "lora_unet_",
    "lora_transformer_", "model.",
)  # fmt: skip

# (part, its spellings after the layer's name). `.default` and the like are names that PEFT gives to an adapter.
_ENDINGS = (
    ("down", r"(?:lora_down|lora_A|lora\.down|lora_linear_layer\.down)(?:\.(?!weight|bias)\w+)?(?:\.weight)?"),
    ("up", r"(?:lora_up|lora_B|lora\.up|lora_linear_layer\.up)(?:\.(?!weight|bias)\w+)?(?:\.weight)?"),
    ("diff_b", r"(?:diff_b|(?:lora_up|lora_B)(?:\.\w+)?\.bias)"),
    ("diff_m", r"diff_m"),
    ("diff", r"diff"),
    ("alpha", r"(?:lora_)?alpha"),
)
_ENDING = re.compile("|".join(rf"(?P<{part}>{spellings})" for part, spellings in _ENDINGS))
_OFFICIAL_ENDINGS = {"lora_down.weight": "down", "lora_up.weight": "up", "diff": "diff", "diff_b": "diff_b"}
# Other kinds of adapters, by what their keys contain; recognised to say so.
_OTHER_KINDS = (
    ("hada_", "LoHa"), ("lokr_", "LoKr"), ("dora_scale", "DoRA"), ("lora_magnitude_vector", "DoRA"), ("oft_", "OFT"),
    ("lora_mid", "LoRA with a third factor"), ("reshape_weight", "LoRA that changes shapes"),
)  # fmt: skip
_TABLE = "scale_shift_table"  # the modulation of a block and of the head, in our names
_KEYS_NAMED = 3


@dataclass(frozen=True)
class Parts:
    """The keys of a file that change one weight: two factors with their alpha, or a difference, or both."""

    down: str | None = None
    up: str | None = None
    alpha: str | None = None
    diff: str | None = None


@dataclass(frozen=True)
class Match:
    """parts: by our parameter name. ignored: keys of the file that have no effect, only under official rules."""

    parts: Mapping[str, Parts]
    ignored: tuple[str, ...] = ()


def match_keys(
    keys: Mapping[str, Sequence[int]],
    network: Mapping[str, Sequence[int]],
    *,
    source: str,
    rules: Rules = "complete",
) -> Match:
    """Place every key of a LoRA file.

    Args:
        keys: shapes by the file's own names. network: shapes by our parameter names.
        source: the file, for messages.
    Raises:
        CheckpointError: a key belongs to no layer (the closest are named), a factor lacks its partner, two keys change
            the same thing, a shape does not fit, or the file is of another kind.
    """
    if not keys:
        raise CheckpointError(f"The LoRA {source} is empty; download it again or leave it out.")
    layers = _layer_names(network)
    found: dict[str, dict[str, str]] = {}  # parameter -> part -> key
    unknown: list[str] = []
    ignored: list[str] = []
    for key in keys:
        layer, part = _read_key(key, rules)
        if part is None:
            (ignored if rules == "official" else unknown).append(key)
            continue
        parameter = _parameter(layers, network, layer, part)
        if parameter is None:
            unknown.append(key)
            continue
        parts = found.setdefault(parameter, {})
        slot = "diff" if part in ("diff_b", "diff_m") else part
        if slot in parts:
            raise CheckpointError(
                f"The LoRA {source} changes {to_official(parameter) or parameter} twice, by {parts[slot]!r} and by "
                f"{key!r}; it is damaged or put together from two files."
            )
        parts[slot] = key
    if unknown:
        raise CheckpointError(_unplaced(source, unknown, len(keys), layers))
    matched = {parameter: Parts(**parts) for parameter, parts in found.items()}
    for parameter, parts in matched.items():
        _check(parameter, parts, keys, tuple(network[parameter]), source)
    return Match(matched, tuple(ignored))


def _read_key(key: str, rules: Rules) -> tuple[str, str | None]:
    """A key without its prefix and ending, and which part of the layer's change it holds; None for no known one."""
    if rules == "official":
        name = key.removeprefix(OFFICIAL_PREFIX)
        for ending, part in _OFFICIAL_ENDINGS.items():
            if name != key and name.endswith("." + ending):
                return name.removesuffix("." + ending), part
        return name, None
    name, stripped = key, ""
    while name != stripped:
        stripped = name
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
    for start in (match.end() for match in re.finditer(r"\.", name)):
        if match := _ENDING.fullmatch(name, start):
            return name[: start - 1], match.lastgroup
    return name, None


def _layer_names(network: Iterable[str]) -> dict[str, str]:
    """Every spelling of every layer -> our name of it (of a parameter itself where the layer is a bare one)."""
    names: dict[str, str] = {}
    for parameter in network:
        ours, _, leaf = parameter.rpartition(".")
        official = to_official(parameter)
        if leaf in ("weight", "bias"):
            spellings = {ours, official.rpartition(".")[0] if official else ours}
        else:
            ours, spellings = parameter, {parameter, official or parameter}
        for spelling in spellings:
            names[spelling] = names[spelling.replace(".", "_")] = ours
    return names


def _parameter(layers: Mapping[str, str], network: Mapping[str, object], layer: str, part: str) -> str | None:
    if part == "diff_m":  # named after the block or the head whose modulation it changes
        return layers.get(f"{layer}.modulation") or layers.get(f"{layer}_modulation") or layers.get(f"{layer}.{_TABLE}")
    ours = layers.get(layer)
    if ours is None:
        return None
    if ours in network:  # a bare parameter
        return ours if part != "diff_b" else None
    parameter = f"{ours}.bias" if part == "diff_b" else f"{ours}.weight"
    return parameter if parameter in network else None


def _unplaced(source: str, unknown: Sequence[str], num_keys: int, layers: Mapping[str, str]) -> str:
    for sign, kind in _OTHER_KINDS:
        if any(sign in key for key in unknown):
            return (
                f"The LoRA {source} is of the kind {kind}, which is not supported; convert it to a plain LoRA or leave "
                f"it out."
            )
    dotted = sorted({name for name in layers if "." in name or "_" not in name})
    named = []
    for key in unknown[:_KEYS_NAMED]:
        layer = _read_key(key, "complete")[0]
        spelled = layer if "." in layer else layer.replace("_", ".")
        close = difflib.get_close_matches(spelled, dotted, n=2, cutoff=0.0)
        named.append(f"{key} (closest: {' or '.join(close)})")
    more = f" and {len(unknown) - _KEYS_NAMED} more" if len(unknown) > _KEYS_NAMED else ""
    what = "no layer of this model" if len(unknown) == num_keys else f"this model only in part: {len(unknown)} of its "
    what += "" if len(unknown) == num_keys else f"{num_keys} keys have no place"
    return (
        f"The LoRA {source} fits {what}: {', '.join(named)}{more}; it was made for another model, choose one for "
        "Wan 2.1 14B."
    )


def _check(parameter: str, parts: Parts, keys: Mapping[str, Sequence[int]], shape: Shape, source: str) -> None:
    """Partners are there and shapes fit; the weight's own first axis is out, the others in."""
    layer = (to_official(parameter) or parameter).removesuffix(".weight")
    if (parts.down is None) != (parts.up is None):
        raise CheckpointError(f"The LoRA {source} holds {parts.down or parts.up} without its other factor; it is cut.")
    if parts.alpha is not None and parts.down is None and parts.diff is None:
        raise CheckpointError(f"The LoRA {source} holds {parts.alpha} alone, without factors; it is cut.")
    if parts.diff is not None:
        difference = tuple(keys[parts.diff])
        if difference != shape and not fits_first_channels(parameter, difference, shape):
            raise CheckpointError(_misfit(source, parts.diff, difference, layer, shape))
    if parts.down is not None and parts.up is not None:
        down, up = tuple(keys[parts.down]), tuple(keys[parts.up])
        product = (up[0], *down[1:])
        if len(down) < 2 or len(up) < 2 or down[0] != up[1] or any(size != 1 for size in up[2:]):
            raise CheckpointError(f"The LoRA {source} has factors of {layer} that do not fit each other: {down}, {up}.")
        if product != shape and not fits_first_channels(parameter, product, shape):
            raise CheckpointError(_misfit(source, parts.down, product, layer, shape))


def fits_first_channels(parameter: str, change: Shape, weight: Shape) -> bool:
    """A LoRA for text-to-video: its patch embedding sees the noisy latent alone, ours has more channels behind it."""
    return (
        parameter == "patch_embedding.weight"
        and len(change) == len(weight)
        and change[1] < weight[1]
        and (change[0], *change[2:]) == (weight[0], *weight[2:])
    )


def _misfit(source: str, key: str, change: Shape, layer: str, weight: Shape) -> str:
    sizes = " x ".join(map(str, change)), " x ".join(map(str, weight))
    return (
        f"The LoRA {source} is for a model of another size: {key} changes {sizes[0]} values, {layer} here has "
        f"{sizes[1]}."
    )
