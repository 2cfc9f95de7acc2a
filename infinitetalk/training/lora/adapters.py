"""LoRA adapters in a transformer: put in, saved to a file that others read, and put into the weights for good.

The file has the keys that diffusers gives a transformer's adapter (`transformer.blocks.0.attn1.to_q.lora_A.weight`).
alpha / rank is multiplied into the second factor, so the file means the same to every reader and a scale of 1 is the
strength that was trained.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...checkpoints.lora import merge_into, read_adapter, shapes_of
from ...errors import CheckpointError
from ...media.atomic import atomic_output
from ...models.transformer import InfiniteTalkTransformer
from .config import LAYERS

PREFIX = "transformer."
_NAME = "default"  # PEFT's name of the one adapter


def target_layers(layers: Sequence[str]) -> str:
    """A regular expression of the linear layers of the block parts `layers`, as PEFT takes it."""
    parts = [rf"{re.escape(part)}\.(?:{'|'.join(map(re.escape, LAYERS[part]))})" for part in layers]
    return rf"blocks\.\d+\.(?:{'|'.join(parts)})"


def add_adapters(
    transformer: InfiniteTalkTransformer, *, rank: int, alpha: float, layers: Sequence[str], seed: int
) -> None:
    """Freeze the transformer and add a trainable adapter to each chosen layer; the output stays what it was.

    Adapters are float32 whatever the frozen weights are.
    """
    from peft import LoraConfig

    transformer.requires_grad_(False)
    torch.manual_seed(seed)
    settings = LoraConfig(r=rank, lora_alpha=alpha, target_modules=target_layers(layers), lora_dropout=0.0)
    transformer.add_adapter(settings, adapter_name=_NAME)
    for name, parameter in transformer.named_parameters():
        if ".lora_" in name:
            parameter.data = parameter.data.float()
            parameter.requires_grad_(True)


def _adapted(transformer: nn.Module) -> dict[str, nn.Module]:
    """The layers that have an adapter, by name."""
    from peft.tuners.lora import LoraLayer

    found = {name: module for name, module in transformer.named_modules() if isinstance(module, LoraLayer)}
    assert found, "the transformer has no adapters"
    return found


def lora_weights(transformer: nn.Module) -> dict[str, Tensor]:
    """The adapters as a file holds them; float32 on the CPU."""
    tensors = {}
    for name, layer in _adapted(transformer).items():
        down, up = layer.lora_A[_NAME].weight, layer.lora_B[_NAME].weight
        tensors[f"{PREFIX}{name}.lora_A.weight"] = down.detach().float().cpu().contiguous()
        tensors[f"{PREFIX}{name}.lora_B.weight"] = (up.detach().float() * layer.scaling[_NAME]).cpu().contiguous()
    return tensors


def save_lora(transformer: nn.Module, path: Path, facts: Mapping[str, str], dtype: torch.dtype = torch.float32) -> None:
    """Write the adapters to `path` (.safetensors) in `dtype`, whole or not at all.

    Args:
        facts: kept in the file's header, such as the model it was trained for.
    Raises:
        OutputError: the place cannot be written.
    """
    with atomic_output(path) as partial:
        weights = {key: tensor.to(dtype) for key, tensor in lora_weights(transformer).items()}
        save_file(weights, partial, metadata={"format": "pt", **facts})


@torch.no_grad()
def load_lora(transformer: nn.Module, path: Path) -> None:
    """Put a file written by `save_lora` into the adapters of a transformer, to go on training them.

    Raises:
        CheckpointError: the file has other layers or another rank; names the file and the key.
    """
    try:
        stored = load_file(path)
    except Exception as error:  # safetensors' own error type, or the system's
        raise CheckpointError(f"The LoRA {path} cannot be read ({error}); correct start_from.") from error
    wanted = lora_weights(transformer)
    for key in sorted(wanted.keys() ^ stored.keys()):
        verb = "lacks" if key in wanted else "holds"
        raise CheckpointError(f"The LoRA {path} {verb} {key}; start_from wants a file of the same layers.")
    for name, layer in _adapted(transformer).items():
        for part, factors, factor in (("A", layer.lora_A, 1.0), ("B", layer.lora_B, layer.scaling[_NAME])):
            tensor, weight = stored[f"{PREFIX}{name}.lora_{part}.weight"], factors[_NAME].weight
            if tensor.shape != weight.shape:
                raise CheckpointError(
                    f"The LoRA {path} has {name} as {list(tensor.shape)}, the configuration {list(weight.shape)}; "
                    "give the rank it was trained with."
                )
            weight.copy_(tensor / factor)


def merge_lora(transformer: nn.Module, path: Path, scale: float = 1.0) -> None:
    """Add a LoRA file to a bare transformer's own weights.

    Raises:
        CheckpointError: the file cannot be read or does not fit.
    """
    merge_into(transformer, [(read_adapter(path, shapes_of(transformer)), scale)])
