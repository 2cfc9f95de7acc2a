"""Files of tensors, read from the header on: what is in them is known before a single weight is touched.

`.safetensors` is a length, a table in JSON and raw numbers; the table is read here, so that a file that was cut short
or does not belong is refused at once. Pickled torch files go through torch's restricted unpickler, which runs nothing
in them.
"""

from __future__ import annotations

import ctypes
import json
import math
import mmap
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from zipfile import is_zipfile

from ...errors import CheckpointError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PICKLED_SUFFIXES = frozenset({".pth", ".pt", ".ckpt", ".bin"})
# Bytes of one number by safetensors' names, and torch's name of the type.
DTYPES = {
    "F64": (8, "float64"), "F32": (4, "float32"), "F16": (2, "float16"), "BF16": (2, "bfloat16"),
    "F8_E4M3": (1, "float8_e4m3fn"), "F8_E5M2": (1, "float8_e5m2"),
    "I64": (8, "int64"), "I32": (4, "int32"), "I16": (2, "int16"), "I8": (1, "int8"), "U8": (1, "uint8"),
    "BOOL": (1, "bool"),
}  # fmt: skip
_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit


@dataclass(frozen=True)
class TensorInfo:
    """Shape and type of a tensor; `dtype` as safetensors spells it (BF16, F8_E4M3, ...)."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * DTYPES[self.dtype][0]


class TensorFile(Protocol):
    """An open file of tensors."""

    @property
    def path(self) -> Path: ...
    @property
    def infos(self) -> Mapping[str, TensorInfo]: ...
    @property
    def is_mapped(self) -> bool: ...

    def map(self, key: str) -> Tensor:
        """The tensor on the file itself: nothing is read until it is used, and the system can drop it again."""
        ...

    def read(self, key: str) -> Tensor:
        """The tensor in memory of its own."""
        ...

    def __enter__(self) -> TensorFile: ...
    def __exit__(self, *error: object) -> None: ...


def open_tensors(path: str | Path) -> TensorFile:
    """Open a .safetensors or a pickled torch file of tensors.

    Raises:
        CheckpointError: the file is missing, damaged, cut short, or holds anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"The checkpoint {path} does not exist; download it or correct the folder.")
    if path.suffix == ".safetensors":
        return SafetensorsFile(path)
    if path.suffix in PICKLED_SUFFIXES:
        return PickledFile(path)
    known = ", ".join([".safetensors", *sorted(PICKLED_SUFFIXES)])
    raise CheckpointError(f"{path} has the ending {path.suffix!r}; weights come in files ending in {known}.")


