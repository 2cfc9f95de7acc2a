"""A picture that moves as a skeleton does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infinitetalk.vision.pose import LEFT_SHOULDER, NECK, NOSE, NUM_JOINTS, RIGHT_SHOULDER
from infinitetalk.vision.pose_turn import JOINTS, pose_maps

HEIGHT, WIDTH = 96, 128
# Head and shoulders as shares of the picture, in the order of `JOINTS`.
PLACES = np.array([(0.5, 0.45), (0.5, 0.75), (0.25, 0.85), (0.75, 0.85), (0.44, 0.36), (0.56, 0.36), (0.38, 0.4),
                   (0.62, 0.4)])  # fmt: skip


def person(shoulders: bool = True) -> tuple[np.ndarray, np.ndarray]:
    joints, seen = np.zeros((NUM_JOINTS, 2)), np.zeros(NUM_JOINTS, bool)
    joints[list(JOINTS)], seen[list(JOINTS)] = PLACES, True
    if not shoulders:
        seen[[NECK, RIGHT_SHOULDER, LEFT_SHOULDER]] = False
    return joints, seen


def in_pixels(joints: np.ndarray) -> np.ndarray:
    return joints * (WIDTH, HEIGHT)


@settings(max_examples=40, deadline=None)
@given(st.floats(-15, 15), st.floats(0.85, 1.18), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_what_moves_as_one_piece_is_moved_as_one_piece(
    degrees: float, larger: float, right: float, down: float
) -> None:
    here, seen = person()
    turn = larger * np.exp(1j * np.radians(degrees))
    middle = np.array([WIDTH, HEIGHT]) / 2
    around = in_pixels(here) - middle
    moved = (around[:, 0] + 1j * around[:, 1]) * turn
    there = (np.stack([moved.real, moved.imag], axis=1) + middle) / (WIDTH, HEIGHT) + (right, down)
    columns, rows = pose_maps(here, there, seen, HEIGHT, WIDTH)
    # Where a pixel comes from is the movement backwards.
    for row, column in ((20, 30), (48, 64), (80, 100)):
        back = complex(column + 0.5 - middle[0] - right * WIDTH, row + 0.5 - middle[1] - down * HEIGHT) / turn
        assert columns[row, column] + 0.5 == pytest.approx(back.real + middle[0], abs=0.15)
        assert rows[row, column] + 0.5 == pytest.approx(back.imag + middle[1], abs=0.15)


def test_a_nose_goes_its_own_way_and_the_lower_edge_stays() -> None:
    here, seen = person(shoulders=False)
    there = here.copy()
    there[list(JOINTS)[4:]] += (0.02, 0)
    there[NOSE] += (0.05, 0)
    columns, rows = pose_maps(here, there, seen, HEIGHT, WIDTH)
    moved = np.arange(WIDTH) - columns
    x, y = in_pixels(there[NOSE]).astype(int)
    assert moved[y, x] == pytest.approx(0.05 * WIDTH, abs=1.2)
    eye_x, eye_y = in_pixels(there[14]).astype(int)
    assert moved[eye_y, eye_x] == pytest.approx(0.02 * WIDTH, abs=1.2)
    for share in (0.12, 0.88):
        assert abs(moved[-1, int(share * WIDTH)]) < 0.5
    assert np.abs(rows - np.arange(HEIGHT)[:, None]).max() < 3


def test_a_picture_that_is_moved_shows_its_dots_where_the_joints_are() -> None:
    here, seen = person()
    there = here + np.random.default_rng(0).normal(0, 0.01, here.shape)
    picture = np.zeros((4 * HEIGHT, 4 * WIDTH), np.float32)
    size = 4 * WIDTH, 4 * HEIGHT
    for joint in JOINTS:
        cv2.circle(picture, tuple((here[joint] * size).astype(int)), 5, 1.0, -1)
    moved = cv2.remap(picture, *pose_maps(here, there, seen, 4 * HEIGHT, 4 * WIDTH), cv2.INTER_LINEAR)
    for joint in JOINTS:
        x, y = (there[joint] * size).astype(int)
        assert moved[y - 2 : y + 3, x - 2 : x + 3].mean() > 0.5, joint


def test_too_few_joints_move_nothing() -> None:
    here, seen = person()
    seen[list(JOINTS)[2:]] = False
    assert pose_maps(here, here, seen, HEIGHT, WIDTH) is None
