"""Filling a network with weights one tensor at a time, quantizing on the way; files of quantized weights.

A freshly quantized network is kept on disk for the next time, in files of about two gigabytes and a table that is
written last. The table carries a fingerprint of what it was made from; with another one it is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..config.settings import Quantization
from ..errors import CheckpointError, writing_failed
from ..models.quantize import check_available, prepare, quantizable, quantized_layers
from .keys.transformer import to_official, to_ours

TABLE = "quantized.json"
FILE_BYTES = 2_000_000_000
VERSION = 1
# Names of quanto's types in the maps of published files -> ours.
OFFICIAL_TYPES = {"qint8": "int8", "qfloat8": "fp8", "qfloat8_e4m3fn": "fp8"}


@torch.no_grad()
def fill(
    network: nn.Module,
    weights: Iterable[tuple[str, Tensor]],
    *,
    kind: Quantization = "none",
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    source: str | Path,
) -> None:
    """Make `weights` (our names, any order) the network's own; each is moved, converted and let go before the next.

    The network is on the meta device. Linear layers of its blocks are quantized as their weights arrive; the others get
    `dtype`, but for those the network keeps in float32.

    Raises:
        CheckpointError: a weight is missing, unexpected or of another shape; names `source` and the official key.
        InputError: this machine lacks what the kind needs.
    """
    check_available(kind)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if kind != "none":
        prepare(network, dict.fromkeys(quantizable(network), kind), dtype)
    layers = dict(quantized_layers(network))
    filled: set[str] = set()
    for name, tensor in weights:
        if name not in shapes:
            raise CheckpointError(f"{source}: unexpected weight {_official(name)}.")
        if tuple(tensor.shape) != shapes[name]:
            raise CheckpointError(
                f"{source}: weight {_official(name)} has shape {list(tensor.shape)}; expected {list(shapes[name])}."
            )
        layer = layers.get(name.removesuffix(".weight"))
        if layer is not None and name.endswith(".weight"):
            layer.quantize_(tensor.to(device))
        else:
            _put(network, name, tensor.to(device, _dtype_of(network, name, dtype)))
        filled.add(name)
    if missing := sorted(shapes.keys() - filled):
        raise CheckpointError(f"{source}: missing weight {_listed(missing)}.")


@torch.no_grad()
def fill_official(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    quant_map: Mapping[str, Mapping[str, str]],
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    source: str | Path,
) -> None:
    """Make a published quantized checkpoint the network's own: what its map names, and nothing else, is quantized.

    A quantized layer L comes as L.weight._data ([out, in], one byte each) and L.weight._scale ([out, 1]); the weight is
    their product. L.input_scale and L.output_scale are placeholders.

    Args:
        tensors: under official names or ours. quant_map: {module: {"weights": type, "activations": "none"}}.

    Raises:
        CheckpointError: the map or the file does not fit the network; names `source` and the key.
    """
    layers: dict[str, str] = {}
    for official, entry in quant_map.items():
        name = _ours(official)
        kind = OFFICIAL_TYPES.get(entry.get("weights", ""))
        if kind is None or entry.get("activations", "none") != "none":
            raise CheckpointError(
                f"{source}: the map quantizes {official} as {dict(entry)}; only weights as "
                f"{' or '.join(OFFICIAL_TYPES)} are known."
            )
        layers[name] = kind
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    wrong = [name for name in layers if f"{name}.weight" not in expected]
    if wrong:
        raise CheckpointError(f"{source}: the map names {_official(wrong[0])}, which this network does not have.")
    prepare(network, layers, dtype)
    seen: set[str] = set()
    for key, tensor in tensors.items():
        name = _ours(key)
        module, _, leaf = name.partition(".weight._")
        if leaf in ("data", "scale") and module in layers:
            layer = network.get_submodule(module)
            held = getattr(layer, f"weight_{leaf}")
            if tensor.numel() != held.numel():
                raise CheckpointError(f"{source}: {key} has shape {list(tensor.shape)}; expected {list(held.shape)}.")
            # The bytes of a float8 are kept as int8; scales keep their own precision.
            tensor = tensor.view(torch.int8) if leaf == "data" else tensor.float()
            _put(layer, f"weight_{leaf}", tensor.reshape(held.shape).to(device))
        elif name.rpartition(".")[2] in ("input_scale", "output_scale") and name.rpartition(".")[0] in layers:
            continue
        elif name in expected:
            if tuple(tensor.shape) != expected[name]:
                raise CheckpointError(
                    f"{source}: {key} has shape {list(tensor.shape)}; expected {list(expected[name])}."
                )
            _put(network, name, tensor.to(device, _dtype_of(network, name, dtype)))
        else:
            raise CheckpointError(f"{source}: unexpected weight {key!r}.")
        seen.add(name)
    wanted = set(expected) - {f"{name}.weight" for name in layers}
    wanted |= {f"{name}.weight._{leaf}" for name in layers for leaf in ("data", "scale")}
    if missing := sorted(wanted - seen):
        raise CheckpointError(f"{source}: missing weight {_listed(missing)}.")


def read_official_map(path: str | Path) -> dict[str, dict[str, str]]:
    """The JSON map that belongs to a published quantized file.

    Raises:
        CheckpointError: it is missing or not such a map.
    """
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"The quantization map {path} cannot be read ({error}).") from error
    if not isinstance(table, dict) or not all(isinstance(entry, dict) for entry in table.values()):
        raise CheckpointError(f"{path} is not a quantization map; expected a table of layers.")
    return table


def fingerprint(files: Iterable[str | Path], extra: str = "") -> str:
    """Of what a quantized network is made from: names, sizes and times of files, and `extra` (kind, LoRAs, scales)."""
    digest = hashlib.sha256(f"{VERSION}/{extra}".encode())
    for path in sorted(Path(file).resolve() for file in files):
        status = path.stat()
        digest.update(f"/{path.name}/{status.st_size}/{status.st_mtime_ns}".encode())
    return digest.hexdigest()


def save_quantized(network: nn.Module, folder: str | Path, fingerprint: str) -> None:
    """Keep a quantized network in `folder`, which appears whole or not at all and replaces an earlier one.

    Raises:
        OutputError: the disk is full or the place cannot be written.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    building = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(building, ignore_errors=True)
    files: dict[str, str] = {}
    try:
        building.mkdir(parents=True)
        for number, part in enumerate(_parts(network.state_dict())):
            name = f"part-{number:03d}.safetensors"
            save_file({key: value.detach().cpu().contiguous() for key, value in part.items()}, building / name)
            files.update(dict.fromkeys(part, name))
        table = {
            "version": VERSION, "fingerprint": fingerprint, "files": files,
            "layers": {name: layer.format.name for name, layer in quantized_layers(network)},
        }  # fmt: skip
        (building / TABLE).write_text(json.dumps(table), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(building, folder)
    except OSError as error:
        raise writing_failed(folder, error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


@torch.no_grad()
def load_quantized(
    network: nn.Module, folder: str | Path, fingerprint: str, *, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> bool:
    """Fill a network on the meta device from `save_quantized`'s folder; False if there is none of this fingerprint.

    Raises:
        CheckpointError: the folder has the fingerprint but does not hold this network.
    """
    from safetensors import SafetensorError, safe_open

    folder = Path(folder)
    try:
        table = json.loads((folder / TABLE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if table.get("version") != VERSION or table.get("fingerprint") != fingerprint:
        return False
    try:
        prepare(network, table["layers"], dtype)
        missing = set(network.state_dict()) ^ set(table["files"])
        if missing:
            raise CheckpointError(f"{folder} does not fit the network: {_listed(sorted(missing))}; delete the folder.")
        for name in sorted(set(table["files"].values())):
            with safe_open(folder / name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (not a mapping)
                    _put(network, key, file.get_tensor(key).to(device))
    except (SafetensorError, OSError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{folder} is damaged ({error}); delete the folder.") from error
    return True


def _parts(weights: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    part: dict[str, Tensor] = {}
    size = 0
    for name, value in weights.items():
        if part and size + value.nbytes > FILE_BYTES:
            yield part
            part, size = {}, 0
        part[name] = value
        size += value.nbytes
    yield part


def _dtype_of(network: nn.Module, name: str, dtype: torch.dtype) -> torch.dtype:
    """`dtype`, or float32 for what the network never computes in less."""
    precise = getattr(network, "_keep_in_fp32_modules", None) or ()
    return torch.float32 if any(part in precise for part in name.split(".")) else dtype


def _put(network: nn.Module, name: str, value: Tensor) -> None:
    """Make `value` the parameter or buffer of that name, without a copy."""
    owner, _, leaf = name.rpartition(".")
    module = network.get_submodule(owner)
    if leaf in module._parameters:
        module._parameters[leaf] = nn.Parameter(value, requires_grad=False)
    else:
        module._buffers[leaf] = value


def _ours(key: str) -> str:
    return to_ours(key) or key


def _official(name: str) -> str:
    return repr(to_official(name) or name)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(_official(name) for name in names[:3]) + more
