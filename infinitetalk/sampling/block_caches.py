"""diffusers' FirstBlockCache and MagCache on our transformer.

Their hooks stand around the blocks and tell branches apart by `cache_context(name)`, so branches are evaluated one
after the other, each whole. They are attached once a chunk's conditions are encoded (a block also encodes keys, which
is no evaluation) and taken off after its last step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .denoise import Network

if TYPE_CHECKING:
    from ..models.transformer import InfiniteTalkTransformer


class _BlockCache(ABC):
    """What the two have in common. Both are `StepCache`s."""

    head_hook: str  # diffusers' name of the hook on the first block, which decides

    def __init__(self) -> None:
        self.evaluations = 0
        self.skipped = 0

    @abstractmethod
    def configuration(self) -> Any:
        """A fresh diffusers config for one chunk."""

    @contextmanager
    def attached(self, model: InfiniteTalkTransformer) -> Iterator[Network]:
        _register(type(model.blocks[0]))
        model.enable_cache(self.configuration())
        try:
            yield lambda latents, timestep, conditions, *, skip_frames: self._evaluate(
                model, latents, timestep, conditions
            )
        finally:
            model.disable_cache()

    def _evaluate(self, model: InfiniteTalkTransformer, latents, timestep, conditions) -> dict:
        """All branches in turn. The first frames are not left out: what is remembered must have the tokens' shape."""
        outputs = {}
        head: Any = getattr(model.blocks[0], "_diffusers_hook")  # noqa: B009 (diffusers gives it no type)
        for branch, condition in conditions.items():
            with model.cache_context(branch):
                outputs[branch] = model(latents, timestep, condition)
                state = head.get_hook(self.head_hook).state_manager.get_state()
            self.evaluations += 1
            self.skipped += not state.should_compute
            self.saw(branch, state)
        return outputs

    def saw(self, branch: str, state: Any) -> None:  # noqa: B027  may be left as it is
        """Called after each evaluation with diffusers' state of its branch."""


class FirstBlockCache(_BlockCache):
    """Skips all blocks but the first while that one's change of the tokens is nearly the last computed step's."""

    head_hook = "fbc_leader_block_hook"

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def configuration(self) -> Any:
        from diffusers.hooks.first_block_cache import FirstBlockCacheConfig

        return FirstBlockCacheConfig(threshold=self.threshold)


class MagCache(_BlockCache):
    """Skips where the sizes of what the blocks add, measured on the film's first chunk, hardly change.

    The ratios belong to weights and schedule and none are published for InfiniteTalk: the first chunk is computed in
    full and measured, the others use it.
    """

    head_hook = "mag_cache_leader_block_hook"

    def __init__(self, threshold: float, steps: int, ratios: list[float] | None = None) -> None:
        super().__init__()
        self.threshold = threshold
        self.steps = steps
        self.ratios = ratios
        self._measured: dict[str, list[float]] = {}

    @contextmanager
    def attached(self, model: InfiniteTalkTransformer) -> Iterator[Network]:
        self._measured.clear()
        with super().attached(model) as network:
            yield network
        # A chunk that was cancelled has measured too little.
        if self.ratios is None and all(len(step) == self.steps for step in self._measured.values()) and self._measured:
            self.ratios = [sum(step) / len(step) for step in zip(*self._measured.values(), strict=True)]

    def configuration(self) -> Any:
        from diffusers.hooks.mag_cache import MagCacheConfig

        if self.ratios is None:
            # One step more than there are: diffusers forgets the measurement (and prints it) at the last one.
            return MagCacheConfig(calibrate=True, num_inference_steps=self.steps + 1)
        return MagCacheConfig(threshold=self.threshold, num_inference_steps=self.steps, mag_ratios=self.ratios)

    def saw(self, branch: str, state: Any) -> None:
        if self.ratios is None:
            self._measured[branch] = list(state.calibration_ratios)


def _register(block: type) -> None:
    """Register with diffusers what our block returns."""
    from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry

    TransformerBlockRegistry.register(block, TransformerBlockMetadata(return_hidden_states_index=0))
