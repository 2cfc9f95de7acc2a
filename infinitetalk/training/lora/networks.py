"""A model's networks one at a time: encoders come and go before the transformer takes the memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from ...checkpoints.fill import build_empty, expected_shapes, fill
from ...checkpoints.loading import FLOAT32_COMPONENTS, load_tokenizer
from ...checkpoints.locate import Located, find
from ...errors import CheckpointError
from ...models.specs import ModelSpec

if TYPE_CHECKING:
    from ...checkpoints.official import Component


@dataclass(frozen=True)
class ModelFiles:
    """Where one model's networks lie, and how to load each of them frozen."""

    spec: ModelSpec
    located: Located
    dtype: torch.dtype

    @classmethod
    def of(cls, spec: ModelSpec, checkpoints_dir: str | Path | None, dtype: torch.dtype) -> ModelFiles:
        """The files of `spec`, shipped, converted or as published.

        Raises:
            CheckpointError: some are missing or do not fit; says which and what to do.
        """
        files = cls(spec, find(spec, checkpoints_dir), dtype)
        for name in files.networks():
            component = files._component(name)
            component.weights.check(expected_shapes(build_empty(component.build), component.weights), title=name)
        return files

    def networks(self) -> tuple[str, ...]:
        """Names of the networks, the tokenizer left out."""
        return tuple(name for name in self.spec.components if name != "tokenizer")

    def load(self, name: str, device: torch.device | str = "cpu") -> nn.Module:
        """One network, frozen and in evaluation mode."""
        component = self._component(name)
        network = build_empty(component.build)
        fill(network, component.weights, torch.float32 if name in FLOAT32_COMPONENTS else self.dtype, device)
        return network

    def tokenizer(self) -> object:
        return load_tokenizer(self.located.tokenizer)

    def text_dim(self) -> int:
        """Width of an encoded prompt."""
        return build_empty(self._component("transformer").build).config.text_dim

    def fingerprint(self) -> str:
        """Changes when the files of an encoder do."""
        encoders = [self._component(name) for name in self.networks() if name != "transformer"]
        paths = sorted(path for component in encoders for path in component.weights.files)
        return json.dumps([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths])

    def _component(self, name: str) -> Component:
        if self.located.folder is not None and not (self.located.folder / name).is_dir():
            raise CheckpointError(
                f"{self.spec.title} lacks its {name}: the folder {self.located.folder / name} does not exist."
            )
        component = self.located.component(name)
        if component.quantized is not None:
            raise CheckpointError(
                f"Of {self.spec.title} only a quantized transformer was found; training needs the unquantized files."
            )
        return component
