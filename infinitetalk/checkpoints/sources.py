"""Weights on disk under our names, ready to be handed out one at a time.

What a checkpoint holds is known from its headers before the first number is read, so that a wrong or incomplete one is
refused at once, naming the file and the key. Then the weights come in the order in which they lie on the disk: mapped,
when they stay on the host as they are, or each in memory of its own, when they go elsewhere or change their type.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from .formats.tensor_files import DTYPES, TensorFile, TensorInfo, copied, info_of, open_tensors
from .keys.transformer import to_official

if TYPE_CHECKING:
    from torch import Tensor

_KEYS_NAMED = 3
Convert = Callable[[Mapping[str, "Tensor"]], dict[str, "Tensor"]]


@dataclass(frozen=True)
class Entry:
    """One weight. key: its name in `file`. map: the tensor on the file (if it `is_mapped`); read: in its own memory."""

    info: TensorInfo
    file: Path
    key: str
    map: Callable[[], Tensor]
    read: Callable[[], Tensor]
    is_mapped: bool = False


@dataclass(frozen=True)
class Weights:
    """All weights of one network, by our names. source: what to call them in messages."""

    source: str
    entries: Mapping[str, Entry]

    @property
    def infos(self) -> dict[str, TensorInfo]:
        return {name: entry.info for name, entry in self.entries.items()}

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(entry.file for entry in self.entries.values()))

    @property
    def num_bytes(self) -> int:
        return sum(entry.info.num_bytes for entry in self.entries.values())

    def stream(self, *, copy: bool) -> Iterator[tuple[str, Tensor]]:
        """Every weight once, as it lies on the disk.

        Args:
            copy: in memory of its own, of which the caller holds as much as it keeps; otherwise on the mapped file.
        """
        for name, entry in self.entries.items():
            yield name, entry.read() if copy else entry.map()

    def check(self, network: Mapping[str, Sequence[int]], *, title: str = "the network") -> None:
        """Refuse what is not exactly this network, shapes by our names.

        Raises:
            CheckpointError: naming the file and the first keys that are missing, unexpected or of another shape.
        """
        missing = sorted(name for name in network if name not in self.entries)
        unexpected = sorted(name for name in self.entries if name not in network)
        if unexpected:
            entry = self.entries[unexpected[0]]
            also = f" and {len(unexpected) - 1} more" if len(unexpected) > 1 else ""
            lacking = f", and {_listed(missing)} missing" if missing else ""
            raise CheckpointError(f"{entry.file}: unexpected weight {entry.key!r}{also}{lacking}; not {title}.")
        if missing:
            raise CheckpointError(
                f"{self.source}: {len(missing)} of {len(network)} weights of {title} are missing ({_listed(missing)}); "
                "download it again."
            )
        for name, shape in network.items():
            entry = self.entries[name]
            if entry.info.shape != tuple(shape):
                raise CheckpointError(
                    f"{entry.file}: weight {entry.key!r} has shape {list(entry.info.shape)}; {title} has {list(shape)}."
                )

    def changed(self, change: Callable[[str, Tensor], Tensor], names: Iterable[str]) -> Weights:
        """The same with `change` applied to some weights when they are read, as adapters are merged."""
        names = set(names)

        def altered(name: str, entry: Entry) -> Entry:
            def read() -> Tensor:
                return change(name, entry.read())

            return replace(entry, map=read, read=read, is_mapped=False)

        entries = {name: altered(name, entry) if name in names else entry for name, entry in self.entries.items()}
        return replace(self, entries=entries)


class Streamed(Mapping):
    """Weights as a mapping whose `items` read one tensor at a time, each in memory of its own."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def __getitem__(self, name: str) -> Tensor:
        return self._weights.entries[name].read()

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights.entries)

    def __len__(self) -> int:
        return len(self._weights.entries)


def rename(files: Sequence[Path], to_ours: Callable[[str], str | None], *, source: str = "") -> Weights:
    """Weights of .safetensors or torch files whose keys are renamed one by one; later files win over earlier ones.

    Raises:
        CheckpointError: a file cannot be read, or holds a key that `to_ours` does not know.
    """
    entries: dict[str, Entry] = {}
    for path in files:
        file = open_tensors(path)
        for key, info in _in_disk_order(file):
            name = to_ours(key)
            if name is None:
                raise CheckpointError(f"{path}: unexpected weight {key!r}; the file belongs to another network.")
            entries.pop(name, None)  # its place in the order is that of the file it is read from
            entries[name] = _entry(file, key, info)
    return Weights(source or _named(files), entries)


def convert_all(files: Sequence[Path], convert: Convert, *, source: str = "") -> Weights:
    """Weights whose keys are renamed, split or dropped together by a converter that sees all of them.

    Raises:
        CheckpointError: a file cannot be read.
    """
    mapped: dict[str, Tensor] = {}
    homes: dict[int, tuple[Path, str, bool]] = {}
    for path in files:
        file = open_tensors(path)
        is_mapped = file.is_mapped
        for key in file.infos:
            mapped[key] = file.map(key)
            homes[mapped[key].untyped_storage().data_ptr()] = (Path(path), key, is_mapped)
    entries = {}
    for name, value in convert(mapped).items():
        path, key, is_mapped = homes.get(value.untyped_storage().data_ptr(), (Path(files[0]), name, False))
        key = name if name in mapped else key
        entries[name] = Entry(
            info_of(value), path, key, lambda value=value: value,
            lambda value=value, is_mapped=is_mapped: copied(value, mapped=is_mapped), is_mapped,
        )  # fmt: skip
    return Weights(source or _named(files), entries)


def in_folder(folder: Path) -> Weights:
    """The .safetensors files of one component in the diffusers layout, whole or in shards, under their own names.

    Raises:
        CheckpointError: there is none, the index names a file that is not there, or a file cannot be read.
    """
    indices = sorted(folder.glob("*.safetensors.index.json"))
    if not indices:
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise CheckpointError(f"{folder} holds no .safetensors file; other formats are not read from folders.")
        return rename(files, lambda key: key, source=str(folder))
    try:
        places = json.loads(indices[0].read_text(encoding="utf-8"))["weight_map"]
        files = [folder / name for name in sorted(set(places.values()))]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{indices[0]} cannot be read ({type(error).__name__}).") from error
    weights = rename(files, lambda key: key, source=str(folder))
    if lost := sorted(key for key in places if key not in weights.entries):
        raise CheckpointError(f"{folder / places[lost[0]]}: weight {lost[0]!r} is missing; download it again.")
    return weights


def _in_disk_order(file: TensorFile) -> list[tuple[str, TensorInfo]]:
    starts = getattr(file, "starts", {})
    return sorted(file.infos.items(), key=lambda item: starts.get(item[0], 0))


def _entry(file: TensorFile, key: str, info: TensorInfo) -> Entry:
    return Entry(info, Path(file.path), key, lambda: file.map(key), lambda: file.read(key), file.is_mapped)


def _named(files: Sequence[Path]) -> str:
    return str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _KEYS_NAMED} more" if len(names) > _KEYS_NAMED else ""
    return ", ".join(to_official(name) or name for name in names[:_KEYS_NAMED]) + more


def is_floating(dtype: str) -> bool:
    """Whether a type of safetensors is one of floating point."""
    return "F" in dtype and dtype in DTYPES
