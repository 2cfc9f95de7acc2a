"""What every training stage shares: schedule, moving average, checkpoints that survive a kill, and a log.

A stage's folder holds `weights.safetensors` (the network), `average.safetensors` (its moving average),
`optimizer.pt` (optimizer and step, read with `weights_only=True`) and `log.csv`. Checkpoints are written to a
temporary name and renamed, so a kill leaves the previous one whole.
"""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def cosine_rate(step: int, num_steps: int, *, warm_up: int, floor: float = 0.02) -> float:
    """Learning-rate factor: linear rise over `warm_up` steps, then half a cosine down to `floor` at `num_steps`."""
    rise = min(1.0, (step + 1) / max(1, warm_up))
    progress = min(1.0, max(0.0, (step - warm_up) / max(1, num_steps - warm_up)))
    return rise * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))


class MovingAverage:
    """Exponential moving average of a network's parameters; its memory grows with the steps seen, up to `decay`."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self.values = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        names, parameters = zip(*model.named_parameters(), strict=True)
        torch._foreach_lerp_([self.values[n] for n in names], [p.detach() for p in parameters], 1 - decay)

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Exchange the network's parameters with the averaged ones; a second call puts them back."""
        for name, parameter in model.named_parameters():
            kept = parameter.detach().clone()
            parameter.copy_(self.values[name])
            self.values[name] = kept


def save_checkpoint(
    folder: Path, model: nn.Module, average: MovingAverage, optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Write a checkpoint that `load_checkpoint` continues from."""
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "weights.safetensors", lambda path: save_file(_contiguous(model.state_dict()), path))
    _replace(folder / "average.safetensors", lambda path: save_file(_contiguous(average.values), path))
    state = {"optimizer": optimizer.state_dict(), "step": step, "num_updates": average.num_updates}
    _replace(folder / "optimizer.pt", lambda path: torch.save(state, path))


def load_checkpoint(
    folder: Path, model: nn.Module, average: MovingAverage, optimizer: torch.optim.Optimizer
) -> int:
    """Restore a checkpoint in place; returns the number of steps already taken, 0 if there is none."""
    if not (folder / "optimizer.pt").exists():
        return 0
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    average.values = load_file(folder / "average.safetensors")
    state = torch.load(folder / "optimizer.pt", weights_only=True)
    optimizer.load_state_dict(state["optimizer"])
    average.num_updates = state["num_updates"]
    return state["step"]


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def _replace(path: Path, write) -> None:
    temporary = path.with_name(path.name + ".part")
    write(temporary)
    os.replace(temporary, path)


class CsvLog:
    """Rows of numbers appended to a file; the first row written names the columns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.started = time.monotonic()

    def write(self, **values: float) -> None:
        row = {"seconds": round(time.monotonic() - self.started, 1), **values}
        fresh = not self.path.exists() or self.path.stat().st_size == 0
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(row)
            writer.writerow(f"{v:.5g}" if isinstance(v, float) else v for v in row.values())
        print(" ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True)


def parameter_groups(model: nn.Module, weight_decay: float, rates: Iterable[tuple[str, float]] = ()) -> list[dict]:
    """AdamW groups: no decay for vectors; names containing a key of `rates` learn that many times faster."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    rates = list(rates)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = next((rate for part, rate in rates if part in name), 1.0)
            groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "factor": factor, "weight_decay": weight_decay if matrix else 0.0}
        for (factor, matrix), parameters in groups.items()
    ]
