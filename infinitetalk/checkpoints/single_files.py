"""The transformer from files in common circulation: one or several .safetensors or .gguf, whole or for speech alone.

Weights kept in eight bits of floating point come with a factor per tensor (`scale_weight` or `weight_scale`), or
without; GGUF has formats of its own. All become ordinary numbers when they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import CheckpointError
from .formats.gguf import GgufFile
from .formats.tensor_files import TensorFile, TensorInfo, open_tensors
from .official import QUANTIZED_DATA, Component, transformer_component, transformer_name
from .sources import Entry, Weights

_FACTORS = (".scale_weight", ".weight_scale")
# Factors of activations and marks of the format, which say nothing about the weights.
_IGNORED = (".scale_input", ".input_scale", ".comfy_quant", "scaled_fp8")
_EIGHT_BITS = ("F8_E4M3", "F8_E5M2")


def open_transformer(paths: Sequence[Path], config_file: Path | None = None) -> Component:
    """The transformer in `paths`; values of later files win, so that one for speech can follow the base.

    Raises:
        CheckpointError: a file cannot be read, belongs to another network, or is in a format not known here.
    """
    entries: dict[str, Entry] = {}
    for path in paths:
        for name, entry in _entries(path).items():
            entries.pop(name, None)
            entries[name] = entry
    return transformer_component(Weights(", ".join(map(str, paths)), entries), config_file)


def _entries(path: Path) -> dict[str, Entry]:
    if path.suffix == ".gguf":
        if not path.is_file():
            raise CheckpointError(f"The checkpoint {path} does not exist; correct the path.")
        file = GgufFile(path)
    else:
        file = open_tensors(path)
    if any(key.endswith(".weight" + QUANTIZED_DATA) for key in file.infos):
        raise CheckpointError(
            f"{path} is quantized as the official files are, with a map; put it where it was published "
            "(InfiniteTalk/quant_models) and it is loaded as it is."
        )
    factors = {key.removesuffix(ending): key for key in file.infos for ending in _FACTORS if key.endswith(ending)}
    entries = {}
    for key in sorted(file.infos, key=lambda key: getattr(file, "starts", {}).get(key, 0)):
        if key.endswith(_IGNORED) or key in factors.values():
            continue
        name = transformer_name(key)
        if name is None:
            raise CheckpointError(f"{path}: unexpected weight {key!r}; not a Wan or InfiniteTalk transformer.")
        factor = factors.get(key.removesuffix(".weight")) if key.endswith(".weight") else None
        entries[name] = _entry(file, key, factor)
    return entries


def _entry(file: TensorFile | GgufFile, key: str, factor: str | None) -> Entry:
    info = file.infos[key]
    if info.dtype not in _EIGHT_BITS:
        return Entry(info, Path(file.path), key, lambda: file.map(key), lambda: file.read(key))

    def read():
        value = file.read(key).float()
        return value if factor is None else value * file.read(factor).float()

    return Entry(TensorInfo(info.shape, "F32"), Path(file.path), key, read, read)
