"""Is it still the same person? dlib's face embedding (dlib_face_recognition_resnet_model_v1).

The network and its five-point landmarks come in the wheel `face_recognition_models` (CC0), dlib itself in `dlib-bin`;
both are needed for evaluation only (requirements-train.txt). Distances are Euclidean between 128 numbers; dlib's own
threshold for "the same person" in photographs is 0.6, where rendered people all look alike. Therefore distances are
also read on a scale of the rendered people themselves:

    similarity(d) = (D - d) / (D - S)

    D  mean distance between pictures of different held-out people: similarity 0
    S  mean distance between the first and the second half of one person's true clip: similarity 1
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
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
        scale = ENLARGED / max(frame.shape[:2])
        large = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        faces = detector(large, 0) or detector(large, 1)
        if not faces:
            return None
        face = max(faces, key=lambda box: box.area())
        return np.array(network.compute_face_descriptor(large, landmarks(large, face)))

    def embed_some(self, frames: np.ndarray, most: int) -> np.ndarray:
        """[N,128] of up to `most` evenly chosen frames [F,H,W,3] in which a face is found."""
        chosen = np.linspace(0, len(frames) - 1, min(most, len(frames))).astype(int)
        found = [embedded for index in chosen if (embedded := self.embed(frames[index])) is not None]
        return np.array(found).reshape(-1, 128)

    def load(self) -> FaceEmbedder:
        """Read the networks now.

        Raises:
            InputError: dlib or its networks are not installed.
        """
        assert self._networks
        return self

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


def distances(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance between every embedding of [N,128] and every one of [M,128]: [N,M]."""
    return np.linalg.norm(ones[:, None] - others[None], axis=2)


@dataclass(frozen=True)
class IdentityScale:
    """same: S, different: D of the module's formula."""

    same: float
    different: float

    def similarity(self, distance: float | np.ndarray) -> float | np.ndarray:
        """1 for as alike as one person's true pictures, 0 for as unlike as different people; may lie beyond both."""
        return (self.different - distance) / (self.different - self.same)


def identity_scale(people: list[np.ndarray], clips: list[np.ndarray]) -> IdentityScale:
    """The scale from one embedding [128] of each of several people, and embeddings [N,128] over each true clip.

    Raises:
        InputError: fewer than two people, or no clip with two pictures in which a face was found.
    """
    between = [np.linalg.norm(a - b) for index, a in enumerate(people) for b in people[:index]]
    within = [distances(clip[: len(clip) // 2], clip[len(clip) // 2 :]).mean() for clip in clips if len(clip) > 1]
    if not between or not within:
        raise InputError(
            f"Identity needs two held-out people and a clip of one; {len(people)} and {len(within)} had a face that is "
            "found. Render more held-out clips."
        )
    return IdentityScale(float(np.mean(within)), float(np.mean(between)))
