"""Published files into a folder in the diffusers layout: our names, one type, shards of at most 5 GB.

One weight is in memory at a time, and the folder appears under its name when it is whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import CheckpointError, InputError, writing_failed
from .fill import build_empty, expected_shapes, names_in_float32
from .formats.tensor_files import TensorInfo, info_of, torch_dtype
from .formats.writer import SHARD_BYTES, shards_of, write_safetensors
from .locate import Located, gigabytes
from .official import Component
from .sources import Entry

if TYPE_CHECKING:
    from ..models.specs import ModelSpec

FLOAT32_COMPONENTS = ("vae", "audio_encoder")
_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}


@dataclass(frozen=True)
class ConvertProgress:
    """bytes_done of bytes_total, as they are written."""

    component: str
    bytes_done: int
    bytes_total: int


def convert(
    spec: ModelSpec,
    located: Located,
    output: Path,
    *,
    dtype: torch.dtype = torch.bfloat16,
    transformer: Component | None = None,
    report: Callable[[ConvertProgress], None] = lambda progress: None,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write the folder `output/<model>`; returns it.

    Args:
        transformer: another file's transformer in place of the located one, such as a scaled fp8 or GGUF file.
        dtype: of floating-point weights; the video and speech encoders and what the transformer keeps exact stay in
            float32.
    Raises:
        CheckpointError: a file cannot be read, does not fit, or is published quantized (which cannot be given another
            layout without losing that). InputError: the folder exists. OutputError: the disk.
    """
    target = output / spec.name
    if target.exists():
        raise InputError(f"The folder {target} exists already; remove it or choose another --output.")
    components = {
        name: transformer if transformer is not None and name == "transformer" else located.component(name)
        for name in spec.components
        if name != "tokenizer"
    }
    parts = {}
    for name, component in components.items():
        if component.quantized is not None:
            raise CheckpointError(
                f"{component.weights.source} is published quantized and is loaded as it is; nothing is to be converted."
            )
        parts[name] = _Part(name, component, torch.float32 if name in FLOAT32_COMPONENTS else dtype)
    total = sum(part.num_bytes for part in parts.values())
    _check_room(output, total)
    building = output / f".{spec.name}.{os.getpid()}.partial"
    done = 0
    try:
        for name, part in parts.items():
            for num_bytes in part.write(building / name, shard_bytes):
                done += num_bytes
                report(ConvertProgress(name, done, total))
        if "tokenizer" in spec.components:
            shutil.copytree(located.tokenizer, building / "tokenizer", copy_function=shutil.copyfile)
        os.replace(building, target)
    except OSError as error:
        raise writing_failed(str(target), error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _check_room(output: Path, needed: int) -> None:
    exists = next(path for path in (output, *output.absolute().parents) if path.exists())
    free = shutil.disk_usage(exists).free
    if needed > free:
        raise CheckpointError(
            f"The converted model takes {gigabytes(needed)} in {output}, but the disk has {gigabytes(free)}; make room "
            "or choose another --output."
        )


class _Part:
    """One component on its way into a folder."""

    def __init__(self, name: str, component: Component, dtype: torch.dtype) -> None:
        self.name = name
        self.network = build_empty(component.build)
        expected = expected_shapes(self.network, component.weights)
        component.weights.check(expected, title=type(self.network).__name__)
        shared = expected_shapes(self.network)  # of names that share a tensor, one is written
        in_float32 = names_in_float32(self.network, dtype)
        self.entries = {key: entry for key, entry in component.weights.entries.items() if key in shared}
        self.dtypes = {
            key: _wanted(entry, torch.float32 if key in in_float32 else dtype) for key, entry in self.entries.items()
        }
        self.infos = {
            key: TensorInfo(entry.info.shape, _NAMES.get(self.dtypes[key], entry.info.dtype))
            for key, entry in self.entries.items()
        }

    @property
    def num_bytes(self) -> int:
        return sum(info.num_bytes for info in self.infos.values())

    def write(self, folder: Path, shard_bytes: int) -> Iterator[int]:
        """Write config and weights; yields the bytes of each finished weight."""
        folder.mkdir(parents=True)
        _save_config(self.network, folder)
        shards = shards_of(self.infos, shard_bytes)
        stem = "model" if hasattr(self.network, "config_class") else "diffusion_pytorch_model"
        places = {}
        for index, infos in enumerate(shards):
            number = "" if len(shards) == 1 else f"-{index + 1:05d}-of-{len(shards):05d}"
            file = f"{stem}{number}.safetensors"
            written: list[int] = []
            write_safetensors(folder / file, infos, self._tensors(infos, written))
            yield from written
            places |= dict.fromkeys(infos, file)
        if len(shards) > 1:
            index_file = {"metadata": {"total_size": self.num_bytes}, "weight_map": places}
            text = json.dumps(index_file, indent=1)
            (folder / f"{stem}.safetensors.index.json").write_text(text, encoding="utf-8")

    def _tensors(self, infos: Mapping[str, TensorInfo], written: list[int]) -> Iterator[tuple[str, Tensor]]:
        for key in infos:
            tensor = self.entries[key].read().to(self.dtypes[key])
            assert info_of(tensor) == infos[key], key
            yield key, tensor
            written.append(infos[key].num_bytes)


def _wanted(entry: Entry, dtype: torch.dtype) -> torch.dtype:
    stored = torch_dtype(entry.info.dtype)
    return dtype if stored.is_floating_point else stored


def _save_config(network: Any, folder: Path) -> None:
    """config.json as the network's own library writes it, naming the class."""
    if hasattr(network, "save_config"):
        network.save_config(folder)
        return
    network.config.architectures = [type(network).__name__]
    network.config.save_pretrained(folder)
