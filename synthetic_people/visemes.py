"""Mouth shapes over time from phonemes and sound.

Every phoneme pulls each shape towards a target of its own, with a strength and a reach of its own, and the shapes are
the mean of all pulls (dominance functions: M. Cohen and D. Massaro, "Modeling coarticulation in synthetic visual
speech", 1993). So a "t" between round vowels is spoken with round lips and a "t" between spread ones with spread lips,
short vowels do not open all the way, and rounding begins before its sound. Loud and long vowels open wide, quiet and
short ones little.

Lips that touch are no matter of means: on p, b, m they are shut, on f, v the lower lip reaches the teeth, each for long
enough to be seen in a picture of 25 a second. In pauses the lips return to rest, closed.

The jaw curve, 0 closed to 1 wide open, is the truth that lip-sync is measured against.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from .phones import LIP_ON_TEETH, LIPS_TOGETHER, SAMPLE_RATE, VOWELS, Phone, Utterance

# Columns of the shapes a clip stores, [T, K], each in 0..1.
SHAPES = ("jaw", "funnel", "pucker", "stretch", "tuck", "show", "press")
JAW = SHAPES.index("jaw")
TUCK = SHAPES.index("tuck")
PRESS = SHAPES.index("press")

# Phoneme -> jaw, funnel, pucker, stretch, tuck (lower lip under the teeth), show (lips apart from the teeth), press.
# A diphthong has two rows: where it starts and where it glides to.
_TARGETS: dict[str, tuple[tuple[float, ...], ...]] = {
    "pau": ((0.00, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),),
    "aa": ((1.06, 0.1, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "ae": ((1.00, 0.0, 0.0, 0.6, 0.0, 0.3, 0.0),),
    "ah": ((0.80, 0.0, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "ao": ((0.92, 0.7, 0.1, 0.0, 0.0, 0.0, 0.0),),
    "ax": ((0.45, 0.0, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "eh": ((0.76, 0.0, 0.0, 0.5, 0.0, 0.2, 0.0),),
    "er": ((0.44, 0.5, 0.2, 0.0, 0.0, 0.1, 0.0),),
    "ih": ((0.44, 0.0, 0.0, 0.5, 0.0, 0.2, 0.0),),
    "ix": ((0.36, 0.0, 0.0, 0.5, 0.0, 0.2, 0.0),),
    "iy": ((0.30, 0.0, 0.0, 1.0, 0.0, 0.4, 0.0),),
    "uh": ((0.42, 0.3, 0.5, 0.0, 0.0, 0.0, 0.0),),
    "uw": ((0.30, 0.2, 1.0, 0.0, 0.0, 0.0, 0.0),),
    "ue": ((0.28, 0.3, 1.0, 0.0, 0.0, 0.0, 0.0),),
    "oe": ((0.50, 0.6, 0.6, 0.0, 0.0, 0.0, 0.0),),
    "aw": ((1.05, 0.1, 0.0, 0.1, 0.0, 0.1, 0.0), (0.40, 0.3, 0.8, 0.0, 0.0, 0.0, 0.0)),
    "ay": ((1.05, 0.0, 0.0, 0.2, 0.0, 0.1, 0.0), (0.36, 0.0, 0.0, 0.8, 0.0, 0.3, 0.0)),
    "ey": ((0.66, 0.0, 0.0, 0.6, 0.0, 0.3, 0.0), (0.36, 0.0, 0.0, 0.9, 0.0, 0.3, 0.0)),
    "ow": ((0.76, 0.6, 0.3, 0.0, 0.0, 0.0, 0.0), (0.36, 0.3, 0.9, 0.0, 0.0, 0.0, 0.0)),
    "oy": ((0.80, 0.7, 0.2, 0.0, 0.0, 0.0, 0.0), (0.36, 0.0, 0.0, 0.8, 0.0, 0.3, 0.0)),
    "p": ((0.10, 0.0, 0.0, 0.0, 0.0, 0.0, 0.8),),
    "b": ((0.12, 0.0, 0.0, 0.0, 0.0, 0.0, 0.6),),
    "m": ((0.12, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4),),
    "bh": ((0.14, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0),),
    "f": ((0.12, 0.0, 0.0, 0.1, 0.9, 0.2, 0.0),),
    "v": ((0.14, 0.0, 0.0, 0.1, 0.8, 0.2, 0.0),),
    "th": ((0.24, 0.0, 0.0, 0.1, 0.0, 0.3, 0.0),),
    "dh": ((0.26, 0.0, 0.0, 0.1, 0.0, 0.2, 0.0),),
    "t": ((0.18, 0.0, 0.0, 0.2, 0.0, 0.2, 0.0),),
    "d": ((0.20, 0.0, 0.0, 0.2, 0.0, 0.2, 0.0),),
    "n": ((0.22, 0.0, 0.0, 0.2, 0.0, 0.1, 0.0),),
    "s": ((0.08, 0.0, 0.0, 0.5, 0.0, 0.6, 0.0),),
    "z": ((0.10, 0.0, 0.0, 0.4, 0.0, 0.6, 0.0),),
    "sh": ((0.14, 1.0, 0.3, 0.0, 0.0, 0.5, 0.0),),
    "zh": ((0.14, 1.0, 0.3, 0.0, 0.0, 0.5, 0.0),),
    "ch": ((0.14, 0.9, 0.3, 0.0, 0.0, 0.5, 0.0),),
    "jh": ((0.14, 0.9, 0.3, 0.0, 0.0, 0.5, 0.0),),
    "k": ((0.32, 0.0, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "g": ((0.32, 0.0, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "ng": ((0.32, 0.0, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "hh": ((0.45, 0.0, 0.0, 0.1, 0.0, 0.1, 0.0),),
    "l": ((0.36, 0.0, 0.0, 0.1, 0.0, 0.2, 0.0),),
    "r": ((0.26, 0.6, 0.3, 0.0, 0.0, 0.1, 0.0),),
    "w": ((0.14, 0.2, 1.1, 0.0, 0.0, 0.0, 0.0),),
    "y": ((0.24, 0.0, 0.0, 0.8, 0.0, 0.3, 0.0),),
}
# How strongly a phoneme insists on its jaw and on the width of its lips (funnel, pucker, stretch).  What the tongue
# does alone leaves the lips to the neighbours; teeth nearly shut (s, sh) are a must, an open jaw on "k" is not.
_STRENGTH: dict[str, tuple[float, float]] = {
    "pau": (1.2, 0.8),
    "p": (0.5, 0.2), "b": (0.5, 0.2), "m": (0.5, 0.2), "bh": (1.2, 0.4), "f": (1.2, 0.5), "v": (1.2, 0.5),
    "s": (1.5, 0.4), "z": (1.5, 0.4), "sh": (1.5, 1.3), "zh": (1.5, 1.3), "ch": (1.5, 1.2), "jh": (1.5, 1.2),
    "th": (0.9, 0.3), "dh": (0.7, 0.3), "t": (0.8, 0.15), "d": (0.8, 0.15), "n": (0.7, 0.15), "l": (0.5, 0.2),
    "k": (0.4, 0.15), "g": (0.4, 0.15), "ng": (0.5, 0.15), "hh": (0.2, 0.1), "r": (0.7, 0.8), "w": (1.2, 1.6),
    "y": (0.7, 0.8), "ax": (0.6, 0.4), "uw": (1.0, 1.4), "ue": (1.0, 1.4), "ow": (1.0, 1.2), "ao": (1.1, 1.1),
}  # fmt: skip
_USUAL_STRENGTH = (1.0, 1.0)

_STEP_SECONDS = 0.005
# How far outside its own time a phoneme pulls: the jaw is quick, rounding comes early and leaves late.
_JAW_REACH_SECONDS = (0.050, 0.045)  # before, after
_LIPS_REACH_SECONDS = (0.090, 0.060)
_SHOW_REACH_SECONDS = (0.050, 0.050)
_NEIGHBOURHOOD_SECONDS = 0.4  # beyond this no pull is left
_SMOOTH_SECONDS = 0.015  # a jaw has mass
_CONTACT_SECONDS = 0.046  # lips stay shut, or on the teeth, at least this long: one picture of 40 ms sees it
_CLOSING_SECONDS, _OPENING_SECONDS = 0.055, 0.050
# p and b end in a burst and breath, with the lips open again.
_SHUT_PART = {"p": 0.62, "b": 0.75, "m": 0.9, "f": 0.8, "v": 0.8}
_REST_SECONDS = 0.12  # in a pause at least this long the lips meet


def mouth_shapes(utterance: Utterance, num_frames: int, fps: float = 25.0) -> np.ndarray:
    """Mouth shapes [num_frames, K] float32 in 0..1, each at the middle of its frame; see SHAPES for the columns."""
    times = _times(num_frames, fps)
    phones = _with_pauses(utterance.phones, times[-1])
    shapes = _blended(phones, _openings(utterance, phones), times)
    shapes = gaussian_filter1d(shapes, _SMOOTH_SECONDS / _STEP_SECONDS, axis=0, mode="nearest")
    # The strengths above blur what must be exact: contacts, and rest in silence.
    teeth = _contact(phones, LIP_ON_TEETH, times)
    shapes[:, TUCK] = np.maximum(shapes[:, TUCK] * 0.3, 0.85 * teeth)
    shapes[:, JAW] += (np.minimum(shapes[:, JAW], 0.14) - shapes[:, JAW]) * teeth
    shut = _contact(phones, LIPS_TOGETHER, times)
    for column in (JAW, TUCK, SHAPES.index("show")):
        shapes[:, column] *= 1 - shut
    shapes[:, PRESS] *= shut
    shapes[:, JAW] *= np.minimum(_sounding(utterance, times), 1 - _rest(phones, times))
    frame_times = (np.arange(num_frames) + 0.5) / fps
    sampled = np.stack([np.interp(frame_times, times, column) for column in shapes.T], 1)
    return np.clip(sampled, 0, 1).astype(np.float32)


def closures(utterance: Utterance, num_frames: int, fps: float = 25.0) -> np.ndarray:
    """Whether the lips are shut by a p, b or m at the middle of each frame, bool [num_frames]."""
    times = (np.arange(num_frames) + 0.5) / fps
    return _contact(utterance.phones, LIPS_TOGETHER, times) > 0.98


def _times(num_frames: int, fps: float) -> np.ndarray:
    num_steps = int(np.ceil(num_frames / fps / _STEP_SECONDS)) + 1
    return (np.arange(num_steps) + 0.5) * _STEP_SECONDS


def _with_pauses(phones: tuple[Phone, ...], until_seconds: float) -> list[Phone]:
    """The phonemes with silence where none is named."""
    filled: list[Phone] = []
    end = 0.0
    for phone in sorted(phones, key=lambda p: p.start_seconds):
        if phone.start_seconds - end > 0.02:
            filled.append(Phone("pau", end, phone.start_seconds))
        if phone.end_seconds > phone.start_seconds:
            filled.append(phone)
        end = max(end, phone.end_seconds)
    if until_seconds - end > 0.02:
        filled.append(Phone("pau", end, until_seconds))
    return filled


def _blended(phones: list[Phone], openings: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The mean of all pulls, [steps, K]."""
    totals = np.full((len(times), len(SHAPES)), 1e-6)
    sums = np.zeros((len(times), len(SHAPES)))
    reaches = np.asarray(
        [_JAW_REACH_SECONDS, *[_LIPS_REACH_SECONDS] * 3, *[_SHOW_REACH_SECONDS] * 3]
    )  # [K, before and after]
    for phone, opening in zip(phones, openings, strict=True):
        rows = np.asarray(_TARGETS.get(phone.name, _TARGETS["ax"]))
        first, last = np.searchsorted(
            times, [phone.start_seconds - _NEIGHBOURHOOD_SECONDS, phone.end_seconds + _NEIGHBOURHOOD_SECONDS]
        )
        if last <= first:
            continue
        here = times[first:last, None]
        seconds = phone.end_seconds - phone.start_seconds
        glide = np.clip(((here - phone.start_seconds) / seconds) * 1.4 - 0.2, 0, 1)
        target = rows[0] + (rows[-1] - rows[0]) * glide
        if phone.name in VOWELS:
            target = target.copy()
            target[:, JAW] *= opening
            target[:, 1:4] *= min(1.0, 0.4 + 0.6 * opening)
        jaw, lips = _STRENGTH.get(phone.name, _USUAL_STRENGTH)
        strength = np.asarray([jaw, lips, lips, lips, 1.0, 1.0, 1.0])
        # A pause pulls for its own time only, and a short one hardly at all.
        if phone.name == "pau":
            strength = strength * min(1.0, seconds / _REST_SECONDS)
        before = np.maximum(0, phone.start_seconds - here) / reaches[:, 0]
        after = np.maximum(0, here - phone.end_seconds) / reaches[:, 1]
        pull = strength * np.exp(-((before + after) ** 1.5))
        totals[first:last] += pull
        sums[first:last] += pull * target
    return sums / totals


