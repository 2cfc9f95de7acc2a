"""Figures of a training while it runs: their means since the last row, and how fast it goes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from .loop_settings import LoopSettings

if TYPE_CHECKING:
    from accelerate import Accelerator


class Meter:
    """Sums of figures since the last row of the table; tensors stay on their device until they are wanted."""

    def __init__(self) -> None:
        self.pending: dict[str, list[Tensor | float]] = {}
        self.totals: dict[str, list[float]] = {}  # name -> [sum, count]

    def add(self, **figures: Tensor | float) -> None:
        for name, value in figures.items():
            self.pending.setdefault(name, []).append(value.detach() if isinstance(value, Tensor) else value)

    def gather(self, accelerator: Accelerator) -> None:
        """Move what is pending, of all processes, to the first process's totals; the others' are empty afterwards."""
        for name, values in self.pending.items():
            total = self.totals.setdefault(name, [0.0, 0])
            for value in values:
                total[0] += float(value)
                total[1] += 1
        self.pending = {}
        if accelerator.num_processes == 1:
            return
        from accelerate.utils import gather_object

        merged: dict[str, list[float]] = {}
        for totals in gather_object([self.totals]):
            for name, (total, count) in totals.items():
                old = merged.get(name, [0.0, 0])
                merged[name] = [old[0] + total, old[1] + count]
        self.totals = merged if accelerator.is_main_process else {}

    def mean(self, name: str, default: float) -> float:
        total, count = self.totals.get(name, (default, 1))
        return total / count

    def means(self) -> dict[str, float]:
        return {name: self.mean(name, 0.0) for name in self.totals}

    def clear(self) -> None:
        self.totals = {}


class Pace:
    """Speed since this process began, and the time left at that speed."""

    def __init__(self, step: int, progress: float) -> None:
        self.step, self.progress, self.started = step, progress, time.monotonic()

    def line(self, settings: LoopSettings, step: int, elapsed: float, row: Mapping[str, float]) -> str:
        spent = time.monotonic() - self.started
        progress = settings.progress(step, elapsed)
        gained = progress - self.progress
        left = _duration(spent * max(0.0, 1 - progress) / gained) if gained > 0 else "?"
        of = "" if settings.num_steps is None else f"/{settings.num_steps}"
        parts = [f"{name} {value:.4g}" for name, value in row.items() if name not in ("step", "seconds", "rate")]
        return f"step {step}{of}, {(step - self.step) / max(spent, 1e-9):.2f} steps/s, {left} left: {', '.join(parts)}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
