"""TeaCache (arXiv 2411.19108) with the constants published for InfiniteTalk, and a memory for each guidance branch.

An evaluation is skipped while the time's embedding has moved little since the last computed one. What the blocks then
added to the tokens is added again to the fresh tokens, and the output layer runs with the fresh time.

The published code finds an evaluation's memory by counting calls modulo three. It makes two a step when the text scale
is one, so silent and speaking evaluations take turns in each memory, and the count runs on into the next chunk. Here a
branch has its name and a chunk begins with nothing remembered; with three branches both ways agree
(wan/modules/multitalk_model.py, teacache_init and forward).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from .denoise import Network

if TYPE_CHECKING:
    from ..models.transformer import InfiniteTalkTransformer

Signal = Literal["modulation", "embedding"]

# Highest power first: from the relative change of the signal to the change of the output it stands for.
POLYNOMIALS: dict[tuple[str, Signal], tuple[float, ...]] = {
    ("480p", "modulation"): (257151.496, -35422.9917, 1402.86849, -13.5890334, 0.132517977),
    ("720p", "modulation"): (8107.0546, 2133.93892, -372.934672, 16.6203073, -0.0417769401),
    ("480p", "embedding"): (-302.33167, 223.948934, -52.546397, 5.8734844, -0.201973289),
    ("720p", "embedding"): (-114.36346466, 65.26524496, -18.82220707, 4.91518089, -0.23412683),
}


@dataclass(frozen=True)
class TeaCacheConfig:
    """threshold: of the summed change. polynomial: highest power first.

    signal: `modulation`, what the blocks are given ([6 * dim], published as use_ret_steps), or `embedding` ([dim]).
    first_steps, last_steps: so many steps at either end are always computed.
    """

    threshold: float
    polynomial: tuple[float, ...]
    signal: Signal = "modulation"
    first_steps: int = 5
    last_steps: int = 0

    @classmethod
    def published(cls, size: str, *, threshold: float = 0.2, retain: bool = True) -> TeaCacheConfig:
        """The published constants for a size class (a size that has none takes those of 480p).

        retain: the published `use_ret_steps`: five computed steps first; else one first and one last.
        """
        signal: Signal = "modulation" if retain else "embedding"
        polynomial = POLYNOMIALS[size if (size, signal) in POLYNOMIALS else "480p", signal]
        return cls(threshold, polynomial, signal, *((5, 0) if retain else (1, 1)))


@dataclass
class _Memory:
    """Of one branch in one chunk. residual: [B, N, dim], what the blocks added when they last ran."""

    step: int = 0
    distance: float = 0.0
    signal: torch.Tensor | None = None
    residual: torch.Tensor | None = None


@dataclass(frozen=True)
class Decision:
    """One evaluation, for tests and reports. distance: summed change after it."""

    branch: str
    step: int
    computed: bool
    distance: float


class TeaCache:
    """A `StepCache`. decisions: those of the latest chunk."""

    def __init__(self, config: TeaCacheConfig, steps: int) -> None:
        self.config = config
        self.steps = steps
        self.evaluations = 0
        self.skipped = 0
        self.decisions: list[Decision] = []
        self._memories: dict[str, _Memory] = {}

    @contextmanager
    def attached(self, model: InfiniteTalkTransformer) -> Iterator[Network]:
        self._memories.clear()
        self.decisions = []

        def network(latents, timestep, conditions, *, skip_frames):
            return model(latents, timestep, conditions, skip_frames=skip_frames, around_blocks=self._around_blocks)

        try:
            yield network
        finally:
            self._memories.clear()  # a residual is as large as the tokens

    def _around_blocks(
        self,
        walk: Callable[[Sequence[str]], Mapping[str, torch.Tensor]],
        tokens: Mapping[str, torch.Tensor],
        embedding: torch.Tensor,
        modulation: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        signal = modulation if self.config.signal == "modulation" else embedding
        wanted = [branch for branch in tokens if self._decide(branch, signal)]
        after = dict(walk(wanted)) if wanted else {}
        for branch, before in tokens.items():
            memory = self._memories[branch]
            if branch in after:
                # The last block may have left out the first frames.
                memory.residual = after[branch] - before[:, -after[branch].shape[1] :]
            else:
                assert memory.residual is not None, "a branch without a residual is computed"
                after[branch] = before[:, -memory.residual.shape[1] :] + memory.residual
        return after

    def _decide(self, branch: str, signal: torch.Tensor) -> bool:
        """Whether this evaluation is to be computed; moves the branch's memory on."""
        memory = self._memories.setdefault(branch, _Memory())
        config, step = self.config, memory.step
        always = step < config.first_steps or step >= self.steps - config.last_steps
        if always or memory.signal is None or memory.residual is None:
            computed = True
        else:
            change = (signal - memory.signal).abs().mean() / memory.signal.abs().mean()
            memory.distance += _polynomial(config.polynomial, float(change))
            computed = not memory.distance < config.threshold
        if computed:
            memory.distance = 0.0
        memory.signal, memory.step = signal, step + 1
        self.evaluations += 1
        self.skipped += not computed
        self.decisions.append(Decision(branch, step, computed, memory.distance))
        return computed


def _polynomial(coefficients: Sequence[float], value: float) -> float:
    result = 0.0
    for coefficient in coefficients:
        result = result * value + coefficient
    return result
