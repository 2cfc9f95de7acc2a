"""Step caches: network evaluations answered from the step before, where the two would hardly differ.

A cache is attached from outside, for one chunk at a time, and remembers per guidance branch:

    cache = make_step_cache("teacache", steps=40, size="480p")
    with cache.attached(transformer) as network:  # a Network, see denoise.py
        denoise(network, conditions, ...)
    cache.skipped, cache.evaluations

`teacache` decides by how much the embedding of the time has changed, so all branches of a step agree
(`teacache.py`, arXiv 2411.19108); `first-block` by how much the first block's output has (ParaAttention), `mag` by how
the size of the network's contribution usually changes (arXiv 2506.09045): diffusers' own hooks (`block_caches.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Literal, Protocol

from ..errors import InputError
from .denoise import Network

if TYPE_CHECKING:
    from ..models.transformer import InfiniteTalkTransformer

CacheKind = Literal["none", "teacache", "first-block", "mag"]
CACHE_KINDS: tuple[CacheKind, ...] = ("none", "teacache", "first-block", "mag")

# TeaCache's is the published default; diffusers' configurations give the other two.
DEFAULT_THRESHOLDS = {"none": 0.0, "teacache": 0.2, "first-block": 0.05, "mag": 0.06}


class StepCache(Protocol):
    """What `ChunkGenerator` needs. evaluations and skipped count over all chunks so far, one per step and branch."""

    evaluations: int
    skipped: int

    def attached(self, model: InfiniteTalkTransformer) -> AbstractContextManager[Network]:
        """Context: the network to denoise one chunk with. Nothing is remembered from the chunk before."""
        ...


class NoCache:
    """Every evaluation is computed."""

    def __init__(self) -> None:
        self.evaluations = 0
        self.skipped = 0

    @contextmanager
    def attached(self, model: InfiniteTalkTransformer) -> Iterator[Network]:
        def network(latents, timestep, conditions, *, skip_frames):
            self.evaluations += len(conditions)
            return model(latents, timestep, conditions, skip_frames=skip_frames)

        yield network


def one_by_one(network: Network) -> Network:
    """The same network, given a step's branches one after the other: less memory, nothing shared between them."""

    def apart(latents, timestep, conditions, *, skip_frames):
        return {
            branch: network(latents, timestep, {branch: condition}, skip_frames=skip_frames)[branch]
            for branch, condition in conditions.items()
        }

    return apart


def make_step_cache(kind: CacheKind, *, steps: int, size: str = "480p", threshold: float | None = None) -> StepCache:
    """The cache of one film.

    Args:
        steps: of every chunk. size: 480p or 720p, for which TeaCache's polynomial differs.
        threshold: larger skips more; None for the default of its kind. Zero skips nothing.

    Raises:
        InputError: unknown kind or negative threshold.
    """
    if kind not in CACHE_KINDS:
        raise InputError(f"The cache is {kind!r}; choose one of {', '.join(CACHE_KINDS)}.")
    threshold = DEFAULT_THRESHOLDS[kind] if threshold is None else threshold
    if threshold < 0:
        raise InputError(f"The cache's threshold is {threshold:g}; give 0 (skips nothing) or more.")
    if kind == "none" or threshold == 0:
        return NoCache()
    if kind == "teacache":
        from .teacache import TeaCache, TeaCacheConfig

        return TeaCache(TeaCacheConfig.published(size, threshold=threshold), steps)
    from .block_caches import FirstBlockCache, MagCache

    return FirstBlockCache(threshold) if kind == "first-block" else MagCache(threshold, steps)
