"""Colour differences against published pairs, and casts over pictures."""

from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.evaluation.color import CELLS, Regions, cell_colors, color_drift, delta_e_2000, regions
from infinitetalk.evaluation.landmarks import FACE_OVAL
from infinitetalk.vision.head_pose import NUM_POINTS

# Test data of Sharma, Wu and Dalal (2005), table 1.
PAIRS = (
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
)


@pytest.mark.parametrize(("one", "other", "difference"), PAIRS)
def test_published_pairs(one, other, difference) -> None:
    assert delta_e_2000(np.array(one), np.array(other)) == pytest.approx(difference, abs=1e-4)
    assert delta_e_2000(np.array(other), np.array(one)) == pytest.approx(difference, abs=1e-4)


def test_grey_has_its_lightness() -> None:
    grey = np.full((2, 32, 32, 3), 119, np.uint8)
    assert cell_colors(grey)[3, 5] == pytest.approx([50.0, 0, 0], abs=0.2)


def test_a_cast_is_seen_where_it_is() -> None:
    rng = np.random.default_rng(0)
    before = rng.integers(60, 180, (3, 64, 64, 3), dtype=np.uint8)
    after = before.copy()
    after[:, 16:48, 16:48, 0] += 30
    face = np.zeros((CELLS, CELLS), bool)
    face[5:11, 5:11] = True
    background = np.zeros((CELLS, CELLS), bool)
    background[:3] = True
    found = color_drift(cell_colors(before), cell_colors(after), Regions(face, background))
    assert found.background == 0
    assert 5 < found.face < 25
    assert found.both == pytest.approx(found.face / 2)


def test_motion_within_a_cell_is_not_a_drift() -> None:
    picture = np.zeros((1, 64, 64, 3), np.uint8)
    picture[:, 20:44, 20:44] = 200
    moved = picture.copy()
    moved[:, 24, 24], moved[:, 25, 25] = 0, 200  # texture that stays within its cell
    moved[:, 26, 26] = 0
    here = np.ones((CELLS, CELLS), bool)
    assert color_drift(cell_colors(picture), cell_colors(moved), Regions(here, here)).both < 0.4


def test_face_and_background_do_not_meet() -> None:
    points = np.zeros((2, NUM_POINTS, 3))
    angles = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    points[:, FACE_OVAL, 0], points[:, FACE_OVAL, 1] = 128 + 50 * np.sin(angles), 140 - 65 * np.cos(angles)
    found = regions(points, 256, 256)
    assert found.face.sum() >= 20 and found.background.sum() >= 20
    assert not (found.face & found.background).any()
    assert found.face[8, 8] and found.background[1, 1] and not found.background[14, 1]
    nobody = regions(np.full((2, NUM_POINTS, 3), np.nan), 256, 256)
    assert not nobody.face.any() and nobody.background.all()
