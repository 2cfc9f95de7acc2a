"""Where the phonemes of a sentence are in one voice's sound, known from another voice that said the same sentence.

Some synthesizers do not tell when they say what. espeak-ng does, in every language; its sound and theirs are laid over
each other by dynamic time warping of their spectra, and its phoneme times are carried across.
"""

from __future__ import annotations

import functools

import numpy as np

from .phones import SAMPLE_RATE, Phone, Utterance

HOP_SECONDS = 0.01
_WINDOW = 400  # samples, 25 ms
_NUM_BANDS = 30
_SLOPE_COST = 0.3  # keeps the path from waiting in one place
_QUIET_DB = -38.0
_LONGEST_SECONDS = 0.4  # what the path left to one phoneme beyond this is not that phoneme


def carried_phones(signal: np.ndarray, references: list[Utterance]) -> tuple[Phone, ...]:
    """The phonemes of the reference most like `signal` (16 kHz) at the times where the signal says them.

    The references are the same sentence in other voices. "pau" where the signal is quiet.
    """
    ours = _features(signal)
    warped = [_warp(_features(reference.signal), ours) for reference in references]
    best = min(range(len(warped)), key=lambda index: warped[index][1])
    path, reference = warped[best][0], references[best]
    borders = (np.arange(len(path)) + 0.5) * HOP_SECONDS
    total = len(signal) / SAMPLE_RATE
    phones: list[Phone] = []
    for phone in reference.phones:
        start, end = np.interp(
            [phone.start_seconds, phone.end_seconds], borders, (path + 0.5) * HOP_SECONDS, left=0.0, right=total
        )
        if end - start > 0.005:
            phones.append(Phone(phone.name, float(start), float(end)))
    return tuple(_without_silence(phones, signal))


def _without_silence(phones: list[Phone], signal: np.ndarray) -> list[Phone]:
    """Phonemes cut where a pause of the signal has been given to them."""
    hop = SAMPLE_RATE // 100
    count = max(1, len(signal) // hop)
    power = np.convolve(np.square(signal[: count * hop]).reshape(count, -1).mean(1), np.ones(3) / 3, mode="same")
    level = 10 * np.log10(power + 1e-10)
    quiet = level < np.percentile(level, 92) + _QUIET_DB
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(int)))
    pauses = [(a / 100, b / 100) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= 14]
    kept: list[Phone] = []
    for phone in phones:
        start, end = phone.start_seconds, phone.end_seconds
        for pause_start, pause_end in pauses:
            if pause_start <= start and end <= pause_end:
                start = end
            elif pause_start <= start < pause_end:
                start = pause_end
            elif pause_start < end <= pause_end:
                end = pause_start
        end = min(end, start + _LONGEST_SECONDS)
        if end - start > 0.005 and phone.name != "pau":
            kept.append(Phone(phone.name, start, end))
    kept += [Phone("pau", a, b) for a, b in pauses]
    return sorted(kept, key=lambda p: p.start_seconds)


@functools.cache
def _bank() -> np.ndarray:
    """Triangles on the mel scale [bands, bins]."""
    bins = np.fft.rfftfreq(512, 1 / SAMPLE_RATE)
    mel = lambda hz: 2595 * np.log10(1 + hz / 700)  # noqa: E731
    edges = 700 * (10 ** (np.linspace(mel(80), mel(7600), _NUM_BANDS + 2) / 2595) - 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0, None)


def _features(signal: np.ndarray) -> np.ndarray:
    """[frames, channels]: mel cepstra and their slopes, each channel at unit spread."""
    from scipy.fft import dct

    hop = int(HOP_SECONDS * SAMPLE_RATE)
    padded = np.pad(signal.astype(np.float64), _WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::hop]
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW), 512)) ** 2 @ _bank().T
    loud = np.log(np.maximum(power, np.percentile(power, 98) * 1e-5))
    cepstra = dct(loud, axis=1, norm="ortho")[:, :13]
    slopes = np.gradient(cepstra, axis=0)
    both = np.concatenate([cepstra, 2 * slopes], axis=1)
    weights = np.concatenate([[1.6], np.ones(12), np.full(13, 0.6)])  # loudness tells most
    return (both - both.mean(0)) / (both.std(0) + 1e-6) * weights


def _warp(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """For each row of `a` the mean index of the rows of `b` that the cheapest path pairs with it; the mean cost."""
    distance = np.sqrt(np.maximum(0, (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T))
    rows, columns = distance.shape
    cost = np.full((rows + 1, columns + 1), np.inf)
    cost[0, 0] = 0
    move = np.zeros((rows + 1, columns + 1), np.uint8)
    for diagonal in range(2, rows + columns + 1):
        i = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        j = diagonal - i
        options = np.stack([cost[i - 1, j - 1], cost[i - 1, j] + _SLOPE_COST, cost[i, j - 1] + _SLOPE_COST])
        best = options.argmin(0)
        cost[i, j] = options[best, np.arange(len(i))] + distance[i - 1, j - 1]
        move[i, j] = best
    sums, counts = np.zeros(rows), np.zeros(rows)
    i, j = rows, columns
    while i > 0 and j > 0:
        sums[i - 1] += j - 1
        counts[i - 1] += 1
        step = move[i, j]
        i, j = i - (step != 2), j - (step != 1)
    return sums / np.maximum(counts, 1), float(cost[rows, columns] / (rows + columns))
