"""Does the mouth follow the speech? Openness of the mouth against a curve of the true jaw.

Openness is the distance between the inner lips divided by the mouth's width: about 0.02 on a photograph of a closed
mouth, about 0.6 with the jaw dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .landmarks import LEFT_CORNER, LOWER_LIP, RIGHT_CORNER, UPPER_LIP, distance

MAX_LAG = 5  # frames
CLOSED_PERCENTILE = 30  # of a clip's openness: lips of p, b and m are to lie below it


@dataclass(frozen=True)
class LipSync:
    """correlation: at the best lag. lag: frames by which the mouth follows the jaw (negative: precedes).

    at_zero: correlation without shifting.
    other_speech: correlation with curves of other speech at this same lag, mean; 0 for a mouth that only hears its own.
    other_best: the same with each curve at its own best lag; even the true mouth has about 0.2, the best of 11 tries.
    spread: standard deviation of the openness, in mouth widths. faces: share of frames in which a face was found.
    """

    correlation: float
    lag: int
    at_zero: float
    other_speech: float
    other_best: float
    spread: float
    faces: float


def mouth_openness(points: np.ndarray) -> np.ndarray:
    """Openness [F] of `face_points` [F,478,3]; NaN where no face was found."""
    return distance(points, UPPER_LIP, LOWER_LIP) / distance(points, LEFT_CORNER, RIGHT_CORNER)


def lagged_correlation(openness: np.ndarray, jaw: np.ndarray, max_lag: int = MAX_LAG) -> dict[int, float]:
    """Pearson correlation by lag; frames without a face are left out. Zero where either curve is constant.

    A positive lag compares openness[t + lag] with jaw[t]: the mouth comes after the jaw.
    """
    num_frames = min(len(openness), len(jaw))
    found = {}
    for lag in range(-max_lag, max_lag + 1):
        a = openness[max(0, lag) : num_frames + min(0, lag)]
        b = jaw[max(0, -lag) : num_frames - max(0, lag)]
        found[lag] = correlation(a, b)
    return found


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation of two curves [F] over the frames in which both are known; 0 where either is constant."""
    seen = np.isfinite(a) & np.isfinite(b)
    a, b = a[seen], b[seen]
    steady = len(a) < 3 or a.std() < 1e-6 or b.std() < 1e-6
    return 0.0 if steady else float(np.corrcoef(a, b)[0, 1])


def measure_lip_sync(openness: np.ndarray, jaw: np.ndarray, other_jaws: list[np.ndarray]) -> LipSync:
    """Compare a film's openness [F] with the true jaw [F] and with the jaws of other speech, each at its best lag."""
    own = lagged_correlation(openness, jaw)
    lag = max(own, key=own.get)
    others = [lagged_correlation(openness, other) for other in other_jaws]
    seen = np.isfinite(openness)
    return LipSync(
        correlation=own[lag],
        lag=lag,
        at_zero=own[0],
        other_speech=float(np.mean([other[lag] for other in others])) if others else 0.0,
        other_best=float(np.mean([max(other.values()) for other in others])) if others else 0.0,
        spread=float(openness[seen].std()) if seen.any() else 0.0,
        faces=float(seen.mean()),
    )


def closed_lips(openness: np.ndarray, closures: np.ndarray) -> list[bool]:
    """For every closure of the lips (p, b, m), whether the mouth comes below the clip's 30th percentile of openness.

    Args:
        openness: [F], NaN where no face was found.
        closures: bool [F], true in the frames of a closure; each run of them is one, looked at one frame wider on
            either side. Closures in which no face is seen count as open.
    """
    closures = closures[: len(openness)]
    if not np.isfinite(openness).any():
        return []
    limit = np.nanpercentile(openness, CLOSED_PERCENTILE)
    found = []
    for start, stop in runs(closures):
        near = openness[max(0, start - 1) : stop + 1]
        found.append(bool(np.isfinite(near).any() and np.nanmin(near) <= limit))
    return found


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First index and index after the last of every run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
