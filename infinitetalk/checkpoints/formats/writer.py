"""Writing .safetensors files of any size with one tensor in memory at a time.

The table at the head of the format needs names, types and shapes alone, which are known before the weights are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .tensor_files import TensorInfo

if TYPE_CHECKING:
    from torch import Tensor

SHARD_BYTES = 5_000_000_000


def write_safetensors(path: Path, infos: Mapping[str, TensorInfo], tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Write a file of `infos`; `tensors` yields each of them once, in the same order.

    Raises:
        OSError: the disk is full or cannot be written; the half-written file stays for the caller to remove.
    """
    import torch

    table: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, info in infos.items():
        table[name] = {"dtype": info.dtype, "shape": list(info.shape), "data_offsets": [start, start + info.num_bytes]}
        start += info.num_bytes
    head = json.dumps(table, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)  # the numbers begin at a multiple of eight
    with open(path, "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for (name, info), (arrived, tensor) in zip(infos.items(), tensors, strict=True):
            assert name == arrived and tuple(tensor.shape) == info.shape, f"{arrived} came where {name} was expected"
            raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            assert raw.numel() == info.num_bytes, f"{name} has another type than announced"
            file.write(raw.numpy().data)


def shards_of(infos: Mapping[str, TensorInfo], shard_bytes: int = SHARD_BYTES) -> list[dict[str, TensorInfo]]:
    """The same table in parts of at most `shard_bytes`, in order; a larger tensor is a part of its own."""
    parts: list[dict[str, TensorInfo]] = [{}]
    size = 0
    for name, info in infos.items():
        if parts[-1] and size + info.num_bytes > shard_bytes:
            parts.append({})
            size = 0
        parts[-1][name] = info
        size += info.num_bytes
    return parts
