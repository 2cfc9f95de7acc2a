"""Is it still the same person? Distance of dlib's face embedding (dlib_face_recognition_resnet_model_v1).

The network and its five-point landmarks come in the wheel `face_recognition_models` (CC0), dlib itself in `dlib-bin`;
both are needed for evaluation only (requirements-train.txt). Distances are Euclidean between 128 numbers; dlib's own
threshold for "the same person" in photographs is 0.6.
"""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from ..errors import InputError

ENLARGED = 300  # pixels per side; dlib's detector misses faces below 80


class FaceEmbedder:
    """dlib's detector, landmarks and embedding, loaded on first use."""

    def embed(self, frame: np.ndarray) -> np.ndarray | None:
        """[128] of the largest face in uint8 [H,W,3] RGB, None if there is none."""
        detector, landmarks, network = self._networks
        large = cv2.resize(frame, (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
        faces = detector(large, 0) or detector(large, 1)
        if not faces:
            return None
        face = max(faces, key=lambda box: box.area())
        return np.array(network.compute_face_descriptor(large, landmarks(large, face)))

    @cached_property
    def _networks(self) -> tuple:
        try:
            import dlib
        except ImportError as error:
            raise InputError(
                "Measuring identity needs dlib-bin and face_recognition_models; install requirements-train.txt."
            ) from error
        found = importlib.util.find_spec("face_recognition_models")
        if found is None:
            raise InputError(
                "Measuring identity needs face_recognition_models beside dlib-bin; install requirements-train.txt."
            )
        folder = Path(found.submodule_search_locations[0]) / "models"
        return (
            dlib.get_frontal_face_detector(),
            dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat")),
            dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat")),
        )


def identity_distance(embedder: FaceEmbedder, frames: np.ndarray, reference: np.ndarray, num_samples: int = 8) -> float:
    """Mean distance to the reference picture of evenly chosen frames [F,H,W,3]; NaN if no face was found."""
    own = embedder.embed(reference)
    chosen = np.linspace(0, len(frames) - 1, min(num_samples, len(frames))).astype(int)
    found = [embedded for index in chosen if (embedded := embedder.embed(frames[index])) is not None]
    if own is None or not found:
        return float("nan")
    return float(np.mean([np.linalg.norm(embedded - own) for embedded in found]))


def distance_between_people(embedder: FaceEmbedder, portraits: list[np.ndarray]) -> float:
    """Mean distance between portraits of different people, the yardstick for `identity_distance`."""
    found = [embedded for picture in portraits if (embedded := embedder.embed(picture)) is not None]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(found) for b in found[:i]]
    return float(np.mean(distances)) if distances else float("nan")
