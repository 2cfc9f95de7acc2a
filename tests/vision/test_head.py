"""A head that turns as asked, in pictures of two people, one of them real."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from infinitetalk.errors import InputError
from infinitetalk.media.faces import cut, face_square, find_faces
from infinitetalk.media.images import load_image
from infinitetalk.paths import assets_dir
from infinitetalk.vision.head_motion import HeadMotion, begun, lively, read_head
from infinitetalk.vision.head_pose import face_points, head_pose
from infinitetalk.vision.head_turn import Head, HeadTurn
from infinitetalk.vision.tracking import head_tracking_score
from tests.vision.conftest import PHOTO, write_film

SIDE = 256
WAVES = np.stack([
    7 * np.sin(np.linspace(0, 6, 30)), 4 * np.sin(np.linspace(1, 9, 30)), 3 * np.sin(np.linspace(2, 5, 30)),
], axis=1)  # fmt: skip


@pytest.fixture(scope="module", params=["real", "drawn"])
def portrait(request) -> np.ndarray:
    picture = load_image(PHOTO if request.param == "real" else assets_dir() / "portrait.png")
    whole = cut(picture, face_square(find_faces(picture)[0]))
    return cv2.resize(whole, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def turned(portrait: np.ndarray, angles: np.ndarray) -> np.ndarray:
    turn = HeadTurn(Head.of(face_points(portrait[None])[0]), SIDE, SIDE)
    return np.stack([cv2.remap(portrait, *turn.maps(*each), cv2.INTER_CUBIC) for each in angles])


def test_yaw_and_pitch_are_followed(portrait) -> None:
    measured = head_pose(face_points(turned(portrait, WAVES)))
    assert np.corrcoef(measured[:, 0], WAVES[:, 0])[0, 1] > 0.95
    assert np.corrcoef(measured[:, 1], WAVES[:, 1])[0, 1] > 0.9
    assert np.corrcoef(measured[:, 2], WAVES[:, 2])[0, 1] > 0.95
    far = measured.std(axis=0) / WAVES.std(axis=0)
    assert (far > 0.6).all() and (far < 1.5).all(), "as far as asked, about"
    followed = head_tracking_score(WAVES, measured)
    assert followed.good, followed.sentence


def test_without_the_toggle_nothing_follows(portrait) -> None:
    still = head_tracking_score(WAVES, head_pose(face_points(np.repeat(portrait[None], 30, axis=0))))
    assert not still.good and abs(still.value) < 0.2
    assert head_tracking_score(0.05 * WAVES, WAVES) is None, "hardly anything was asked for"
    assert head_tracking_score(WAVES, np.full_like(WAVES, np.nan)) is None, "no face"


def test_no_turn_moves_nothing_and_the_border_never_moves(portrait) -> None:
    turn = HeadTurn(Head.of(face_points(portrait[None])[0]), SIDE, SIDE)
    columns, rows = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    x, y = turn.maps(0, 0, 0)
    assert np.array_equal(x, columns) and np.array_equal(y, rows)
    x, y = turn.maps(40, -40, 40)  # held at what a picture can bear
    assert np.isfinite(x).all() and np.abs(x - columns).max() < 60 and np.abs(y - rows).max() < 60
    for moved, at in ((x, columns), (y, rows)):
        assert np.abs(moved - at)[[0, -1]].max() == np.abs(moved - at)[:, [0, -1]].max() == 0


def speech(start: int, stop: int) -> np.ndarray:
    frames = np.arange(start, stop)
    return np.where(frames >= 0, 0.1 * (np.sin(frames / 3.0) > 0.3), 0.0)


def test_a_lively_head_is_the_same_however_the_film_is_cut_into_chunks() -> None:
    whole = lively(speech, 0, 300, seed=5)
    parts = np.concatenate([lively(speech, start, 50, seed=5) for start in range(0, 300, 50)])
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    assert not np.allclose(lively(speech, 0, 300, seed=6), whole)
    assert np.abs(whole[0]).max() == 0 and whole[50:].std(axis=0).min() > 0.5
    assert np.abs(np.diff(whole, axis=0)).max() < 1.0, "degrees from frame to frame"
    quiet = lively(lambda start, stop: np.zeros(stop - start), 0, 300, seed=5)
    nods = (whole - quiet)[30:, 1]
    assert nods.std() > 0.5 and np.corrcoef(nods, speech(30, 300))[0, 1] < -0.5, "down with what is stressed"


def test_a_movement_that_is_over_runs_back() -> None:
    motion = HeadMotion(np.arange(30, dtype=np.float32)[:, None] * np.ones(3, np.float32))
    values = motion.at(100, 200)[:, 0]
    assert values.min() == 0 and values.max() == 29 and np.abs(np.diff(values)).max() <= 1
    assert begun(np.ones((40, 3)), 0)[0, 0] == 0 and begun(np.ones((40, 3)), 0)[-1, 0] == 1


def test_the_head_of_a_film_is_read(portrait, tmp_path) -> None:
    film = write_film(tmp_path / "turning.mp4", list(turned(portrait, np.repeat(WAVES, 2, axis=0))))
    read = read_head(film, 10.0).values
    assert read.shape == (60, 3)
    asked = np.repeat(WAVES, 2, axis=0)
    for axis in range(2):
        assert np.corrcoef(read[:, axis], asked[:, axis])[0, 1] > 0.85


def test_a_film_without_a_face_is_refused(tmp_path) -> None:
    film = write_film(tmp_path / "wall.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 10)
    with pytest.raises(InputError, match="0 % of wall.mp4"):
        read_head(film, 10.0)
    with pytest.raises(InputError, match="no head moves"):
        read_head(PHOTO, 10.0)
