"""Rotary positions: three axes for latent tokens, one axis that separates two speakers.

Angles are computed in float64 and stored as complex64; applying them in float32 costs a quarter of the float64 the
published code uses and stays within 1e-6 of it. Tables are cached per geometry by `RotaryCache`, which is neither a
buffer nor a parameter: it is never saved, and it can be copied and moved between devices with its model.
"""

from __future__ import annotations

from collections import OrderedDict

import torch

from .layers import by_slices

BASE = 10000.0


def axis_frequencies(dim: int) -> torch.Tensor:
    """Angular frequencies of one axis that owns `dim` (even) channels: float64 [dim / 2]."""
    return BASE ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)


def split_head(head_dim: int) -> tuple[int, int, int]:
    """Channels of a head given to time, rows and columns (Wan: what rows and columns leave goes to time)."""
    spatial = 2 * (head_dim // 6)
    return head_dim - 2 * spatial, spatial, spatial


def latent_table(shape: tuple[int, int, int], head_dim: int, device: torch.device) -> torch.Tensor:
    """Unit complex factors of every token of a (frames, rows, columns) grid: complex64 [tokens, head_dim / 2]."""
    angles = []
    for axis, (length, dim) in enumerate(zip(shape, split_head(head_dim), strict=True)):
        of_axis = torch.outer(torch.arange(length, dtype=torch.float64), axis_frequencies(dim))
        view = [1, 1, 1, dim // 2]
        view[axis] = length
        angles.append(of_axis.view(view).expand(*shape, dim // 2))
    grid = torch.cat(angles, dim=-1).flatten(0, 2)
    return torch.polar(torch.ones_like(grid), grid).to(torch.complex64).to(device)


def position_table(positions: torch.Tensor, head_dim: int) -> torch.Tensor:
    """Factors of arbitrary positions on one axis: positions [...] -> complex64 [..., head_dim / 2]."""
    frequencies = axis_frequencies(head_dim).to(torch.float32).to(positions.device)
    angles = positions.to(torch.float32)[..., None] * frequencies
    return torch.polar(torch.ones_like(angles), angles)


def rotate(heads: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Rotate neighbouring channel pairs: heads [..., tokens, heads, head_dim], table [..., tokens, head_dim / 2]."""

    def turn(part: torch.Tensor) -> torch.Tensor:
        pairs = torch.view_as_complex(part.float().unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * table.unsqueeze(-2)).flatten(-2).type_as(part)

    return by_slices(turn, heads, dim=-2)


class RotaryCache:
    """The latest tables of `latent_table`, least recently used dropped first."""

    def __init__(self, head_dim: int, max_tables: int = 4) -> None:
        self.head_dim = head_dim
        self.max_tables = max_tables
        self._tables: OrderedDict[tuple, torch.Tensor] = OrderedDict()

    def table(self, shape: tuple[int, int, int], device: torch.device) -> torch.Tensor:
        """Table of a token grid on a device, computed on first use."""
        key = (shape, str(device))
        if key not in self._tables:
            # Outside inference mode, so that a table made while generating can also serve training.
            with torch.inference_mode(False), torch.no_grad():
                self._tables[key] = latent_table(shape, self.head_dim, device)
        self._tables.move_to_end(key)
        while len(self._tables) > self.max_tables:
            self._tables.popitem(last=False)
        return self._tables[key]

    def clear(self) -> None:
        """Forget every table."""
        self._tables.clear()

    def __deepcopy__(self, memo: dict) -> RotaryCache:
        return RotaryCache(self.head_dim, self.max_tables)

    def __getstate__(self) -> dict:
        return {"head_dim": self.head_dim, "max_tables": self.max_tables, "_tables": OrderedDict()}
