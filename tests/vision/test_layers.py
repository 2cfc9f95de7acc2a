"""A picture in two layers under a moving camera: still where it rests, as asked for where it moves, nobody twice."""

from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.config.camera import MOVEMENTS
from infinitetalk.generation.camera_targets import tracked_camera as measured
from infinitetalk.media.framing import resize_and_crop
from infinitetalk.vision.camera_path import preset_path
from infinitetalk.vision.depth import person_mask
from infinitetalk.vision.layers import margin_pixels, scene_of

SIZE, SECONDS = (192, 192), 3.0


@pytest.fixture(scope="module")
def scene(photo):
    side = min(photo.shape[:2])
    return scene_of(
        photo, person_mask(photo), ((photo.shape[0] - side) / 2, (photo.shape[1] - side) / 2, side, side), SIZE
    )


@pytest.fixture(scope="module")
def still(photo) -> np.ndarray:
    return np.repeat(resize_and_crop(photo, SIZE)[None], round(25 * SECONDS), axis=0)


def test_a_resting_camera_changes_nothing(scene, still) -> None:
    assert np.array_equal(scene.moved(still[:3], np.tile(np.eye(4), (3, 1, 1))), still[:3])


def test_the_smallest_movement_is_no_jump(scene, still) -> None:
    """Where the camera begins to move, the layers take over from the picture itself."""
    nearly = np.tile(np.eye(4), (1, 1, 1))
    nearly[0, 0, 3] = 1e-5
    moved = scene.moved(still[:1], nearly)[0].astype(int)
    assert np.abs(moved - still[0]).mean() < 2


@pytest.mark.parametrize("movement", MOVEMENTS)
@pytest.mark.parametrize("amount", [1.0, -0.7])
def test_every_movement_is_followed(scene, still, movement, amount) -> None:
    w2c = preset_path(movement, amount, SECONDS).w2c(len(still))
    followed = measured(scene.moved(still, w2c), w2c, scene.depth(w2c[0]))
    assert followed.good and followed.value > 0.9, followed.sentence
    resting = measured(still, w2c)
    assert not resting.good and resting.value < 0.2, resting.sentence


def test_a_later_chunk_is_measured_from_where_the_camera_is_by_then(scene, still) -> None:
    w2c = preset_path("push in", 2.0, 2 * SECONDS).w2c(len(still), len(still))
    followed = measured(scene.moved(still, w2c), w2c, scene.depth(w2c[0]))
    assert followed.good and followed.value > 0.9, followed.sentence


def test_what_is_mirrored_beyond_the_picture_holds_nobody() -> None:
    """A red person at the left edge of a green picture; the camera pans to where the picture has ended."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[..., 1] = 150
    person = np.zeros((64, 64), np.float32)
    person[20:, 4:16] = 1
    picture[20:, 4:16] = (220, 0, 0)
    scene = scene_of(picture, person, (0, 0, 64, 64), (64, 64))
    w2c = preset_path("pan", -2.0, 1.0).w2c(1, 25)
    beyond = scene.moved(picture[None], w2c)[0]
    assert margin_pixels(64, 64) > 20, "the mirrored person would be seen"
    red = (beyond[..., 0].astype(int) - beyond[..., 1] > 60).any(axis=0)
    starts = np.flatnonzero(red[1:] & ~red[:-1])
    assert len(starts) + red[0] == 1, "one person, not two"


def test_a_body_that_the_lower_edge_cuts_off_goes_on() -> None:
    picture = np.full((64, 64, 3), (0, 150, 0), np.uint8)
    person = np.zeros((64, 64), np.float32)
    person[20:, 20:44] = 1
    picture[20:, 20:44] = (220, 0, 0)
    scene = scene_of(picture, person, (0, 0, 64, 64), (64, 64))
    farther = scene.moved(picture[None], preset_path("pull out", 1.0, 1.0).w2c(1, 25))[0]
    assert farther[-1, 32, 0] > 150 and farther[-1, 32, 1] < 60
