from __future__ import annotations

import math

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infinitetalk.audio import loudness
from infinitetalk.audio.loudness import loudness_gain, measure_loudness, normalize_loudness, with_gain


def speech_like(num_samples: int, seed: int, rate: int = 16_000) -> np.ndarray:
    """Noise whose loudness comes and goes, with pauses."""
    random = np.random.default_rng(seed)
    time = np.arange(num_samples) / rate
    envelope = np.maximum(0.0, np.sin(2 * np.pi * 0.7 * time + random.uniform(0, 6)))
    return (0.2 * envelope * random.standard_normal(num_samples)).astype(np.float32)


def reader(samples: np.ndarray):
    return lambda start, stop: samples[start:stop]


@settings(deadline=None, max_examples=25)
@given(
    num_samples=st.integers(6_400, 160_000),
    seed=st.integers(0, 99),
    rate=st.sampled_from([16_000, 44_100, 48_000]),
    samples_per_read=st.sampled_from([997, 6_400, 50_000, 1 << 17]),
)
def test_equals_pyloudnorm_however_it_is_read(num_samples: int, seed: int, rate: int, samples_per_read: int) -> None:
    num_samples = max(num_samples, math.ceil(0.4 * rate))
    samples = speech_like(num_samples, seed, rate)
    expected = pyloudnorm.Meter(rate).integrated_loudness(samples.astype(np.float64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loudness, "_SAMPLES_PER_READ", samples_per_read)
        measured = measure_loudness(reader(samples), num_samples, rate)
    assert measured == pytest.approx(expected, abs=1e-6)


def test_long_sound_is_read_in_pieces() -> None:
    num_samples = 20 * 60 * 16_000
    largest = 0

    def read(start: int, stop: int) -> np.ndarray:
        nonlocal largest
        largest = max(largest, stop - start)
        return np.sin(np.arange(start, stop) * 0.2).astype(np.float32) * 0.1

    assert math.isfinite(measure_loudness(read, num_samples))
    assert largest <= loudness._SAMPLES_PER_READ


def test_normalised_sound_measures_the_target() -> None:
    samples = speech_like(80_000, 3)
    normalised = normalize_loudness(samples)
    assert normalised.dtype == np.float32
    assert measure_loudness(reader(normalised), 80_000) == pytest.approx(-23.0, abs=1e-3)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.zeros(16_000, np.float32),
        speech_like(6_399, 1),
        speech_like(16_000, 1) * np.float32(1e-5),
    ],
    ids=["nothing", "silence", "shorter than 0.4 s", "below the gate"],
)
def test_sound_without_loudness_stays_as_it_is(samples: np.ndarray) -> None:
    assert measure_loudness(reader(samples), samples.shape[0]) == -math.inf
    assert normalize_loudness(samples) is samples


def test_gain_is_one_for_no_loudness_and_exact_otherwise() -> None:
    assert loudness_gain(-math.inf) == 1.0
    assert loudness_gain(math.nan) == 1.0
    assert loudness_gain(-43.0) == pytest.approx(10.0)
    louder = with_gain(reader(np.ones(10, np.float32)), loudness_gain(-43.0))(2, 5)
    np.testing.assert_allclose(louder, [10, 10, 10], rtol=1e-6)
