"""A drawn person: the truth beside a picture is what the picture shows."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="requirements-train.txt is not installed")

from synthetic_people.heads import HELD_OUT_START
from synthetic_people.people import Person, Stance
from synthetic_people.skeleton import BODY, JOINTS


def inside(picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The pixels of a box as floats."""
    top, left, bottom, right = box.round().astype(int)
    return picture[top : bottom + 1, left : right + 1].astype(float)


def joint(frame, name: str) -> np.ndarray:
    return frame.joints[JOINTS.index(name)]


def test_the_same_person_twice_is_the_same_bytes(cast, person) -> None:
    again = Person(*cast, HELD_OUT_START, 5, 0, 128).draw({"jawOpen": 0.4})
    assert np.array_equal(again.picture, person.draw({"jawOpen": 0.4}).picture)
    assert not np.array_equal(again.picture, Person(*cast, HELD_OUT_START + 1, 5, 0, 128).draw({}).picture)


def test_lips_lie_in_the_mouths_box_and_the_face_where_photographs_have_it(person) -> None:
    frame = person.draw({"jawOpen": 0.5})
    top, left, bottom, right = frame.mouth_box / 128
    lips = frame.joints[[JOINTS.index(f"face_{number}") for number in range(48, 68)]]
    assert np.all(lips[:, 2] == 1)
    assert np.all((lips[:, 0] > left - 0.01) & (lips[:, 0] < right + 0.01))
    assert np.all((lips[:, 1] > top - 0.01) & (lips[:, 1] < bottom + 0.01))
    assert 0.66 < (top + bottom) / 2 < 0.78
    chin, brow = joint(frame, "face_8"), joint(frame, "face_19")
    assert 0.35 < chin[1] - brow[1] < 0.55
    assert joint(frame, "right_eye")[0] < joint(frame, "nose")[0] < joint(frame, "left_eye")[0]


def test_an_open_mouth_is_dark_inside_and_a_shut_one_hides_teeth_and_gap(person) -> None:
    shut, wide = person.draw({}), person.draw({"jawOpen": 0.7})
    assert shut.openness < 0.03 and wide.openness > 0.25
    middle = wide.joints[[JOINTS.index(name) for name in ("face_62", "face_66")], :2].mean(0) * 128
    column, row = middle.round().astype(int)
    skin = shut.picture[int(joint(shut, "nose")[1] * 128), int(joint(shut, "nose")[0] * 128)].astype(float)
    assert wide.picture[row - 1 : row + 2, column - 1 : column + 2].astype(float).mean() < 0.55 * skin.mean()
    lips = inside(shut.picture, shut.mouth_box)
    assert lips.min(0).mean() > 0.25 * skin.mean()


def test_shut_lids_hide_the_eyes(person) -> None:
    seen, shut = person.draw({}), person.draw({"eyeBlink": 1.0})
    place = joint(seen, "left_eye")[:2] * 128
    column, row = place.round().astype(int)
    window = slice(row - 2, row + 3), slice(column - 5, column + 6)
    contrast = [np.ptp(frame.picture[window].astype(float).mean(-1)) for frame in (seen, shut)]
    assert contrast[1] < 0.6 * contrast[0]
    top, left, bottom, right = seen.eye_box
    assert top < row < bottom and left < column < right


def test_the_mask_is_the_person(person) -> None:
    frame = person.draw({})
    mask = np.unpackbits(frame.mask, axis=1).astype(bool)
    assert mask.shape == (64, 64) and 0.25 < mask.mean() < 0.8
    for name in ("nose", "face_8", "right_eye"):
        x, y, visible = joint(frame, name)
        assert visible and mask[int(y * 64), int(x * 64)]
    assert not mask[0, 0] and not mask[0, -1]


def test_the_camera_moves_everything_by_its_truth(person) -> None:
    still = person.draw({})
    panned = person.draw({}, Stance(view=(0.1, -0.05, 1.0)))
    zoomed = person.draw({}, Stance(view=(0.0, 0.0, 1.25)))
    seen = still.joints[:, 2] * panned.joints[:, 2] * zoomed.joints[:, 2] > 0
    assert seen.sum() > 60
    before = still.joints[seen, :2]
    np.testing.assert_allclose(panned.joints[seen, :2], before - np.asarray([0.1, -0.05]), atol=1e-4)
    np.testing.assert_allclose(zoomed.joints[seen, :2], (before - 0.5) * 1.25 + 0.5, atol=1e-4)
    # The picture moves with it, background too: a pan of 0.125 is 16 pixels.
    moved = person.draw({}, Stance(view=(0.125, 0.0, 1.0))).picture.astype(float)
    difference = np.abs(moved[8:-8, 8:-24] - still.picture[8:-8, 24:-8]).mean()
    assert difference < 0.25 * np.abs(moved - still.picture).mean()


def test_the_head_turns_the_way_the_pose_says(person) -> None:
    ahead, turned = person.draw({}), person.draw({}, Stance(pose=(8.0, 0.0, 0.0)))
    nodding = person.draw({}, Stance(pose=(0.0, -6.0, 0.0)))
    assert joint(turned, "nose")[0] > joint(ahead, "nose")[0] + 0.01  # to the person's left
    assert joint(nodding, "nose")[1] > joint(ahead, "nose")[1] + 0.005  # the chin goes down
    shoulder = BODY.index("neck")
    np.testing.assert_allclose(turned.joints[shoulder], ahead.joints[shoulder], atol=0.01)


def test_a_portrait_is_never_of_a_training_head() -> None:
    from synthetic_people.portrait import render_portrait

    with pytest.raises(ValueError, match="training split"):
        render_portrait(3)
