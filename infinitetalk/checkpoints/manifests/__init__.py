"""What every published file holds: names, shapes and, where known, types of its weights, in a compact form.

`blocks.[0-39].x` stands for forty names. The lists were obtained by building the published networks at full size
without memory; they are what a loader needs, and `checkpoints verify` compares files with them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_RANGE = re.compile(r"\[(\d+)-(\d+)\]")


@dataclass(frozen=True)
class Manifest:
    """One kind of file.

    shapes: by the file's own names. dtype: of all weights as safetensors spells it, None for any of floating point.
    unused: beginnings of further names that may be there and are never read. prefix: may stand before every name.
    spellings: other names of some weights -> the ones in `shapes`.
    """

    name: str
    title: str
    shapes: Mapping[str, tuple[int, ...]]
    dtype: str | None = None
    unused: tuple[str, ...] = ()
    prefix: str = ""
    spellings: Mapping[str, str] | None = None

    @property
    def num_parameters(self) -> int:
        total = 0
        for shape in self.shapes.values():
            size = 1
            for length in shape:
                size *= length
            total += size
        return total

    def plain(self, key: str) -> str | None:
        """The manifest's name of a key; None if the key is there and never read."""
        key = key.removeprefix(self.prefix)
        key = (self.spellings or {}).get(key, key)
        return None if key.startswith(self.unused) else key


@cache
def read_manifest(name: str) -> Manifest:
    """The manifest called `name`, such as transformer-base."""
    data = json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))
    shapes: dict[str, tuple[int, ...]] = {}
    for key, shape in data.pop("keys").items():
        if match := _RANGE.search(key):
            for number in range(int(match[1]), int(match[2]) + 1):
                shapes[f"{key[: match.start()]}{number}{key[match.end() :]}"] = tuple(shape)
        else:
            shapes[key] = tuple(shape)
    unused = tuple(data.pop("unused", ()))
    return Manifest(name=name, shapes={k: s for k, s in shapes.items() if not k.startswith(unused or "\0")},
                    unused=unused, **data)  # fmt: skip
