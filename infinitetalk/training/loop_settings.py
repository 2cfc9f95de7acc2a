"""How a training runs and what each of its batches may draw from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

Precision = Literal["no", "fp16", "bf16"]


@dataclass(frozen=True)
class Every:
    """How often something happens: every so many steps, or seconds of training."""

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        assert (self.steps is None) != (self.seconds is None), "give steps or seconds"

    def due(self, step: int, elapsed: float, last_elapsed: float) -> bool:
        if self.steps is not None:
            return step % self.steps == 0
        return elapsed - last_elapsed >= self.seconds


@dataclass(frozen=True)
class LoopSettings:
    """How to train. The end comes with `num_steps` or `seconds`, whichever is reached first; one must be given.

    seconds: of training, across restarts. rate: of AdamW at its height; it rises over `warm_up_steps` and falls as
        half a cosine over the whole budget to `final_rate` times it.
    num_parts: batches whose gradients are added up before each step (gradient accumulation).
    average_decay: of the exponential moving average of the weights; 0 keeps none.
    clip_norm: largest norm of a step's gradient; None for any.
    precision: what the network computes in; weights and optimizer stay in the dtype they have.
    device: `auto` takes the GPU if there is one.
    """

    num_steps: int | None = None
    seconds: float | None = None
    rate: float = 1e-3
    final_rate: float = 0.02
    warm_up_steps: int = 50
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    clip_norm: float | None = 1.0
    num_parts: int = 1
    average_decay: float = 0.997
    precision: Precision = "no"
    device: Literal["auto", "cpu"] = "auto"
    log: Every = field(default_factory=lambda: Every(steps=50))
    report: Every = field(default_factory=lambda: Every(steps=500))
    save: Every = field(default_factory=lambda: Every(seconds=120.0))
    seed: int = 0

    def __post_init__(self) -> None:
        assert self.num_steps is not None or self.seconds is not None, "give num_steps or seconds"

    def progress(self, step: int, elapsed: float) -> float:
        """Share of the budget that is used up; 1 or more at the end."""
        by_steps = 0.0 if self.num_steps is None else step / max(1, self.num_steps)
        by_time = 0.0 if self.seconds is None else elapsed / max(1e-9, self.seconds)
        return max(by_steps, by_time)

    def rate_at(self, step: int, progress: float) -> float:
        """The learning rate of the step after `step` steps."""
        rise = min(1.0, (step + 1) / max(1, self.warm_up_steps))
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return self.rate * rise * (self.final_rate + (1 - self.final_rate) * fall)


@dataclass(frozen=True)
class Draw:
    """One batch's place in the training, and randomness of its own.

    step: steps taken before. part: which of the step's batches. progress: share of the budget used up.
    rank, num_ranks: which of the processes this is. rng, generator (CPU): drawn from by nobody else. torch's global
    generators are seeded for it too, so dropout and `randn_like` repeat as well.
    """

    step: int
    part: int
    num_parts: int
    progress: float
    rank: int
    num_ranks: int
    device: torch.device
    seed: int
    rng: np.random.Generator
    generator: torch.Generator

    def pick(self, num_items: int, count: int) -> np.ndarray:
        """`count` of `num_items` items: over all processes and steps every item once, in random order, then again."""
        batch = (self.step * self.num_parts + self.part) * self.num_ranks + self.rank
        places = np.arange(batch * count, (batch + 1) * count)
        picked = np.empty(count, np.int64)
        for epoch in np.unique(places // num_items):
            order = np.random.default_rng([self.seed, int(epoch), 1]).permutation(num_items)
            mine = places // num_items == epoch
            picked[mine] = order[places[mine] % num_items]
        return picked
