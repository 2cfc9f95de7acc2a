"""Do the eyelids do what they did in the true pictures?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .landmarks import EYES, distance
from .lipsync import correlation, runs

CLOSED_SHARE = 0.55  # of a clip's usual eye opening: below it the eye counts as shut
LID_CLOSED = 0.5  # of the true lid curve, 0 open to 1 shut
NEAR = 3  # frames that a blink may come early or late and still be the same blink


@dataclass(frozen=True)
class Blinks:
    """correlation: of the eyes' opening with 1 - true lids; NaN when the true eyes stay open.

    per_minute, true_per_minute: how often the eyes shut. found: share of the true blinks that the film has too, within
    3 frames (NaN without any). invented: share of the film's blinks that are not true ones (NaN without any).
    """

    correlation: float
    per_minute: float
    true_per_minute: float
    found: float
    invented: float


def eye_opening(points: np.ndarray) -> np.ndarray:
    """[F] height by width of the eyes, mean of both, of `face_points` [F,478,3]; NaN where no face was found."""
    return np.mean(
        [distance(points, upper, lower) / distance(points, outer, inner) for outer, inner, upper, lower in EYES], axis=0
    )


def blink_instants(opening: np.ndarray) -> np.ndarray:
    """Middle frame of every blink: where the eyes are open by less than 0.55 of their median opening in the clip."""
    if not np.isfinite(opening).any():
        return np.empty(0, int)
    shut = np.nan_to_num(opening, nan=np.inf) < CLOSED_SHARE * np.nanmedian(opening)
    return _middles(shut)


def measure_blinks(opening: np.ndarray, lids: np.ndarray, frames_per_second: float = 25.0) -> Blinks:
    """Compare a film's `eye_opening` [F] with the true lids [F], 0 open to 1 shut."""
    num_frames = min(len(opening), len(lids))
    opening, lids = opening[:num_frames], lids[:num_frames]
    own, true = blink_instants(opening), _middles(lids > LID_CLOSED)
    minutes = num_frames / frames_per_second / 60
    return Blinks(
        correlation=correlation(opening, 1 - lids) if len(true) else float("nan"),
        per_minute=len(own) / minutes,
        true_per_minute=len(true) / minutes,
        found=_share_near(true, own),
        invented=1 - _share_near(own, true),
    )


def _middles(shut: np.ndarray) -> np.ndarray:
    return np.array([(start + stop - 1) // 2 for start, stop in runs(shut)], dtype=int)


def _share_near(these: np.ndarray, those: np.ndarray) -> float:
    """Share of `these` instants that have one of `those` within NEAR frames; NaN if there are none of these."""
    if len(these) == 0:
        return float("nan")
    return float(np.mean([bool(len(those)) and np.abs(those - one).min() <= NEAR for one in these]))
