"""Correlations, lags, closures and missing faces."""

from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.evaluation.lipsync import closed_lips, lagged_correlation, measure_lip_sync, runs


def curve(seed: int, num_frames: int = 120) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.convolve(rng.normal(size=num_frames + 4), np.ones(5) / 5, mode="valid")


@pytest.mark.parametrize("late", [-3, 0, 2])
def test_lag_is_found_with_its_sign(late: int) -> None:
    jaw = curve(0)
    found = measure_lip_sync(np.roll(jaw, late) * 0.2 + 0.1, jaw, [curve(1), curve(2)])
    assert found.lag == late
    assert found.correlation > 0.99
    assert abs(found.other_speech) <= found.other_best < 0.6
    assert found.spread == pytest.approx(0.2 * jaw.std())


def test_frames_without_a_face_are_left_out() -> None:
    jaw = curve(3)
    openness = jaw.copy()
    openness[::4] = np.nan
    found = measure_lip_sync(openness, jaw, [])
    assert found.faces == pytest.approx(0.75)
    assert found.at_zero == pytest.approx(1.0)


def test_a_mouth_that_does_not_move_correlates_with_nothing() -> None:
    assert set(lagged_correlation(np.full(50, 0.3), curve(4, 50)).values()) == {0.0}


def test_closures_are_judged_one_by_one_and_a_frame_wider() -> None:
    openness = np.full(30, 0.5)
    openness[:9] = 0.4  # so that 0.4 is about the 30th percentile
    openness[15] = 0.05
    closures = np.zeros(30, bool)
    closures[[13, 14]] = True  # the lips shut one frame late: still theirs
    closures[24] = True  # and these never shut
    assert closed_lips(openness, closures) == [True, False]


def test_closures_without_a_face_count_as_open() -> None:
    openness = curve(5, 40)
    openness[10:20] = np.nan
    closures = np.zeros(40, bool)
    closures[14:16] = True
    assert closed_lips(openness, closures) == [False]
    assert closed_lips(np.full(40, np.nan), closures) == []


def test_runs() -> None:
    assert runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert runs(np.zeros(3, bool)) == []
