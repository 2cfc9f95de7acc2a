"""Intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.evaluation.statistics import estimate, estimate_share


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        found = estimate(rng.normal(3.0, 1.0, 25), seed=trial)
        covered += found.low <= 3.0 <= found.high
    assert 0.86 <= covered / 200 <= 0.99


def test_unknown_values_are_left_out() -> None:
    found = estimate([1.0, float("nan"), 3.0])
    assert (found.value, found.samples) == (2.0, 2)
    assert np.isnan(estimate([]).value) and estimate([]).samples == 0
    assert np.isnan(estimate([4.0]).low) and estimate([4.0]).value == 4.0


def test_other_statistics() -> None:
    assert estimate([1.0, 2.0, 9.0], np.median).value == 2.0
    assert estimate([1.0, 2.0, 9.0], np.max).value == 9.0


def test_shares_count_flags_and_draw_groups() -> None:
    found = estimate_share([[True] * 3, [False], []])
    assert found.value == pytest.approx(0.75) and found.samples == 4
    assert (found.low, found.high) == (0.0, 1.0)
    assert np.isnan(estimate_share([]).value)