def _contact(phones: list[Phone] | tuple[Phone, ...], names: frozenset[str], times: np.ndarray) -> np.ndarray:
    """1 while the lips touch on a phoneme of `names`, with soft borders outside of that time, 0 elsewhere."""
    contact = np.zeros(len(times))
    for phone in phones:
        if phone.name not in names:
            continue
        seconds = phone.end_seconds - phone.start_seconds
        shut = max(_SHUT_PART[phone.name] * seconds, min(_CONTACT_SECONDS, seconds))
        middle = phone.start_seconds + shut / 2
        half = max(shut, _CONTACT_SECONDS) / 2
        outside = np.where(
            times < middle, (middle - half - times) / _CLOSING_SECONDS, (times - middle - half) / _OPENING_SECONDS
        )
        ramp = 1 - np.clip(outside, 0, 1)
        contact = np.maximum(contact, ramp * ramp * (3 - 2 * ramp))
    return contact


def _rest(phones: list[Phone], times: np.ndarray) -> np.ndarray:
    """1 in pauses, 0 while a phoneme is spoken, with soft borders inside the pause; short pauses do not count."""
    rest = np.zeros(len(times))
    for index, phone in enumerate(phones):
        seconds = phone.end_seconds - phone.start_seconds
        if phone.name != "pau" or seconds < _REST_SECONDS:
            continue
        following = phones[index + 1].name if index + 1 < len(phones) else "pau"
        # Lips that will be shut next stay shut; others part a little before the sound.
        until = phone.end_seconds - (0.0 if following in LIPS_TOGETHER else 0.02)
        inside = np.minimum((times - phone.start_seconds - 0.02) / 0.09, (until - times) / 0.08)
        if until == phone.end_seconds:
            inside = np.where(times > (phone.start_seconds + until) / 2, (until + 0.05 - times) / 0.05, inside)
        ramp = np.clip(inside, 0, 1)
        rest = np.maximum(rest, ramp * ramp * (3 - 2 * ramp))
    return rest


