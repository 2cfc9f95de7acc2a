"""LoRA: small changes of the network's weights, merged into them or added live to the output of a layer that is already
quantized.

A file is matched to the network strictly (`checkpoints/keys/lora.py`). Merging adds
`scale * (alpha / rank * up @ down + diff)` to a weight, in float32, tensor by tensor, so that it can happen while a
checkpoint is read and before a layer is quantized. Layers that arrive quantized get the two factors as a small branch
of their own instead. PEFT is not used because it knows no differences of norms, biases and modulations, which the
distilled LoRAs hold, and not every quantized layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from ..errors import CheckpointError
from .formats.tensor_files import open_tensors
from .keys.lora import Match, Rules, match_keys
from .keys.transformer import to_official


@dataclass(frozen=True)
class Change:
    """What one file adds to one weight. down: [rank, in, ...]; up: [out, rank]; factor: alpha / rank; diff: as weight.

    For text-to-video files, `down` and `diff` of the patch embedding may have fewer input channels than the weight.
    """

    down: Tensor | None = None
    up: Tensor | None = None
    factor: float = 1.0
    diff: Tensor | None = None

    def delta(self, shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
        """The change in float32 on `device`, of the weight's shape."""
        parts = []
        if self.diff is not None:
            parts.append(self.diff.to(device, torch.float32))
        if self.down is not None and self.up is not None:
            down, up = self.down.to(device, torch.float32), self.up.to(device, torch.float32)
            product = (up.flatten(1) @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])
            parts.append(product if self.factor == 1 else product * self.factor)
        total = None
        for part in parts:
            if tuple(part.shape) != tuple(shape):  # fewer input channels: they are the first ones
                part = functional.pad(part, (0, 0) * (part.ndim - 2) + (0, shape[1] - part.shape[1]))
            total = part if total is None else total + part
        assert total is not None, "a change without parts"
        return total


@dataclass(frozen=True)
class Adapter:
    """One LoRA, matched to one network: changes by our parameter name; `ignored` only under official rules.

    source: what to call it; path: its file, where it came from one.
    """

    source: str
    changes: Mapping[str, Change]
    ignored: tuple[str, ...] = ()
    path: Path | None = None


Adapters = Sequence[tuple[Adapter, float]]  # each with its scale


def match_adapter(
    tensors: Mapping[str, Tensor],
    network: Mapping[str, Sequence[int]],
    *,
    source: str,
    rules: Rules = "complete",
) -> Adapter:
    """Tensors of a LoRA under the file's own names -> changes of the network whose shapes are `network`.

    Raises:
        CheckpointError: see `checkpoints.lora_keys.match_keys`; or an alpha that is no number.
    """
    match = match_keys({key: value.shape for key, value in tensors.items()}, network, source=source, rules=rules)
    return _adapter(match, tensors, source)


def read_adapter(
    path: str | Path,
    network: Mapping[str, Sequence[int]],
    *,
    rules: Rules = "complete",
    passed_over: Callable[[str], bool] | None = None,
) -> Adapter:
    """Read a LoRA file; its factors stay on the mapped file until they are used.

    Args:
        passed_over: of a key, whether it belongs to something else that is kept in the same file.
    Raises:
        CheckpointError: the file cannot be read, or does not fit; see `match_adapter`.
    """
    with open_tensors(path) as file:
        shapes = {key: info.shape for key, info in file.infos.items() if not (passed_over and passed_over(key))}
        match = match_keys(shapes, network, source=Path(path).name, rules=rules)
        used = {key for parts in match.parts.values() for key in (parts.down, parts.up, parts.alpha, parts.diff) if key}
        return replace(_adapter(match, {key: file.map(key) for key in used}, Path(path).name), path=Path(path))


def _adapter(match: Match, tensors: Mapping[str, Tensor], source: str) -> Adapter:
    changes = {}
    for parameter, parts in match.parts.items():
        factor = 1.0
        if parts.alpha is not None and parts.down is not None:
            alpha = tensors[parts.alpha].float()
            if alpha.numel() != 1 or not alpha.isfinite().all():
                raise CheckpointError(f"The LoRA {source} holds {parts.alpha}, which is not one number; it is damaged.")
            factor = alpha.item() / tensors[parts.down].shape[0]
        changes[parameter] = Change(
            down=tensors[parts.down] if parts.down else None,
            up=tensors[parts.up] if parts.up else None,
            factor=factor,
            diff=tensors[parts.diff] if parts.diff else None,
        )
    return Adapter(source, changes, match.ignored)


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of a network's parameters by name, as `match_adapter` and `read_adapter` take them."""
    return {name: tuple(value.shape) for name, value in network.named_parameters()}


