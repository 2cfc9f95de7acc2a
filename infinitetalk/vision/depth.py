"""How far away each pixel of a picture is: by a depth network where its weights are at hand, guessed otherwise.

Distances are in distances to the subject, which is at 1.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import CheckpointError

FOLDER = "depth"  # below the checkpoints folder: a depth network as transformers saves it
_BACKGROUND = 1.8  # of a guessed scene: a wall behind the person
_RELIEF = 0.12  # by which the middle of a person is nearer than the outline
_FARTHEST = 6.0  # of a network's answer
_LEAST_PERSON = 0.02  # share of the picture that must be a person to be taken for one


@dataclass(frozen=True)
class SceneDepth:
    """depth: float32 [height, width]; how: a sentence for the user; measured: by a network, not guessed."""

    depth: np.ndarray
    how: str
    measured: bool


def scene_depth(picture: np.ndarray, weights_dir: str | os.PathLike | None = None) -> SceneDepth:
    """The depth of uint8 [height, width, 3].

    Args:
        weights_dir: the checkpoints folder; `depth/` in it may hold any of transformers' depth-estimation networks.

    Raises:
        CheckpointError: that folder is there and cannot be used.
    """
    folder = Path(weights_dir) / FOLDER if weights_dir is not None else None
    if folder is not None and (folder / "config.json").is_file():
        return SceneDepth(_by_network(picture, folder), f"Depth by the network in {folder}.", True)
    person = person_mask(picture) > 0.5
    if person.mean() < _LEAST_PERSON:
        flat = np.ones(picture.shape[:2], np.float32)
        how = "No depth network is at hand and nobody was found: the picture is taken for flat."
        return SceneDepth(flat, how, False)
    how = "No depth network is at hand: the person is taken to stand before a wall."
    return SceneDepth(person_before_wall(person), how, False)


def person_before_wall(person: np.ndarray) -> np.ndarray:
    """bool [height, width] → float32 [height, width]: a rounded figure at 1, a wall behind it."""
    import cv2

    inside = cv2.distanceTransform(person.astype(np.uint8), cv2.DIST_L2, 5)
    thickness = max(1.0, float(np.quantile(inside[person], 0.95))) if person.any() else 1.0
    round_part = np.sqrt(np.clip(1 - (1 - np.clip(inside / thickness, 0, 1)) ** 2, 0, 1))
    return np.where(person, 1 - _RELIEF * (round_part - 0.5), _BACKGROUND).astype(np.float32)


def person_mask(picture: np.ndarray) -> np.ndarray:
    """How much each pixel of uint8 [height, width, 3] is a person, float32 [height, width] in 0 to 1.

    By mediapipe's selfie segmentation, which sees everybody near the camera as one.
    """
    from ..media.native_code import with_mediapipe

    return with_mediapipe(_selfie_segmentation, np.ascontiguousarray(picture))


def _selfie_segmentation(picture: np.ndarray) -> np.ndarray:
    from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

    with SelfieSegmentation(model_selection=0) as model:
        return np.array(model.process(picture).segmentation_mask, np.float32)


def _by_network(picture: np.ndarray, folder: Path) -> np.ndarray:
    import cv2
    from PIL import Image
    from transformers import pipeline

    try:
        estimate = pipeline("depth-estimation", model=str(folder), device="cpu", model_kwargs={"use_safetensors": True})
        metric = getattr(estimate.model.config, "depth_estimation_type", "relative") == "metric"
        answer = estimate(Image.fromarray(picture))["predicted_depth"].float().numpy()
    except Exception as error:  # transformers raises what it likes
        raise CheckpointError(
            f"The depth network in {folder} cannot be used ({type(error).__name__}: {error}); download it again, or "
            "remove the folder and a guessed scene is used."
        ) from error
    answer = cv2.resize(np.squeeze(answer), (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)
    return in_subject_distances(answer, person_mask(picture) > 0.5, inverse=not metric)


def in_subject_distances(answer: np.ndarray, person: np.ndarray, *, inverse: bool) -> np.ndarray:
    """A network's answer, float [height, width], with the person (or the nearest quarter) at 1.

    inverse: larger means nearer, as relative depth networks answer; only up to an unknown offset, so the farthest is
    put at a usual room's distance.
    """
    answer = np.asarray(answer, np.float64)
    near = person if person.mean() >= _LEAST_PERSON else answer >= np.quantile(answer, 0.75) if inverse else (
        answer <= np.quantile(answer, 0.25)
    )  # fmt: skip
    subject = float(np.median(answer[near]))
    if not inverse:
        depth = answer / max(subject, 1e-6)
    else:
        farthest = float(np.quantile(answer, 0.01))
        nearness = (answer - farthest) / max(subject - farthest, 1e-6)  # 0 far away, 1 at the subject
        depth = 1 / (1 / _FARTHEST + (1 - 1 / _FARTHEST) * np.clip(nearness, 0, 3))
    return np.clip(depth, 0.3, _FARTHEST).astype(np.float32)
