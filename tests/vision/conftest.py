"""A real person, and films of her whose movement is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infinitetalk.media.images import load_image
from infinitetalk.media.writer import SegmentWriter
from infinitetalk.vision.depth import SceneDepth, scene_depth

PHOTO = Path(__file__).parent / "data" / "astronaut.jpg"


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    return load_image(PHOTO)


@pytest.fixture(scope="session")
def scene(photo) -> SceneDepth:
    return scene_depth(photo)


def shifted(picture: np.ndarray, right: int) -> np.ndarray:
    """The picture moved by whole pixels, its edge repeated."""
    columns = np.clip(np.arange(picture.shape[1]) - right, 0, picture.shape[1] - 1)
    return np.ascontiguousarray(picture[:, columns])


def write_film(path: Path, frames: list[np.ndarray]) -> Path:
    height, width = frames[0].shape[:2]
    SegmentWriter(width, height).write(path, frames)
    return path


@pytest.fixture(scope="session")
def walking_film(photo, tmp_path_factory) -> Path:
    """24 frames; the person goes right by 1 pixel each."""
    return write_film(tmp_path_factory.mktemp("films") / "walking.mp4", [shifted(photo, f) for f in range(24)])


@pytest.fixture(scope="session")
def hidden_film(photo, tmp_path_factory) -> Path:
    """The same, but the person is hidden in frames 10 to 13."""
    frames = [np.full_like(photo, 90) if 10 <= f < 14 else shifted(photo, f) for f in range(24)]
    return write_film(tmp_path_factory.mktemp("films") / "hidden.mp4", frames)
