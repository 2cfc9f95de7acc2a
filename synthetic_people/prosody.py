"""Loudness, melody, accents and pauses of speech, from its sound alone.

What a head does beside talking (nods, brows, blinks) is made to follow from these curves, so that a network that hears
the sound can learn it. Nothing here is random, and nothing needs phonemes: recordings serve as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from .phones import SAMPLE_RATE, Utterance

_RATE = 100  # curves are made at this many values a second
_QUIET_DB = -32.0  # below the loud parts by this much: a pause
_SHORTEST_PAUSE_SECONDS = 0.18
_ACCENT_DISTANCE_SECONDS = 0.45
_PITCH_RANGE_HZ = (70.0, 400.0)
_PITCH_WINDOW = 800  # samples, 50 ms


@dataclass(frozen=True)
class Prosody:
    """Curves [num_frames] float32, each at the middle of its frame, and the events behind them.

    energy: loudness of syllables, 0 silence to 1 the loud ones. emphasis: the same over words and phrases (slow).
    pitch: octaves above the median of the voiced parts, -1..1, smooth, 0 where nothing is voiced.
    accents: 0..1, a bump of about 0.3 s on every accented syllable, as high as its strength.
    pauses: 0..1, a bump of about 0.2 s where a pause begins. speaking: 1 in speech, 0 in pauses, soft borders.
    accent_seconds, accent_strengths: the peaks of the accents. pause_seconds: where pauses of 0.18 s and more begin.
    """

    energy: np.ndarray
    emphasis: np.ndarray
    pitch: np.ndarray
    accents: np.ndarray
    pauses: np.ndarray
    speaking: np.ndarray
    accent_seconds: tuple[float, ...]
    accent_strengths: tuple[float, ...]
    pause_seconds: tuple[float, ...]


def prosody(utterance: Utterance, num_frames: int, fps: float = 25.0) -> Prosody:
    """The prosody of a track (only its sound is used) over `num_frames` frames."""
    level = _level(utterance.signal, num_frames / fps)
    times = (np.arange(len(level)) + 0.5) / _RATE
    loudness = np.clip((level + 30) / 30, 0, 1.15)
    energy = gaussian_filter1d(loudness, 0.05 * _RATE)
    emphasis = gaussian_filter1d(energy, 0.30 * _RATE)
    pitch = _pitch(utterance.signal, len(level), loudness)
    speaking = _speaking(level)

    # An accent is louder and higher than what surrounds it.
    score = gaussian_filter1d(loudness, 0.08 * _RATE) + 0.8 * np.maximum(0, gaussian_filter1d(pitch, 0.08 * _RATE))
    score = score - gaussian_filter1d(score, 0.9 * _RATE)
    peaks, found = find_peaks(
        np.maximum(score, 0), height=0.06, distance=int(_ACCENT_DISTANCE_SECONDS * _RATE), prominence=0.05
    )
    strengths = np.clip(found["peak_heights"] / 0.45, 0.2, 1.0)
    starts = np.flatnonzero(np.diff(speaking) < 0) + 1
    soft_speaking = gaussian_filter1d(speaking, 0.04 * _RATE)

    frame_times = (np.arange(num_frames) + 0.5) / fps
    curves = [np.interp(frame_times, times, curve) for curve in (energy, emphasis, pitch, soft_speaking)]
    energy, emphasis, pitch, soft_speaking = (curve.astype(np.float32) for curve in curves)
    return Prosody(
        energy=np.clip(energy, 0, 1),
        emphasis=np.clip(emphasis, 0, 1),
        pitch=pitch,
        accents=_bumps(frame_times, times[peaks], strengths, 0.11),
        pauses=_bumps(frame_times, times[starts], np.ones(len(starts)), 0.07),
        speaking=soft_speaking,
        accent_seconds=tuple(float(t) for t in times[peaks]),
        accent_strengths=tuple(float(s) for s in strengths),
        pause_seconds=tuple(float(t) for t in times[starts]),
    )


def _level(signal: np.ndarray, seconds: float) -> np.ndarray:
    """Level in dB relative to the track's loud parts, 100 values a second."""
    hop = SAMPLE_RATE // _RATE
    count = max(2, int(np.ceil(seconds * _RATE)))
    samples = np.zeros(count * hop)
    samples[: min(len(signal), len(samples))] = signal[: len(samples)]
    power = gaussian_filter1d(np.square(samples).reshape(count, hop).mean(1), 1.5)
    level = 10 * np.log10(power + 1e-9)
    # A track without speech has no loud parts: nothing below -55 dB full scale counts as loud.
    return level - max(float(np.percentile(level, 92)), -55.0)


def _speaking(level: np.ndarray) -> np.ndarray:
    """1 in speech, 0 in pauses long enough to count."""
    speaking = (level > _QUIET_DB).astype(float)
    edges = np.flatnonzero(np.diff(np.concatenate([[1.0], speaking, [1.0]])))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):  # padded with speech: as many ends as starts
        if stop - start < _SHORTEST_PAUSE_SECONDS * _RATE:
            speaking[start:stop] = 1
    return speaking


def _pitch(signal: np.ndarray, count: int, loudness: np.ndarray) -> np.ndarray:
    """Octaves from the median of the voiced parts, [count], smooth, -1..1; by the autocorrelation of 50 ms windows."""
    hop = SAMPLE_RATE // _RATE
    half = _PITCH_WINDOW // 2
    padded = np.zeros(count * hop + _PITCH_WINDOW)
    length = min(len(signal), count * hop)
    padded[half : half + length] = signal[:length]
    windows = np.lib.stride_tricks.sliding_window_view(padded, _PITCH_WINDOW)[::hop][:count]
    spectrum = np.fft.rfft(windows * np.hanning(_PITCH_WINDOW), 2 * _PITCH_WINDOW)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:, :_PITCH_WINDOW]
    first, last = (int(SAMPLE_RATE / hz) for hz in reversed(_PITCH_RANGE_HZ))
    # The window's own correlation fades with the lag; without undoing that high octaves would win.
    taper = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(_PITCH_WINDOW), 2 * _PITCH_WINDOW)) ** 2)[:_PITCH_WINDOW]
    strength = correlation[:, first:last] / (correlation[:, :1] + 1e-9) / (taper[first:last] / taper[0])
    # A multiple of the period fits as well as the period itself: the shorter one is meant.
    best = (strength - 0.12 * np.log2(np.arange(first, last) / first)).argmax(1)
    voiced = (strength.max(1) > 0.5) & (loudness > 0.25)
    if voiced.sum() < 5:
        return np.zeros(count)
    octaves = -np.log2(best + first)
    octaves = np.clip(octaves - np.median(octaves[voiced]), -1, 1) * voiced
    # Octave slips are outliers: they are left out, and gaps are bridged by the smoothing.
    kept = voiced & (np.abs(octaves) < 0.75)
    weight = gaussian_filter1d(kept.astype(float), 0.05 * _RATE)
    return gaussian_filter1d(octaves * kept, 0.05 * _RATE) / np.maximum(weight, 0.3)


def _bumps(times: np.ndarray, centers: np.ndarray, heights: np.ndarray, sigma_seconds: float) -> np.ndarray:
    curve = np.zeros(len(times))
    for center, height in zip(centers, heights, strict=True):
        curve = np.maximum(curve, height * np.exp(-0.5 * ((times - center) / sigma_seconds) ** 2))
    return curve.astype(np.float32)
