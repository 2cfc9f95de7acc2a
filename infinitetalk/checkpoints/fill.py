"""Filling a network that was built without memory: each weight is read once, moved once, and never held twice."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .formats.tensor_files import let_go, torch_dtype
from .sources import Entry, Weights
from .strict import tie_weights, without_weights


def build_empty(build: Callable[[], nn.Module]) -> nn.Module:
    """The network without memory for its parameters; those that share one tensor share it."""
    with without_weights():
        network = build()
    tie_weights(network)
    return network.eval().requires_grad_(False)


def expected_shapes(network: nn.Module, weights: Weights | None = None) -> dict[str, tuple[int, ...]]:
    """Shapes by name of everything that a checkpoint of `network` holds.

    Of names that share one tensor, those that `weights` has count (one at least, the first if it has none).
    """
    state = network.state_dict(keep_vars=True)
    names: dict[int, list[str]] = {}
    for name, value in state.items():
        names.setdefault(id(value), []).append(name)
    chosen = []
    for shared in names.values():
        present = [name for name in shared if weights is not None and name in weights.entries]
        chosen += present or shared[:1]
    return {name: tuple(state[name].shape) for name in chosen}


def fill(network: nn.Module, weights: Weights, dtype: torch.dtype, device: torch.device | str = "cpu") -> None:
    """Make `weights` the parameters and buffers of `network`, which comes from `build_empty`.

    Numbers of floating point become `dtype`, except those that the network keeps in float32. What stays on the host as
    it is stays on the mapped file.

    Raises:
        CheckpointError: naming the file and the first keys that do not fit; nothing has been read by then.
    """
    weights.check(expected_shapes(network, weights), title=type(network).__name__)
    device = torch.device(device)
    in_float32 = names_in_float32(network, dtype)
    owners = dict(network.named_modules())
    places: dict[int, list[str]] = {}
    state = network.state_dict(keep_vars=True)
    for name, value in state.items():
        places.setdefault(id(value), []).append(name)
    filled: set[int] = set()
    for name, entry in weights.entries.items():
        if id(state[name]) in filled:
            continue
        filled.add(id(state[name]))
        wanted = torch.float32 if name in in_float32 else dtype
        value = _placed(entry, wanted, device)
        if isinstance(state[name], nn.Parameter):
            value = nn.Parameter(value, requires_grad=False)
        for shared in places[id(state[name])]:
            owner, _, leaf = shared.rpartition(".")
            if isinstance(value, nn.Parameter):
                owners[owner]._parameters[leaf] = value
            else:
                owners[owner]._buffers[leaf] = value


def _placed(entry: Entry, wanted: torch.dtype, device: torch.device) -> Tensor:
    stored = torch_dtype(entry.info.dtype)
    wanted = wanted if stored.is_floating_point else stored
    if device.type != "cpu" or not entry.is_mapped:
        return entry.read().to(device=device, dtype=wanted)
    value = entry.map()
    if stored == wanted:
        return value
    # Straight from the file into its last form: memory that is taken and given back in between leaves holes.
    result = value.to(wanted, memory_format=torch.contiguous_format)
    let_go(value)
    return result


def names_in_float32(network: nn.Module, dtype: torch.dtype) -> set[str]:
    """Parameters that stay in float32 whatever the network's type, as diffusers and transformers let networks say."""
    parts = set(getattr(network, "_keep_in_fp32_modules_strict", None) or ())
    if dtype == torch.float16 or not hasattr(network, "_keep_in_fp32_modules_strict"):
        parts |= set(getattr(network, "_keep_in_fp32_modules", None) or ())
    return {name for name in network.state_dict() if parts & set(name.split("."))}
