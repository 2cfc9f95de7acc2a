"""Movements: drawn as the networks know them, edited, kept, scored."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from infinitetalk.errors import MediaError
from infinitetalk.vision.pose import (
    BONES,
    HAND_BONES,
    LEFT_HAND,
    LEFT_SHOULDER,
    LEFT_WRIST,
    NECK,
    NUM_BODY,
    NUM_JOINTS,
    RIGHT_SHOULDER,
    PoseSequence,
    body_height,
)
from infinitetalk.vision.pose_draw import draw_skeletons
from infinitetalk.vision.pose_edit import fill_gaps, retarget, retime, smooth
from infinitetalk.vision.pose_file import load_pose, save_pose
from infinitetalk.vision.tracking import pose_tracking_score

# A standing person in a picture of 512 x 768 pixels.
STANDING = np.array([
    (256, 120), (256, 190), (206, 190), (196, 280), (190, 370), (306, 190), (316, 280), (322, 370), (226, 380),
    (222, 520), (220, 650), (286, 380), (290, 520), (292, 650), (246, 110), (266, 110), (234, 116), (278, 116),
    (300, 680), (212, 680),
], np.float32)  # fmt: skip


def standing(frames: int = 1, *, hands: bool = True) -> PoseSequence:
    joints = np.zeros((frames, NUM_JOINTS, 2), np.float32)
    joints[:, :NUM_BODY] = STANDING
    confidence = np.zeros((frames, NUM_JOINTS), np.float32)
    confidence[:, :NUM_BODY] = 1
    if hands:
        for hand, wrist in ((LEFT_HAND, 7), (slice(LEFT_HAND.stop, NUM_JOINTS), 4)):
            fan = np.array([(0, 0)] + [(6 * finger - 12, 8 * step) for finger in range(5) for step in range(1, 5)])
            joints[:, hand] = STANDING[wrist] + fan
            confidence[:, hand] = 1
    return PoseSequence(joints, confidence, np.zeros((frames, NUM_JOINTS), bool), 512, 768, "test")


def test_bones_as_published():
    """From the convention, joints counted from 1."""
    text = "2-3 2-6 3-4 4-5 6-7 7-8 2-9 9-10 10-11 2-12 12-13 13-14 2-1 1-15 15-17 1-16 16-18 14-19 11-20"
    assert tuple(tuple(int(n) - 1 for n in bone.split("-")) for bone in text.split()) == BONES
    assert len(HAND_BONES) == 20 and HAND_BONES[:5] == ((0, 1), (1, 2), (2, 3), (3, 4), (0, 5))


def test_colours_sizes_and_dimming():
    (drawn,) = draw_skeletons(standing(hands=False), 768, 512)
    near = {"atol": 26}  # JPEG

    def at(x, y):
        return drawn[int(y), int(x)].astype(int)

    # Bone 1, (255, 0, 0) in the file's order, is blue as RGB and dimmed; joint 1 (nose) is blue at full brightness.
    assert np.allclose(at(231, 190), (0, 0, 153), **near)
    assert np.allclose(at(256, 120), (0, 0, 255), **near)
    assert np.allclose(at(200, 235), (0, 170 * 0.6, 255 * 0.6), **near)  # bone 3, right upper arm
    assert np.allclose(at(322, 370), (85, 255, 0), **near)  # joint 8, (0, 255, 85) in the file's order
    across = drawn[225:250, 256].sum(axis=-1)  # below the shoulders nothing of the trunk is drawn at the middle
    assert across.max() < 40
    thickness = (drawn[180:200, 281].max(axis=-1) > 60).sum()
    assert 7 <= thickness <= 10  # half width 4


def test_hand_lines_and_points():
    (drawn,) = draw_skeletons(standing(), 768, 512)
    tip = standing().joints[0, LEFT_HAND][4]
    assert np.allclose(drawn[int(tip[1]), int(tip[0])].astype(int), (255, 0, 0), atol=60)  # (0, 0, 255) reversed
    unseen = dataclasses.replace(standing(), confidence=np.full((1, NUM_JOINTS), 0.29, np.float32))
    assert next(draw_skeletons(unseen, 768, 512)).max() == 0


def test_canvas_is_stretched_to_the_film():
    (drawn,) = draw_skeletons(standing(), 320, 640)
    assert drawn.shape == (320, 640, 3)
    rows, columns = np.nonzero(drawn.max(axis=-1) > 120)
    assert abs(columns.mean() - 320) < 20 and rows.max() > 280


def test_far_away_joints_do_not_break_drawing():
    wild = standing()
    wild.joints[0, 4] = (1e9, -1e9)
    assert next(draw_skeletons(wild, 64, 64)).shape == (64, 64, 3)


def test_gaps_are_filled_evenly_and_marked():
    sequence = standing(40)
    sequence.joints[:, 4, 0] = np.arange(40)
    sequence.confidence[10:15, 4] = 0
    sequence.joints[10:15, 4] = 0
    sequence.confidence[0:5, 7] = 0  # nothing before it
    filled = fill_gaps(sequence)
    assert np.allclose(filled.joints[:, 4, 0], np.arange(40)) and filled.seen[:, 4].all()
    assert filled.filled[:, 4].tolist() == [10 <= f < 15 for f in range(40)]
    assert not filled.seen[:5, 7].any() and not filled.filled[:, 7].any()
    long = standing(60)
    long.confidence[10:50] = 0
    assert not fill_gaps(long).seen[10:50].any()


def test_smoothing_removes_trembling_and_keeps_movement():
    sequence = standing(75)
    seconds = np.arange(75) / 25
    truth = 200 + 30 * np.sin(2 * np.pi * 1.5 * seconds)
    sequence.joints[:, 0, 0] = truth + np.random.default_rng(0).normal(0, 2, 75)
    after = smooth(sequence).joints[:, 0, 0] - truth
    assert after.std() < 0.65 * 2 and abs(after.mean()) < 0.5
    smoothed = smooth(sequence).joints[5:-5, 0, 0]
    fits = {lag: np.corrcoef(np.roll(truth, lag)[5:-5], smoothed)[0, 1] for lag in (-2, -1, 0, 1, 2)}
    assert max(fits, key=fits.get) == 0


@pytest.mark.parametrize("ending, last", [("hold", 9), ("ping-pong", 1)])
def test_start_speed_and_ending(ending, last):
    sequence = standing(10)
    sequence.joints[:, 0, 0] = np.arange(10)
    later = retime(sequence, 3, start_seconds=0.08, speed=1.5)
    assert later.joints[:, 0, 0].tolist() == [2, 3.5, 5]
    assert retime(sequence, 18, ending=ending).joints[-1, 0, 0] == last


def test_movement_on_a_smaller_person_with_longer_arms():
    source = standing(5)
    source.joints[:, :, 0] += 3 * np.arange(5)[:, None]  # walks to the right
    small = standing()
    joints = small.joints * 0.5 + (40, 60)
    for wrist, elbow in ((4, 3), (7, 6)):
        joints[0, wrist] = joints[0, elbow] + 1.4 * (joints[0, wrist] - joints[0, elbow])
    reference = dataclasses.replace(small, joints=joints.astype(np.float32), width=300, height=500)
    moved = retarget(source, reference)
    assert (moved.width, moved.height) == (300, 500)
    assert np.allclose(moved.joints[0, :NUM_BODY], reference.joints[0, :NUM_BODY], atol=0.5)
    assert np.allclose(moved.joints[4, NECK] - moved.joints[0, NECK], (12 * 0.5, 0), atol=0.5)
    # Hands hang on the longer arms.
    assert np.allclose(moved.joints[0, LEFT_HAND][0], moved.joints[0, LEFT_WRIST], atol=0.5)


def test_a_close_portrait_is_met_at_the_nose():
    reference = standing()
    reference.joints[0] = 2 * reference.joints[0] + (10, 20)
    reference.confidence[0, 1:14] = 0
    reference.confidence[0, 18:] = 0
    moved = retarget(standing(3), reference)
    assert np.allclose(moved.joints[0, [0, 14, 15, 16, 17]], reference.joints[0, [0, 14, 15, 16, 17]], atol=0.5)
    assert np.allclose(moved.joints[0, 5] - moved.joints[0, 2], 2 * (STANDING[5] - STANDING[2]), atol=1)


def test_a_portrait_shows_no_legs_and_still_fits():
    reference = standing()
    reference.confidence[0, 8:14] = 0
    reference.confidence[0, 18:] = 0
    moved = retarget(standing(3), reference)
    assert np.allclose(moved.joints[0, :NUM_BODY], STANDING, atol=1.0)


def test_file_keeps_everything(tmp_path):
    sequence = standing(4)
    sequence.filled[2, 3] = True
    read = load_pose(save_pose(sequence, tmp_path / "a.npz"))
    for field in ("joints", "confidence", "filled"):
        assert np.array_equal(getattr(read, field), getattr(sequence, field))
    assert (read.width, read.height, read.source) == (512, 768, "test")


def damaged(tmp_path, **changes):
    sequence = standing(2)
    arrays = {
        "version": np.int32(1), "joints": sequence.joints, "confidence": sequence.confidence,
        "filled": sequence.filled, "size": np.array([512, 768]), "source": np.array("x"),
    }  # fmt: skip
    arrays.update(changes)
    np.savez(tmp_path / "a.npz", **{k: v for k, v in arrays.items() if v is not None})
    return tmp_path / "a.npz"


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"version": None}, "not a recorded pose"),
        ({"version": np.int32(2)}, "version 2"),
        ({"joints": np.zeros((2, 17, 2), np.float32)}, "no usable pose"),
        ({"joints": np.full((2, NUM_JOINTS, 2), np.nan, np.float32)}, "no usable pose"),
        ({"joints": np.zeros((), np.float32)}, "no usable pose"),
        ({"joints": np.array([{"a": 1}], dtype=object)}, "not a recorded pose"),  # would need pickle
        ({"size": np.array([0, 5])}, "no usable pose"),
        ({"size": np.array([1])}, "not a recorded pose"),
    ],
)
def test_bad_files_are_told_in_a_sentence(tmp_path, changes, says):
    with pytest.raises(MediaError, match=says):
        load_pose(damaged(tmp_path, **changes))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"hello", b"\x93NUMPY"])
def test_files_of_another_kind(tmp_path, content):
    (tmp_path / "b.npz").write_bytes(content)
    with pytest.raises(MediaError, match="not a recorded pose"):
        load_pose(tmp_path / "b.npz")


def test_missing_file(tmp_path):
    with pytest.raises(MediaError, match="There is no recorded pose"):
        load_pose(tmp_path / "none.npz")


def test_score_in_percent_of_body_height():
    asked = standing(10)
    tall = body_height(asked.joints[0], asked.seen[0])
    assert 560 < tall < 680  # drawn 530 from nose to ankle
    same = pose_tracking_score(asked, asked)
    assert same.value == 0 and same.good
    off = dataclasses.replace(asked, joints=asked.joints + np.float32([0.1 * tall, 0]))
    score = pose_tracking_score(asked, off.resized(256, 384))
    assert score.value == pytest.approx(10, abs=0.1) and not score.good and "raise the strength" in score.sentence
    nobody = dataclasses.replace(asked, confidence=np.zeros_like(asked.confidence))
    lost = pose_tracking_score(asked, nobody)
    assert not lost.good and "No joint" in lost.sentence


def test_height_from_shoulders_alone():
    seen = np.zeros(NUM_JOINTS, bool)
    seen[[LEFT_SHOULDER, RIGHT_SHOULDER]] = True
    assert body_height(standing().joints[0], seen) == pytest.approx(100 / 0.22, rel=0.01)
    assert body_height(standing().joints[0], np.zeros(NUM_JOINTS, bool)) == 0
