"""GGUF files of the transformer: the published container, and the block formats that video models come in.

Source: the GGUF specification of the ggml project (docs/gguf.md) and the block layouts of its formats. Everything is
turned back into float32 when it is read, one tensor at a time; nothing but numbers is taken from a file.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ...errors import CheckpointError
from .tensor_files import TensorInfo

if TYPE_CHECKING:
    from torch import Tensor

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_LONGEST = 1_000_000  # of a string or an array of a file's notes, and of its tensors' number
_ORIGINAL_SHAPE = "comfy.gguf.orig_shape."  # GGUF has four axes at most; a fifth is noted here


@dataclass(frozen=True)
class BlockFormat:
    """weights, num_bytes: of one block. dequantize: [blocks, num_bytes] uint8 -> [blocks, weights] float32."""

    name: str
    weights: int
    num_bytes: int
    dequantize: Callable[[np.ndarray], np.ndarray]


def _half(columns: np.ndarray) -> np.ndarray:
    """Two bytes each -> float32 [blocks, n]."""
    return np.ascontiguousarray(columns).view(np.float16).astype(np.float32)


def _nibbles(packed: np.ndarray) -> np.ndarray:
    """[blocks, n] bytes -> [blocks, 2n]: the low halves, then the high ones."""
    return np.concatenate([packed & 15, packed >> 4], axis=1)


def _fifth_bits(flags: np.ndarray) -> np.ndarray:
    """[blocks, 4] bytes -> [blocks, 32] of 0 or 16, lowest bit first."""
    return np.unpackbits(flags, axis=1, bitorder="little") << 4


def _f32(block: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(block).view(np.float32)


def _bf16(block: np.ndarray) -> np.ndarray:
    return (np.ascontiguousarray(block).view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _q8_0(block: np.ndarray) -> np.ndarray:
    return _half(block[:, :2]) * block[:, 2:].view(np.int8)


def _q4_0(block: np.ndarray) -> np.ndarray:
    return _half(block[:, :2]) * (_nibbles(block[:, 2:]).astype(np.int8) - 8)


def _q4_1(block: np.ndarray) -> np.ndarray:
    return _half(block[:, :2]) * _nibbles(block[:, 4:]) + _half(block[:, 2:4])


def _q5_0(block: np.ndarray) -> np.ndarray:
    return _half(block[:, :2]) * ((_nibbles(block[:, 6:]) | _fifth_bits(block[:, 2:6])).astype(np.int8) - 16)


def _q5_1(block: np.ndarray) -> np.ndarray:
    return _half(block[:, :2]) * (_nibbles(block[:, 8:]) | _fifth_bits(block[:, 4:8])) + _half(block[:, 2:4])


def _k_scales(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[blocks, 12] bytes -> eight scales and eight lowest values of six bits each, float32 [blocks, 8]."""
    first, second, rest = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([first & 63, (rest & 15) | (first >> 6 << 4)], axis=1)
    lowest = np.concatenate([second & 63, (rest >> 4) | (second >> 6 << 4)], axis=1)
    return scales.astype(np.float32), lowest.astype(np.float32)


