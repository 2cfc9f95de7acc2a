"""Mouth shapes over time from phonemes: targets per phoneme, blended as neighbours blend in speech.

The jaw curve, 0 closed to 1 wide open, is the truth that lip-sync is measured against: 0 in silence, 0 on p, b, m,
large on open vowels.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from infinitetalk.training.synthetic.voices import SAMPLE_RATE, Utterance

# Columns of the shapes a clip stores, [T, K], each in 0..1.
SHAPES = ("jaw", "funnel", "pucker", "stretch", "tuck", "show", "press")
JAW = SHAPES.index("jaw")

# Phoneme -> jaw, funnel, pucker, stretch, tuck (lower lip under the teeth), show (lips apart from the teeth), press.
# A diphthong has two rows: where it starts and where it glides to.
_TARGETS: dict[str, tuple[tuple[float, ...], ...]] = {
    "pau": ((0.00, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),),
    "aa": ((1.00, 0.1, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "ae": ((0.90, 0.0, 0.0, 0.5, 0.0, 0.3, 0.0),),
    "ah": ((0.72, 0.0, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "ao": ((0.82, 0.6, 0.1, 0.0, 0.0, 0.0, 0.0),),
    "ax": ((0.45, 0.0, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "eh": ((0.68, 0.0, 0.0, 0.4, 0.0, 0.2, 0.0),),
    "er": ((0.42, 0.4, 0.2, 0.0, 0.0, 0.1, 0.0),),
    "ih": ((0.42, 0.0, 0.0, 0.4, 0.0, 0.2, 0.0),),
    "iy": ((0.30, 0.0, 0.0, 0.8, 0.0, 0.4, 0.0),),
    "uh": ((0.40, 0.3, 0.4, 0.0, 0.0, 0.0, 0.0),),
    "uw": ((0.30, 0.2, 0.9, 0.0, 0.0, 0.0, 0.0),),
    "aw": ((0.95, 0.1, 0.0, 0.1, 0.0, 0.1, 0.0), (0.40, 0.3, 0.7, 0.0, 0.0, 0.0, 0.0)),
    "ay": ((0.95, 0.0, 0.0, 0.2, 0.0, 0.1, 0.0), (0.38, 0.0, 0.0, 0.6, 0.0, 0.3, 0.0)),
    "ey": ((0.60, 0.0, 0.0, 0.5, 0.0, 0.3, 0.0), (0.34, 0.0, 0.0, 0.7, 0.0, 0.3, 0.0)),
    "ow": ((0.72, 0.5, 0.2, 0.0, 0.0, 0.0, 0.0), (0.38, 0.3, 0.8, 0.0, 0.0, 0.0, 0.0)),
    "oy": ((0.75, 0.6, 0.2, 0.0, 0.0, 0.0, 0.0), (0.38, 0.0, 0.0, 0.6, 0.0, 0.3, 0.0)),
    "p": ((0.00, 0.0, 0.0, 0.0, 0.0, 0.0, 0.6),),
    "b": ((0.00, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5),),
    "m": ((0.00, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4),),
    "f": ((0.12, 0.0, 0.0, 0.1, 0.9, 0.2, 0.0),),
    "v": ((0.14, 0.0, 0.0, 0.1, 0.8, 0.2, 0.0),),
    "th": ((0.26, 0.0, 0.0, 0.1, 0.0, 0.3, 0.0),),
    "dh": ((0.28, 0.0, 0.0, 0.1, 0.0, 0.2, 0.0),),
    "t": ((0.22, 0.0, 0.0, 0.2, 0.0, 0.2, 0.0),),
    "d": ((0.24, 0.0, 0.0, 0.2, 0.0, 0.2, 0.0),),
    "n": ((0.25, 0.0, 0.0, 0.2, 0.0, 0.1, 0.0),),
    "s": ((0.12, 0.0, 0.0, 0.5, 0.0, 0.5, 0.0),),
    "z": ((0.14, 0.0, 0.0, 0.4, 0.0, 0.5, 0.0),),
    "sh": ((0.18, 0.8, 0.2, 0.0, 0.0, 0.4, 0.0),),
    "zh": ((0.18, 0.8, 0.2, 0.0, 0.0, 0.4, 0.0),),
    "ch": ((0.18, 0.8, 0.2, 0.0, 0.0, 0.4, 0.0),),
    "jh": ((0.18, 0.8, 0.2, 0.0, 0.0, 0.4, 0.0),),
    "k": ((0.34, 0.0, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "g": ((0.34, 0.0, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "ng": ((0.34, 0.0, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "hh": ((0.45, 0.0, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "l": ((0.38, 0.0, 0.0, 0.1, 0.0, 0.2, 0.0),),
    "r": ((0.28, 0.5, 0.3, 0.0, 0.0, 0.1, 0.0),),
    "w": ((0.14, 0.2, 1.0, 0.0, 0.0, 0.0, 0.0),),
    "y": ((0.24, 0.0, 0.0, 0.6, 0.0, 0.3, 0.0),),
}
_LIPS_TOGETHER = ("p", "b", "m")
_VOWELS = frozenset(("aa", "ae", "ah", "ao", "aw", "ax", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw"))

_STEP_SECONDS = 0.005
_BLEND_SECONDS = 0.028  # neighbouring targets run into each other over about this time (Gaussian sigma)
_CLOSURE_BLEND_SECONDS = 0.014  # lips shut and burst open faster
_SHORTEST_CLOSURE_SECONDS = 0.055  # so that every closure is seen in at least one picture of 40 ms


def mouth_shapes(utterance: Utterance, num_frames: int, fps: float = 25.0) -> np.ndarray:
    """Mouth shapes [num_frames, K] float32 in 0..1, each at the middle of its frame; see SHAPES for the columns."""
    num_steps = int(np.ceil(num_frames / fps / _STEP_SECONDS)) + 1
    targets = np.zeros((num_steps, len(SHAPES)))
    closure = np.zeros(num_steps)
    times = (np.arange(num_steps) + 0.5) * _STEP_SECONDS
    stress = _stress(utterance, times)
    for phone in utterance.phones:
        rows = _TARGETS.get(phone.name, _TARGETS["ax"])
        first, last = np.searchsorted(times, [phone.start_seconds, phone.end_seconds])
        if last <= first:
            continue
        glide = np.linspace(0, 1, last - first)[:, None]
        start, end = np.asarray(rows[0]), np.asarray(rows[-1])
        block = start + (end - start) * np.clip(glide * 1.4 - 0.2, 0, 1)
        if phone.name in _VOWELS:
            block = block.copy()
            block[:, JAW] *= stress[first:last]
        targets[first:last] = block
        if phone.name in _LIPS_TOGETHER:
            middle = (phone.start_seconds + phone.end_seconds) / 2
            half = max(phone.end_seconds - phone.start_seconds, _SHORTEST_CLOSURE_SECONDS) / 2
            closure[(times > middle - half) & (times < middle + half)] = 1
    shapes = gaussian_filter1d(targets, _BLEND_SECONDS / _STEP_SECONDS, axis=0, mode="nearest")
    shut = gaussian_filter1d(closure, _CLOSURE_BLEND_SECONDS / _STEP_SECONDS, mode="nearest")
    shut = np.clip(shut * 1.25, 0, 1)
    for name in ("jaw", "tuck", "show"):
        shapes[:, SHAPES.index(name)] *= 1 - shut
    shapes[:, JAW] *= _sounding(utterance, times)
    frame_times = (np.arange(num_frames) + 0.5) / fps
    sampled = np.stack([np.interp(frame_times, times, column) for column in shapes.T], 1)
    return np.clip(sampled, 0, 1).astype(np.float32)


def _envelope(utterance: Utterance, times: np.ndarray, width_seconds: float) -> np.ndarray:
    """Sound power around each time."""
    power = utterance.signal.astype(np.float64) ** 2
    power = gaussian_filter1d(power, width_seconds * SAMPLE_RATE / 2, mode="constant")
    return np.interp(times, np.arange(len(power)) / SAMPLE_RATE, power, right=0.0)


def _stress(utterance: Utterance, times: np.ndarray) -> np.ndarray:
    """Louder vowels open wider: a factor of 0.75 to 1.1 from the level relative to the utterance's loud parts."""
    level = 10 * np.log10(_envelope(utterance, times, 0.12) + 1e-9)
    loud = np.percentile(level, 90)
    return np.interp(level - loud, [-15, 3], [0.75, 1.1])


def _sounding(utterance: Utterance, times: np.ndarray) -> np.ndarray:
    """1 where there is sound within about 60 ms, 0 in silence, with a soft border."""
    level = 10 * np.log10(_envelope(utterance, times, 0.06) + 1e-9)
    loud = np.percentile(level, 90)
    return np.clip((level - loud + 45) / 12, 0, 1)


def face_weights(shapes: np.ndarray, jaw_reach: float) -> dict[str, float]:
    """Strengths of the face actions (`heads.ACTIONS`) for one frame's shapes [K]; `jaw_reach` is full opening."""
    jaw, funnel, pucker, stretch, tuck, show, press = (float(x) for x in shapes)
    return {
        "jawOpen": jaw_reach * jaw,
        "mouthFunnel": 0.75 * funnel,
        "mouthPucker": 0.8 * pucker,
        "mouthStretch": 0.45 * stretch,
        "mouthRollLower": 0.7 * tuck,
        "mouthUpperUp": 0.30 * show,
        "mouthLowerDown": 0.30 * show,
        "mouthPress": 0.6 * press,
    }
