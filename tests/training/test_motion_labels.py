"""What the network is told of a face's movement besides the sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from infinitetalk.training.batches import BatchMaker
from infinitetalk.training.latents import Variation
from infinitetalk.training.motion_labels import FARTHEST, SPREADS, MotionLabels
from infinitetalk.training.phases import Phase, TransformerTraining
from infinitetalk.training.references import Given
from tests.training.toy_features import CHANNELS, LAYERS, SIZE, toy_clips, toy_features

CHUNK = Phase("chunk", 1.0, 4, None, 1, 1.0, 1.0, 0.0, 1.0)
YAW, MIDDLE_X, NOSE_X, APART, LIDS = 0, 3, 5, 7, 8


@pytest.fixture
def clips():
    """The toy's, whose heads move to the right by 1.6 pixels and turn by 3 degrees in ten frames."""
    clips = toy_clips()
    skeleton = np.zeros((clips.num_clips, clips.num_frames, 3, 3), np.float32)
    skeleton[..., :2] = np.array([[0.6, 0.4], [0.4, 0.4], [0.5, 0.55]])
    time = np.arange(clips.num_frames) / 10
    skeleton[..., 0] += 1.6 / SIZE * time[:, None]
    pose = np.zeros((clips.num_clips, clips.num_frames, 3), np.float32)
    pose[..., 0] = 3 * time
    return replace(clips, skeleton=skeleton, joints=("left_eye", "right_eye", "nose"), pose=pose)


def plain(mirrored: bool = False, zoom: float = 1.0) -> Variation:
    return replace(Variation.of(0, 0, SIZE), mirrored=mirrored, zoom=zoom)


def test_nothing_is_told_of_the_reference_itself(clips):
    told = MotionLabels(clips, LAYERS, CHANNELS).movement(0, 20, plain())
    assert not told[20].any() and told[30].any()


def test_a_movement_is_told_in_spreads(clips):
    told = MotionLabels(clips, LAYERS, CHANNELS).movement(0, 10, plain())
    assert told[20, YAW] == pytest.approx(3 / SPREADS[YAW])
    assert told[20, MIDDLE_X] == pytest.approx(0.2 / SPREADS[MIDDLE_X], rel=1e-3)  # a position is eight pixels
    assert told[20, NOSE_X] == pytest.approx(told[20, MIDDLE_X], rel=1e-3)
    assert abs(told[20, APART]) < 1e-3


def test_mirrored_pictures_move_the_other_way_and_enlarged_ones_further(clips):
    labels = MotionLabels(clips, LAYERS, CHANNELS)
    straight, mirrored = labels.movement(0, 10, plain()), labels.movement(0, 10, plain(mirrored=True))
    sideways = [YAW, MIDDLE_X, NOSE_X]
    np.testing.assert_allclose(mirrored[:, sideways], -straight[:, sideways], atol=1e-4)
    np.testing.assert_allclose(mirrored[:, LIDS], straight[:, LIDS])
    larger = labels.movement(0, 10, plain(zoom=1.1))
    assert larger[20, MIDDLE_X] == pytest.approx(1.1 * straight[20, MIDDLE_X], rel=1e-3)


def test_what_is_told_is_bounded(clips):
    assert np.abs(MotionLabels(clips, LAYERS, CHANNELS).movement(0, 0, plain())).max() <= FARTHEST


def test_clips_without_joints_tell_their_pose(clips):
    told = MotionLabels(replace(clips, joints=()), LAYERS, CHANNELS).movement(0, 10, plain())
    assert told[20, YAW] == pytest.approx(1.0) and not told[:, MIDDLE_X : APART + 1].any()


@pytest.mark.parametrize("told", [False, True])
def test_it_is_added_to_the_sound_of_training_clips(clips, told):
    features = toy_features(clips)
    given = Given(0, 16, 1, opens=False)
    heard = BatchMaker(clips, features, 1.0, TransformerTraining()).example(0, given, CHUNK)["audio"]
    settings = TransformerTraining(motion_labels=told)
    audio = BatchMaker(clips, features, 1.0, settings).example(0, given, CHUNK)["audio"]
    difference = np.abs(audio - heard).max(axis=(1, 2, 3))
    assert (difference > 0).all() if told else not difference.any()
