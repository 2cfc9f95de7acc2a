"""The distance between crowds."""

from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.evaluation.frechet import frechet_distance, measure_frechet


def crowd(seed: int, num: int = 400, size: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num, size))


def test_a_set_and_itself() -> None:
    assert frechet_distance(crowd(0), crowd(0)) == pytest.approx(0, abs=1e-6)


def test_a_shift_counts_by_its_square() -> None:
    assert frechet_distance(crowd(0), crowd(0) + 2) == pytest.approx(6 * 4)
    assert frechet_distance(crowd(0), crowd(0) + 1) == pytest.approx(6 * 1)


def test_a_wider_crowd() -> None:
    rows = crowd(1, 4000, 1)
    expected = (2 * rows.std()) ** 2 + (2 * rows.mean()) ** 2
    assert frechet_distance(rows, 3 * rows) == pytest.approx(expected, rel=0.01)


def test_sameness_reaches_the_floor_and_difference_does_not() -> None:
    true = [crowd(seed, 60, 20) for seed in range(6)]
    same = measure_frechet([crowd(10 + seed, 60, 20) for seed in range(6)], true)
    other = measure_frechet([0.3 * crowd(10 + seed, 60, 20) + 0.5 for seed in range(6)], true)
    assert (same.samples, same.true_samples, same.components) == (360, 360, 16)
    assert same.distance < 2 * same.floor
    assert other.distance > 5 * same.distance


def test_few_samples_keep_few_components() -> None:
    assert measure_frechet([crowd(0, 20, 50)], [crowd(1, 24, 50)]).components == 5