def merged(name: str, weight: Tensor, adapters: Adapters) -> Tensor:
    """`weight`, the parameter called `name`, with all changes of it; the same object if there are none.

    The sum is formed in float32 on the weight's device and rounded once to the weight's dtype.
    """
    total: Tensor | None = None
    for adapter, scale in adapters:
        if change := adapter.changes.get(name):
            total = weight.to(torch.float32, copy=True) if total is None else total
            total.add_(change.delta(weight.shape, weight.device), alpha=scale)
    return weight if total is None else total.to(weight.dtype)


@torch.no_grad()
def merge_into(network: nn.Module, adapters: Adapters) -> None:
    """Merge into a network that is already in memory and not quantized."""
    for name, parameter in network.named_parameters():
        result = merged(name, parameter.data, adapters)
        if result is not parameter.data:
            parameter.data = result


class LowRank(nn.Module):
    """Two factors whose output is added to a linear layer's: tokens [..., in] -> [..., out]."""

    def __init__(self, down: Tensor, up: Tensor) -> None:
        super().__init__()
        # Layers, not bare tensors: offloading that works layer by layer looks for those.
        self.down = nn.Linear(*reversed(down.shape), bias=False, device="meta")
        self.up = nn.Linear(*reversed(up.shape), bias=False, device="meta")
        self.down.weight = nn.Parameter(down, requires_grad=False)
        self.up.weight = nn.Parameter(up, requires_grad=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.up(self.down(tokens.to(self.down.weight.dtype))).to(tokens.dtype)


class LiveAdapters:
    """Branches that `attach` added to layers; `detach` takes them away again (what was merged stays)."""

    NAME = "low_rank"

    def __init__(self) -> None:
        self._places: list[tuple[nn.Module, RemovableHandle]] = []

    def __len__(self) -> int:
        return len(self._places)

    def add(self, layer: nn.Module, branch: LowRank) -> None:
        layer.add_module(self.NAME, branch)

        def with_branch(module: nn.Module, arguments: tuple, output: Tensor) -> Tensor:
            return output + branch(arguments[0]).to(output.dtype)

        self._places.append((layer, layer.register_forward_hook(with_branch)))

    def detach(self) -> None:
        for layer, hook in self._places:
            hook.remove()
            delattr(layer, self.NAME)
        self._places.clear()


@torch.no_grad()
def attach(network: nn.Module, adapters: Adapters, dtype: torch.dtype, *, branch_all: bool = False) -> LiveAdapters:
    """Apply adapters to a network whose linear layers are already quantized.

    A layer's factors, of all adapters together, become one branch in `dtype`, added to its output; biases, norms,
    modulations, convolutions and layers left unquantized are changed in place.

    Args:
        branch_all: add branches to unquantized linear layers as well instead of changing their weights.
    Raises:
        CheckpointError: an adapter holds a full difference of a layer that cannot be changed; no branch expresses it.
    """
    live = LiveAdapters()
    owners = dict(network.named_modules())
    names = {name for adapter, _ in adapters for name in adapter.changes}
    for name in sorted(names):
        owner_name, _, leaf = name.rpartition(".")
        owner = owners[owner_name]
        weight = owner._parameters.get(leaf)  # None where a quantized layer only computes one
        changes = [(a.source, a.changes[name], scale) for a, scale in adapters if name in a.changes]
        is_linear_weight = isinstance(owner, nn.Linear) and leaf == "weight"
        gets_branch = is_linear_weight and (branch_all or _is_quantizers_own(owner))
        if weight is not None and _is_plain(weight) and not gets_branch:
            setattr(owner, leaf, nn.Parameter(merged(name, weight.data, adapters), requires_grad=weight.requires_grad))
            continue
        downs, ups = [], []  # several adapters side by side are one of the sum of their ranks
        for source, change, scale in changes:
            if change.diff is not None or change.down is None or change.up is None or not is_linear_weight:
                raise CheckpointError(
                    f"The LoRA {source} replaces all of {to_official(name) or name}, which is quantized in this "
                    "checkpoint; use the unquantized checkpoint, which takes it before quantizing."
                )
            downs.append(change.down.float())
            ups.append(change.up.float().flatten(1) * (change.factor * scale))
        down, up = torch.cat(downs), torch.cat(ups, dim=1)
        device = next(part.device for part in (*owner.parameters(), *owner.buffers()))
        live.add(owner, LowRank(down.to(device, dtype), up.to(device, dtype)))
    return live


def _is_plain(weight: Tensor) -> bool:
    """False for the packed tensors of quantizers, which are of classes of their own or not of floating point."""
    return type(weight) in (nn.Parameter, Tensor) and weight.is_floating_point()


def _is_quantizers_own(layer: nn.Module) -> bool:
    """Layers whose weight may look like a plain one and mean something else."""
    return type(layer).__module__.split(".")[0] in ("optimum", "bitsandbytes", "torchao")