def _k_values(block: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Eight groups of 32 levels with their scales: [blocks, 256]."""
    scales, lowest = _k_scales(block[:, 4:16])
    scales, lowest = scales * _half(block[:, :2]), lowest * _half(block[:, 2:4])
    groups = levels.reshape(-1, 8, 32)
    return (scales[:, :, None] * groups - lowest[:, :, None]).reshape(-1, 256)


def _k_nibbles(packed: np.ndarray) -> np.ndarray:
    """Four runs of 32 bytes -> eight groups of 32: the low halves of a run, then its high ones."""
    runs = packed.reshape(-1, 4, 1, 32)
    return np.concatenate([runs & 15, runs >> 4], axis=2).reshape(-1, 8, 32)


def _q4_k(block: np.ndarray) -> np.ndarray:
    return _k_values(block, _k_nibbles(block[:, 16:]))


def _q5_k(block: np.ndarray) -> np.ndarray:
    flags = block[:, 16:48].reshape(-1, 1, 32) >> np.arange(8, dtype=np.uint8)[:, None] & 1
    return _k_values(block, _k_nibbles(block[:, 48:]) | flags << 4)


def _q6_k(block: np.ndarray) -> np.ndarray:
    low = block[:, :128].reshape(-1, 2, 1, 64)
    low = np.concatenate([low & 15, low >> 4], axis=2).reshape(-1, 2, 4, 32)
    high = block[:, 128:192].reshape(-1, 2, 1, 32) >> np.arange(0, 8, 2, dtype=np.uint8)[:, None] & 3
    levels = (low | high << 4).astype(np.int8) - 32
    scales = block[:, 192:208].view(np.int8).astype(np.float32) * _half(block[:, 208:])
    return (scales[:, :, None] * levels.reshape(-1, 16, 16)).reshape(-1, 256)


# By the type's number in a file.
FORMATS = {
    0: BlockFormat("F32", 1, 4, _f32),
    1: BlockFormat("F16", 1, 2, _half),
    2: BlockFormat("Q4_0", 32, 18, _q4_0),
    3: BlockFormat("Q4_1", 32, 20, _q4_1),
    6: BlockFormat("Q5_0", 32, 22, _q5_0),
    7: BlockFormat("Q5_1", 32, 24, _q5_1),
    8: BlockFormat("Q8_0", 32, 34, _q8_0),
    12: BlockFormat("Q4_K", 256, 144, _q4_k),
    13: BlockFormat("Q5_K", 256, 176, _q5_k),
    14: BlockFormat("Q6_K", 256, 210, _q6_k),
    30: BlockFormat("BF16", 1, 2, _bf16),
}


class GgufFile:
    """An open .gguf file; its tensors come as float32."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            CheckpointError: the file is damaged, cut short, or in a format that is not known here.
        """
        self.path = path
        self.infos: dict[str, TensorInfo] = {}
        self.starts: dict[str, int] = {}
        self._formats: dict[str, BlockFormat] = {}
        try:
            with open(path, "rb") as file:
                self._read_table(file)
        except (struct.error, UnicodeDecodeError, OverflowError, MemoryError) as error:
            raise CheckpointError(f"{path} is not a readable GGUF file ({error}); download it again.") from error
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read ({error.strerror or error}).") from error

    def _read_table(self, file: BinaryIO) -> None:
        if file.read(4) != b"GGUF":
            raise CheckpointError(f"{self.path} is not a GGUF file; download it again.")
        version, num_tensors, num_notes = struct.unpack("<IQQ", file.read(20))
        if version not in (2, 3) or max(num_tensors, num_notes) > _LONGEST:
            raise CheckpointError(f"{self.path} is of GGUF version {version}; versions 2 and 3 are known here.")
        notes = {}
        for _ in range(num_notes):
            key = self._text(file)
            notes[key] = self._value(file, *struct.unpack("<I", file.read(4)))
        places = []
        for _ in range(num_tensors):
            name = self._text(file)
            (num_axes,) = struct.unpack("<I", file.read(4))
            if num_axes > 8:
                raise CheckpointError(f"{self.path} is damaged: {name} has {num_axes} axes; download it again.")
            sizes = struct.unpack(f"<{num_axes}Q", file.read(8 * num_axes))
            kind, offset = struct.unpack("<IQ", file.read(12))
            places.append((name, tuple(reversed(sizes)), kind, offset))
        alignment = int(notes.get("general.alignment", 32))
        begin = -(-file.tell() // alignment) * alignment
        size = os.fstat(file.fileno()).st_size
        for name, shape, kind, offset in places:
            if kind not in FORMATS:
                known = ", ".join(format.name for format in FORMATS.values())
                raise CheckpointError(f"{self.path} keeps {name} in format number {kind}; known are {known}.")
            format = FORMATS[kind]
            num_bytes = math.prod(shape) // format.weights * format.num_bytes
            if begin + offset + num_bytes > size:
                raise CheckpointError(f"{self.path} is cut short: {name} lies beyond its end; download it again.")
            original = notes.get(_ORIGINAL_SHAPE + name)
            if original is not None and math.prod(original) == math.prod(shape):
                shape = tuple(int(length) for length in original)
            self.infos[name] = TensorInfo(shape, "F32")
            self.starts[name], self._formats[name] = begin + offset, format

    def _text(self, file: BinaryIO) -> str:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > _LONGEST:
            raise CheckpointError(f"{self.path} is damaged: a name of {length} bytes; download it again.")
        return file.read(length).decode("utf-8")

    def _value(self, file: BinaryIO, kind: int) -> Any:
        if kind == _STRING:
            return self._text(file)
        if kind == _ARRAY:
            inner, length = struct.unpack("<IQ", file.read(12))
            if length > _LONGEST:
                raise CheckpointError(f"{self.path} is damaged: a list of {length} values; download it again.")
            return [self._value(file, inner) for _ in range(length)]
        if kind not in _SCALARS:
            raise CheckpointError(f"{self.path} is damaged: a note of type {kind}; download it again.")
        return struct.unpack(_SCALARS[kind], file.read(struct.calcsize(_SCALARS[kind])))[0]

    def read(self, key: str) -> Tensor:
        """The tensor in float32."""
        import torch

        info, format = self.infos[key], self._formats[key]
        num_blocks = math.prod(info.shape) // format.weights
        with open(self.path, "rb") as file:
            file.seek(self.starts[key])
            raw = np.frombuffer(file.read(num_blocks * format.num_bytes), np.uint8)
        values = format.dequantize(raw.reshape(num_blocks, format.num_bytes))
        return torch.from_numpy(np.array(values, np.float32).reshape(info.shape))

    map = read
