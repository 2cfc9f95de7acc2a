"""Finding the face and cutting around it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from infinitetalk.media.faces import (
    FACE_HEIGHT_SHARE,
    MOUTH_ROW_SHARE,
    Square,
    centre_square,
    cut,
    face_square,
    find_faces,
)
from infinitetalk.paths import assets_dir


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return np.asarray(Image.open(assets_dir() / "portrait.png").convert("RGB"))


def test_face_is_found_and_framed_as_nano_knows_it(portrait):
    square = face_square(find_faces(portrait)[0])
    framed = cut(portrait, square)
    assert framed.shape == (square.side, square.side, 3)
    face = find_faces(framed)[0]
    assert face.height / square.side == pytest.approx(FACE_HEIGHT_SHARE, abs=0.04)
    assert face.mouth_row / square.side == pytest.approx(MOUTH_ROW_SHARE, abs=0.04)
    assert face.column / square.side == pytest.approx(0.5, abs=0.04)


def test_small_face_far_from_the_middle(portrait):
    wall = np.full((1200, 1600, 3), 128, np.uint8)
    small = np.asarray(Image.fromarray(portrait).resize((220, 220)))
    wall[900:1120, 1300:1520] = small
    (face,) = find_faces(wall)
    assert 900 < face.mouth_row < 1120 and 1300 < face.column < 1520


def test_no_face_no_result():
    assert find_faces(np.full((200, 300, 3), 90, np.uint8)) == []


def test_cut_over_the_edge_repeats_the_border():
    picture = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    view = cut(picture, Square(row=-2, column=-1, side=6))
    assert view.shape == (6, 6, 3)
    assert np.array_equal(view[0], view[2]) and np.array_equal(view[:, 0], view[:, 1])
    assert np.array_equal(view[2:6, 1:5], picture[:4])


@pytest.mark.parametrize("size", [(10, 20), (20, 10), (7, 7)])
def test_centre_square_lies_inside(size):
    square = centre_square(*size)
    assert square.row >= 0 and square.row + square.side <= size[0]
    assert square.column >= 0 and square.column + square.side <= size[1]
