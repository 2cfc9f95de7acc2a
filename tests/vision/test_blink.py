"""Eyes that close and open again, in pictures of two people, one of them real."""

from __future__ import annotations

import cv2
import numpy as np

from infinitetalk.vision.blink import Eyelids, closures
from infinitetalk.vision.head_pose import face_points
from tests.vision.test_head import SIDE, portrait  # noqa: F401  a fixture

EYES = ((33, 133, 159, 145), (263, 362, 386, 374))  # outer and inner corner, upper and lower lid


def opening(points: np.ndarray) -> np.ndarray:
    """Mean of both eyes, height over width, of every frame."""

    def apart(one: int, other: int) -> np.ndarray:
        return np.linalg.norm(points[:, one, :2] - points[:, other, :2], axis=1)

    return np.mean([apart(up, low) / apart(out, inner) for out, inner, up, low in EYES], axis=0)


def test_eyes_close_as_far_as_asked_and_nothing_else_moves(portrait) -> None:  # noqa: F811
    lids = Eyelids(face_points(portrait[None])[0], SIDE, SIDE)
    columns, rows = np.meshgrid(np.arange(SIDE, dtype=np.float32), np.arange(SIDE, dtype=np.float32))
    wanted = (0.0, 0.5, 1.0)
    films = np.stack([cv2.remap(portrait, columns, rows + lids.shift(c), cv2.INTER_CUBIC) for c in wanted])
    half, shut = (opening(face_points(films)) / opening(face_points(films))[0])[1:]
    assert 0.3 < half < 0.85 and shut < 0.5 and shut < half, (half, shut)
    assert not lids.shift(0.0).any()
    moved = lids.shift(1.0) != 0
    assert 0.001 < moved.mean() < 0.04, "two eyes"
    assert not moved[int(0.6 * SIDE) :].any(), "no mouth"


def test_blinks_are_the_same_however_the_film_is_cut() -> None:
    whole = closures(0, 2500, seed=3)
    for step in (7, 72, 81):
        parts = [closures(start, min(step, 2500 - start), 3) for start in range(0, 2500, step)]
        assert np.array_equal(np.concatenate(parts), whole)
    starts = np.flatnonzero((whole[1:] > 0) & (whole[:-1] == 0))
    assert 18 <= len(starts) <= 25, "about every four seconds"
    assert np.diff(starts).min() >= 20 and whole.max() == 1 and (whole > 0).mean() < 0.06
    assert not np.array_equal(closures(0, 2500, seed=4), whole)


def test_a_face_without_open_eyes_is_left_alone() -> None:
    points = np.full((478, 3), np.nan, np.float32)
    assert not Eyelids(points, 64, 64).shift(1.0).any()
    points[:] = 5.0  # all of it in one place
    assert not Eyelids(points, 64, 64).shift(1.0).any()
