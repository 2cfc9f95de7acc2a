"""Lip shapes, blinks and head motion from the points of a face, moved by hand."""

from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.evaluation.blinks import blink_instants, eye_opening, measure_blinks
from infinitetalk.evaluation.head_motion import shift_spread, turn_spread
from infinitetalk.evaluation.landmarks import (
    EYES,
    LEFT_CORNER,
    LEFT_EYE,
    LOWER_LIP,
    OUTER_LEFT_CORNER,
    OUTER_LOWER_LIP,
    OUTER_RIGHT_CORNER,
    OUTER_UPPER_LIP,
    RIGHT_CORNER,
    RIGHT_EYE,
    UPPER_LIP,
)
from infinitetalk.evaluation.lipsync import mouth_openness
from infinitetalk.evaluation.visemes import MEASURES, lip_shapes, shape_correlations
from infinitetalk.vision.head_pose import NUM_POINTS, head_pose


def faces(num_frames: int) -> np.ndarray:
    """Points of a face like no one's, [F,478,3], with eyes 100 pixels and corners of the mouth 50 apart."""
    points = np.random.default_rng(0).normal(0, 40, (1, NUM_POINTS, 3)).repeat(num_frames, axis=0)
    places = {
        LEFT_EYE: (100, 100), RIGHT_EYE: (200, 100), 133: (130, 100), 362: (170, 100), 159: (115, 95), 145: (115, 105),
        386: (185, 95), 374: (185, 105), OUTER_LEFT_CORNER: (125, 180), OUTER_RIGHT_CORNER: (175, 180),
        LEFT_CORNER: (130, 180), RIGHT_CORNER: (170, 180), UPPER_LIP: (150, 178), LOWER_LIP: (150, 182),
        OUTER_UPPER_LIP: (150, 170), OUTER_LOWER_LIP: (150, 192),
    }  # fmt: skip
    for index, (column, row) in places.items():
        points[:, index, :2] = column, row
    return points


def test_openness_and_lip_shapes_have_their_units() -> None:
    points = faces(1)
    assert mouth_openness(points)[0] == pytest.approx(4 / 40)
    shapes = dict(zip(MEASURES, lip_shapes(points)[0], strict=True))
    assert shapes == pytest.approx({"opening": 0.04, "width": 0.5, "fullness": 18 / 50, "lower_lip": 0.1})


def test_each_lip_shape_is_followed_by_itself() -> None:
    points, rng = faces(60), np.random.default_rng(1)
    points[:, LOWER_LIP, 1] += rng.uniform(0, 20, 60)  # opens, and takes the lower lip's thickness with it
    points[:, OUTER_LEFT_CORNER, 0] -= rng.uniform(0, 10, 60)
    own = lip_shapes(points)
    assert shape_correlations(own, own)["opening"] == pytest.approx(1)
    still = lip_shapes(faces(60))
    assert set(shape_correlations(still, own).values()) == {0.0}
    other = own.copy()
    other[:, MEASURES.index("width")] *= -1
    found = shape_correlations(other, own)
    assert found["width"] == pytest.approx(-1) and found["opening"] == pytest.approx(1)


def blinking(lids: np.ndarray) -> np.ndarray:
    points = faces(len(lids))
    for _, _, upper, lower in EYES:
        points[:, upper, 1] += 5 * lids
        points[:, lower, 1] -= 5 * lids
    return points


def test_blinks_are_found_counted_and_told_from_others() -> None:
    lids = np.zeros(150)
    lids[[30, 31, 32, 90, 91]] = 1
    own = np.zeros(150)
    own[[32, 33, 120]] = 0.9  # the first a frame late, the second missed, one invented
    opening = eye_opening(blinking(own))
    assert opening[0] == pytest.approx(10 / 30)
    assert blink_instants(opening).tolist() == [32, 120]
    found = measure_blinks(opening, lids)
    assert (found.found, found.invented) == (0.5, 0.5)
    assert found.per_minute == found.true_per_minute == pytest.approx(20)
    assert measure_blinks(eye_opening(blinking(lids)), lids).correlation == pytest.approx(1)


def test_open_eyes_have_no_blinks() -> None:
    found = measure_blinks(eye_opening(blinking(np.zeros(50))), np.zeros(50))
    assert found.per_minute == 0 and np.isnan(found.correlation) and np.isnan(found.found)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_turning_head_is_measured_in_degrees(axis: int) -> None:
    angles = np.radians(np.linspace(-6, 6, 41))
    points = faces(41).astype(np.float64)
    cos, sin, zero, one = np.cos(angles), np.sin(angles), np.zeros(41), np.ones(41)
    rows = {
        0: [[cos, zero, sin], [zero, one, zero], [-sin, zero, cos]],  # yaw about the upright axis
        1: [[one, zero, zero], [zero, cos, -sin], [zero, sin, cos]],  # pitch
        2: [[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]],  # roll
    }[axis]
    turned = np.einsum("ijf,fpj->fpi", np.array(rows), points) * 1.3 + (20, -10, 5)
    pose = head_pose(turned)
    assert np.abs(pose[:, axis]) == pytest.approx(np.degrees(np.abs(angles)), abs=0.05)
    assert np.abs(np.delete(pose, axis, axis=1)).max() < 0.05
    assert turn_spread(pose) == pytest.approx(np.degrees(angles).std(), rel=0.02)


def test_a_still_head_neither_turns_nor_shifts_and_no_face_is_no_motion() -> None:
    points = faces(10)
    assert turn_spread(head_pose(points)) == pytest.approx(0, abs=1e-6)
    assert shift_spread(points) == pytest.approx(0)
    points[::2, :, 0] += 2  # of 100 between the eyes
    assert shift_spread(points) == pytest.approx(1.0)
    nobody = np.full((5, NUM_POINTS, 3), np.nan)
    assert turn_spread(head_pose(nobody)) == 0 and shift_spread(nobody) == 0
