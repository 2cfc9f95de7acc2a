"""Does the mouth follow the speech? Mouth openness by mediapipe's face mesh against a curve of the true jaw.

The mesh models are part of mediapipe 0.10.21's wheel. Openness is the distance between the inner lips divided by the
mouth's width; on a photograph of a closed mouth about 0.02, with the jaw dropped about 0.6.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import cv2
import numpy as np

UPPER_LIP, LOWER_LIP, LEFT_CORNER, RIGHT_CORNER = 13, 14, 78, 308  # inner lips, face mesh landmarks
MESH_SIZE = 384  # pixels that small pictures are enlarged to: the mesh wants a face of some size
MAX_LAG = 5  # frames


@dataclass(frozen=True)
class LipSync:
    """correlation: at the best lag. lag: frames by which the mouth follows the jaw (negative: precedes).

    at_zero: correlation without shifting. other_speech: best-lag correlation with curves of other speech, mean.
    amplitude: spread of the openness, in units of mouth width. faces: share of frames in which a face was found.
    """

    correlation: float
    lag: int
    at_zero: float
    other_speech: float
    amplitude: float
    faces: float


def mouth_openness(frames: np.ndarray) -> np.ndarray:
    """Openness [F] of uint8 frames [F,H,W,3] RGB; NaN where no face is found. Every frame is looked at by itself."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    from mediapipe.python.solutions.face_mesh import FaceMesh

    openness = np.full(len(frames), np.nan)
    with FaceMesh(static_image_mode=True, max_num_faces=1, min_detection_confidence=0.4) as mesh:
        for index, frame in enumerate(frames):
            large = cv2.resize(frame, (MESH_SIZE, MESH_SIZE), interpolation=cv2.INTER_CUBIC)
            faces = mesh.process(large).multi_face_landmarks
            if faces:
                at = np.array([[p.x, p.y] for p in faces[0].landmark])
                width = np.linalg.norm(at[LEFT_CORNER] - at[RIGHT_CORNER])
                openness[index] = np.linalg.norm(at[UPPER_LIP] - at[LOWER_LIP]) / width
    return openness


def lagged_correlation(openness: np.ndarray, jaw: np.ndarray, max_lag: int = MAX_LAG) -> dict[int, float]:
    """Pearson correlation by lag; frames without a face are left out. Zero where either curve is constant.

    A positive lag compares openness[t + lag] with jaw[t]: the mouth comes after the jaw.
    """
    num_frames = min(len(openness), len(jaw))
    found = {}
    for lag in range(-max_lag, max_lag + 1):
        a = openness[max(0, lag) : num_frames + min(0, lag)]
        b = jaw[max(0, -lag) : num_frames - max(0, lag)]
        seen = np.isfinite(a)
        a, b = a[seen], b[seen]
        steady = len(a) < 3 or a.std() < 1e-6 or b.std() < 1e-6
        found[lag] = 0.0 if steady else float(np.corrcoef(a, b)[0, 1])
    return found


def measure_lip_sync(openness: np.ndarray, jaw: np.ndarray, other_jaws: list[np.ndarray]) -> LipSync:
    """Compare a film's openness [F] with the true jaw [F] and with the jaws of other speech, each at its best lag."""
    own = lagged_correlation(openness, jaw)
    lag = max(own, key=own.get)
    others = [max(lagged_correlation(openness, other).values()) for other in other_jaws]
    return LipSync(
        correlation=own[lag],
        lag=lag,
        at_zero=own[0],
        other_speech=float(np.mean(others)) if others else 0.0,
        amplitude=float(np.nanstd(openness)),
        faces=float(np.isfinite(openness).mean()),
    )