class _Closing:
    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Tensors that were handed out stay valid."""


class SafetensorsFile(_Closing):
    """A .safetensors file."""

    is_mapped = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.infos, self.starts, self.metadata = read_header(path)
        self._mapped: Any = None

    def map(self, key: str) -> Tensor:
        from safetensors import safe_open

        if self._mapped is None:
            self._mapped = safe_open(self.path, framework="pt")
        return self._mapped.get_tensor(key)

    def read(self, key: str) -> Tensor:
        import torch

        info = self.infos[key]
        buffer = torch.empty(info.num_bytes, dtype=torch.uint8)
        if info.num_bytes:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(self.starts[key])
                target = buffer.numpy().data
                while target and (count := file.readinto(target)):
                    target = target[count:]
            if target:
                raise CheckpointError(f"{self.path} ended while it was read; download it again.")
        return buffer.view(torch_dtype(info.dtype)).reshape(info.shape)

    def close(self) -> None:
        self._mapped = None


def read_header(path: Path) -> tuple[dict[str, TensorInfo], dict[str, int], dict[str, str]]:
    """The table of a .safetensors file: tensors, where each begins in the file, and the file's own notes.

    Raises:
        CheckpointError: naming the file and what is wrong with it.
    """
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            file_bytes = path.stat().st_size
            if file_bytes < 8 or not 2 <= length <= min(_LONGEST_HEADER, file_bytes - 8):
                raise CheckpointError(f"{path} is not a readable safetensors file (no header); download it again.")
            table = json.loads(file.read(length))
        infos, starts = {}, {}
        end = 0
        notes = table.pop("__metadata__", {})
        for key, entry in table.items():
            start, stop = entry["data_offsets"]
            info = TensorInfo(tuple(int(size) for size in entry["shape"]), str(entry["dtype"]))
            if info.dtype not in DTYPES:
                raise CheckpointError(f"{path} stores {key} as {info.dtype}, a type that is not known here.")
            if stop - start != info.num_bytes or start < 0:
                raise CheckpointError(f"{path} is damaged: {key} does not have the size of its shape; download again.")
            infos[key], starts[key], end = info, 8 + length + start, max(end, stop)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror or error}).") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({type(error).__name__}); download it again."
        ) from error
    if (missing := 8 + length + end - file_bytes) > 0:
        raise CheckpointError(
            f"{path} is cut short: {file_bytes} of {file_bytes + missing} bytes are there; download it again."
        )
    return infos, starts, notes


class PickledFile(_Closing):
    """A torch file (.pth and the like), memory-mapped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tensors = load_pickled(path)
        self.is_mapped = is_zipfile(path)
        self.infos = {key: info_of(value) for key, value in self._tensors.items()}

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return self._tensors

    def map(self, key: str) -> Tensor:
        return self._tensors[key]

    def read(self, key: str) -> Tensor:
        return copied(self._tensors[key], mapped=self.is_mapped)


def load_pickled(path: Path) -> dict[str, Tensor]:
    """All tensors of a torch file, through the restricted unpickler, on the mapped file where the format allows it.

    Raises:
        CheckpointError: the file is damaged, holds anything but tensors, or would run code.
    """
    import torch

    try:
        # Files from before torch 1.6 are no zip archives and cannot be mapped.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch advises its own users; ours get the sentence below
            weights = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except Exception as error:  # the unpickler raises whatever a damaged stream makes it stumble over
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is not a readable torch file of plain weights ({reason}).") from error
    if isinstance(weights, dict) and set(weights) == {"state_dict"}:
        weights = weights["state_dict"]
    if not isinstance(weights, dict):
        raise CheckpointError(f"{path} holds a {type(weights).__name__}; expected a table of tensors.")
    for key, value in weights.items():
        if not isinstance(value, torch.Tensor):
            raise CheckpointError(f"{path} holds a {type(value).__name__} under {key!r}; expected tensors alone.")
    return weights


def info_of(tensor: Tensor) -> TensorInfo:
    """Shape and type of a tensor that is there."""
    return TensorInfo(tuple(tensor.shape), _names_by_torch_dtype()[tensor.dtype])


def torch_dtype(name: str) -> torch.dtype:
    """BF16 -> torch.bfloat16."""
    import torch

    return getattr(torch, DTYPES[name][1])


@lru_cache(maxsize=1)
def _names_by_torch_dtype() -> dict[torch.dtype, str]:
    return {torch_dtype(name): name for name in DTYPES}


def copied(tensor: Tensor, *, mapped: bool) -> Tensor:
    """A contiguous copy in memory of its own; if `tensor` is `mapped`, the pages read for it are let go again."""
    import torch

    result = tensor.clone(memory_format=torch.contiguous_format)
    if mapped:
        let_go(tensor)
    return result


def let_go(mapped: Tensor) -> None:
    """Tell the system that the pages under an unchanged tensor on a mapped file need not stay in memory.

    They count as the process's own until then. Where the system has no such call they go when memory gets short. Of a
    tensor on no file this would destroy the contents.
    """
    if sys.platform != "linux" or not mapped.is_contiguous():
        return
    first = -(-mapped.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (mapped.data_ptr() + mapped.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if last > first:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_DONTNEED)
