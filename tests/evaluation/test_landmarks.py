"""The face mesh, on the bundled portrait and on nothing."""

from __future__ import annotations

import numpy as np
from PIL import Image

from infinitetalk.evaluation.blinks import eye_opening
from infinitetalk.evaluation.face_measures import read_pictures
from infinitetalk.evaluation.landmarks import FACE_OVAL, eye_distance
from infinitetalk.evaluation.lipsync import mouth_openness
from infinitetalk.paths import assets_dir
from infinitetalk.vision.head_pose import face_points


def portrait() -> np.ndarray:
    return np.array(Image.open(assets_dir() / "portrait.png").convert("RGB"))


def test_the_portrait_has_a_shut_mouth_and_open_eyes() -> None:
    points = face_points(portrait()[None])
    assert points.shape == (1, 478, 3)
    assert mouth_openness(points)[0] < 0.15
    assert eye_opening(points)[0] > 0.2
    assert 0.1 < eye_distance(points)[0] / portrait().shape[1] < 0.5


def test_points_are_in_pixels_of_pictures_that_are_not_square() -> None:
    wide = np.pad(portrait(), ((0, 0), (100, 300), (0, 0)), mode="edge")
    plain, moved = face_points(portrait()[None])[0], face_points(wide[None])[0]
    assert np.abs(plain[FACE_OVAL, :2] + (100, 0) - moved[FACE_OVAL, :2]).max() < 0.04 * portrait().shape[1]


def test_noise_has_no_face_and_nothing_is_read() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)
    measures = read_pictures(noise)
    assert np.isnan(measures.openness).all() and measures.crops is None
    assert measures.turn == 0 and len(measures.motion_windows()) == 0
