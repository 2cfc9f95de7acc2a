"""Loudness after ITU-R BS.1770-4, and the gain that brings speech to -23 LUFS (official `loudness_norm`).

The measure equals pyloudnorm's `Meter`, whose filters it uses, but reads the sound piece by piece: memory does not grow
with length. Two cases have no loudness, and their sound stays as it is:

* shorter than one 0.4 s gating block (the official code fails there);
* nothing above the -70 LUFS gate: digital silence, or noise far below anything audible.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from pyloudnorm import IIRfilter
from scipy.signal import lfilter

SAMPLE_RATE = 16_000
TARGET_LUFS = -23.0
BLOCK_SECONDS = 0.4
BLOCK_OVERLAP = 0.75
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
_LARGEST_LUFS = 100.0  # beyond this the official code takes a measurement for meaningless
_SAMPLES_PER_READ = 1 << 17  # 8 seconds at 16 kHz

# Samples [start, stop) of a mono soundtrack.
SampleReader = Callable[[int, int], np.ndarray]


def measure_loudness(read: SampleReader, num_samples: int, sample_rate: int = SAMPLE_RATE) -> float:
    """Integrated loudness in LUFS of a mono soundtrack; -inf where it has none (see the module's text)."""
    if num_samples < BLOCK_SECONDS * sample_rate:
        return -math.inf
    power = np.fromiter(_block_powers(read, num_samples, sample_rate), dtype=np.float64)
    loudness = _lufs(power)
    audible = loudness >= ABSOLUTE_GATE_LUFS
    if not audible.any():
        return -math.inf
    relative_gate = _lufs(power[audible].mean()) + RELATIVE_GATE_LU
    counted = power[(loudness > relative_gate) & (loudness > ABSOLUTE_GATE_LUFS)]
    return float(_lufs(counted.mean())) if counted.size else -math.inf


def loudness_gain(loudness_lufs: float, target_lufs: float = TARGET_LUFS) -> float:
    """The factor that brings sound of this loudness to the target; 1 where it has no loudness."""
    if not math.isfinite(loudness_lufs) or abs(loudness_lufs) > _LARGEST_LUFS:
        return 1.0
    return 10.0 ** ((target_lufs - loudness_lufs) / 20.0)


def normalize_loudness(
    samples: np.ndarray, sample_rate: int = SAMPLE_RATE, target_lufs: float = TARGET_LUFS
) -> np.ndarray:
    """Mono samples [S] at the target loudness, without limiter; the same object where they have no loudness."""
    loudness = measure_loudness(lambda start, stop: samples[start:stop], samples.shape[0], sample_rate)
    gain = loudness_gain(loudness, target_lufs)
    return samples if gain == 1.0 else samples * np.asarray(gain, dtype=samples.dtype)


def with_gain(read: SampleReader, gain: float) -> SampleReader:
    """The same soundtrack, louder or softer, as float32."""
    return lambda start, stop: np.asarray(read(start, stop), dtype=np.float32) * np.float32(gain)


def _lufs(power: np.ndarray | float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return -0.691 + 10.0 * np.log10(power)


def _block_powers(read: SampleReader, num_samples: int, sample_rate: int) -> Iterator[float]:
    """Mean square of the K-weighted signal in every gating block (400 ms, one each 100 ms)."""
    step = 1.0 - BLOCK_OVERLAP
    seconds = num_samples / sample_rate
    num_blocks = int(np.round((seconds - BLOCK_SECONDS) / (BLOCK_SECONDS * step)) + 1)
    stages = _k_weighting(sample_rate)
    states = [np.zeros(2) for _ in stages]
    squares = np.empty(0)  # of samples [offset, read_until)
    offset = read_until = 0
    for block in range(num_blocks):
        # The same products in the same order as the standard's formula is usually coded: truncation depends on it.
        lower = int(BLOCK_SECONDS * (block * step) * sample_rate)
        upper = min(int(BLOCK_SECONDS * (block * step + 1) * sample_rate), num_samples)
        while read_until < upper:
            stop = min(read_until + _SAMPLES_PER_READ, num_samples)
            signal = np.asarray(read(read_until, stop), dtype=np.float64)
            for index, (numerator, denominator) in enumerate(stages):
                signal, states[index] = lfilter(numerator, denominator, signal, zi=states[index])
            squares = np.concatenate([squares[lower - offset :], np.square(signal)])
            offset, read_until = lower, stop
        yield squares[lower - offset : upper - offset].sum() / (BLOCK_SECONDS * sample_rate)


def _k_weighting(sample_rate: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two filters of BS.1770 as numerator and denominator: a high shelf (the head) and a high pass (the ear)."""
    shelf = IIRfilter(4.0, 1.0 / math.sqrt(2.0), 1500.0, sample_rate, "high_shelf")
    high_pass = IIRfilter(0.0, 0.5, 38.0, sample_rate, "high_pass")
    return [(stage.b, stage.a) for stage in (shelf, high_pass)]
