"""Correlations, lags and missing faces."""

from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.evaluation.lipsync import lagged_correlation, measure_lip_sync, mouth_openness


def curve(seed: int, num_frames: int = 120) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.convolve(rng.normal(size=num_frames + 4), np.ones(5) / 5, mode="valid")


@pytest.mark.parametrize("late", [-3, 0, 2])
def test_lag_is_found_with_its_sign(late: int) -> None:
    jaw = curve(0)
    found = measure_lip_sync(np.roll(jaw, late) * 0.2 + 0.1, jaw, [curve(1), curve(2)])
    assert found.lag == late
    assert found.correlation > 0.99
    assert found.other_speech < 0.6
    assert found.amplitude == pytest.approx(0.2 * jaw.std())


def test_frames_without_a_face_are_left_out() -> None:
    jaw = curve(3)
    openness = jaw.copy()
    openness[::4] = np.nan
    found = measure_lip_sync(openness, jaw, [])
    assert found.faces == pytest.approx(0.75)
    assert found.at_zero == pytest.approx(1.0)


def test_a_mouth_that_does_not_move_correlates_with_nothing() -> None:
    assert set(lagged_correlation(np.full(50, 0.3), curve(4, 50)).values()) == {0.0}


def test_no_face_in_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    assert np.isnan(mouth_openness(noise)).all()
