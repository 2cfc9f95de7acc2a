"""Means with the uncertainty that few clips leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """value: over all samples. low, high: of its 95 % bootstrap interval, NaN with fewer than two samples."""

    value: float
    low: float
    high: float
    samples: int


def estimate(values: Sequence[float], statistic=np.mean, seed: int = 0) -> Estimate:
    """`statistic` (of an array along its last axis) over `values`; unknown (NaN) ones are left out.

    The interval is the percentile bootstrap's (Efron 1979): the values, drawn anew with replacement, 2,000 times.
    """
    known = np.asarray([value for value in values if np.isfinite(value)], float)
    if len(known) == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value = float(statistic(known))
    if len(known) == 1:
        return Estimate(value, float("nan"), float("nan"), 1)
    drawn = np.random.default_rng(seed).choice(known, (RESAMPLES, len(known)))
    low, high = np.percentile(statistic(drawn, axis=-1), [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Estimate(value, float(low), float(high), len(known))


def estimate_share(groups: Sequence[Sequence[bool]], seed: int = 0) -> Estimate:
    """Share of true flags over all groups; whole groups (clips) are drawn, because their flags go together."""
    counts = np.array([(sum(group), len(group)) for group in groups if len(group)], float).reshape(-1, 2)
    if len(counts) == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value = float(counts[:, 0].sum() / counts[:, 1].sum())
    if len(counts) == 1:
        return Estimate(value, float("nan"), float("nan"), int(counts[0, 1]))
    rng = np.random.default_rng(seed)
    drawn = counts[rng.integers(len(counts), size=(RESAMPLES, len(counts)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Estimate(value, float(low), float(high), int(counts[:, 1].sum()))