def _level(utterance: Utterance, width_seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Times, and the sound's level around them in dB relative to the loud parts of the utterance."""
    hop = SAMPLE_RATE // 200
    count = max(1, len(utterance.signal) // hop)
    power = np.square(utterance.signal[: count * hop].astype(np.float64))
    if len(power) < count * hop:
        power = np.pad(power, (0, count * hop - len(power)))
    power = power.reshape(count, hop).mean(1)
    smooth = gaussian_filter1d(power, width_seconds * 200 / 2, mode="constant")
    level = 10 * np.log10(smooth + 1e-9)
    return (np.arange(count) + 0.5) / 200, level - np.percentile(level, 92)


def _openings(utterance: Utterance, phones: list[Phone]) -> np.ndarray:
    """How wide each vowel opens, as a factor of its usual width: 0.45 to 1.15, by loudness and duration."""
    times, level = _level(utterance, 0.05)
    factors = np.ones(len(phones))
    for index, phone in enumerate(phones):
        if phone.name in VOWELS:
            inside = level[(times >= phone.start_seconds) & (times <= phone.end_seconds)]
            loudness = float(inside.max()) if len(inside) else 0.0
            seconds = phone.end_seconds - phone.start_seconds
            factors[index] = np.interp(loudness, [-20, -10, 0, 5], [0.5, 0.75, 1.0, 1.12]) * np.interp(
                seconds, [0.03, 0.08, 0.15], [0.75, 0.95, 1.03]
            )
    return factors


def _sounding(utterance: Utterance, times: np.ndarray) -> np.ndarray:
    """1 where there is sound within about 60 ms, 0 in silence, with a soft border."""
    at, level = _level(utterance, 0.06)
    return np.clip((np.interp(times, at, level, right=level[-1]) + 45) / 12, 0, 1)


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
