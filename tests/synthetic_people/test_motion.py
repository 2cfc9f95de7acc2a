"""Motion in calm clips follows from the sound: pauses blink, accents raise brows and lower the chin."""

from __future__ import annotations

import numpy as np

from infinitetalk.training.clips import CALM, LIVELY, MOVING_CAMERA
from synthetic_people.motion import blink_frames, make_motion
from synthetic_people.phones import SAMPLE_RATE, Phone, Utterance
from synthetic_people.prosody import prosody

FPS, NUM_FRAMES = 25, 200
SPOKEN = ((0.2, 1.6), (2.2, 3.4), (4.0, 7.6))  # seconds; the rest is silence


def track() -> Utterance:
    """Voiced bursts of 0.2 s, the second of every four louder, and an m at 0.5 s."""
    times = np.arange(NUM_FRAMES * SAMPLE_RATE // FPS) / SAMPLE_RATE
    level = np.zeros_like(times)
    for start, stop in SPOKEN:
        inside = (times >= start) & (times < stop)
        syllable = ((times - start) / 0.2).astype(int)
        level[inside] = (
            np.where(syllable % 4 == 1, 0.5, 0.12)[inside] * (0.3 + 0.7 * np.sin(np.pi * times / 0.2) ** 2)[inside]
        )
    buzz = np.sin(2 * np.pi * 120 * times) + 0.5 * np.sin(2 * np.pi * 240 * times)
    return Utterance((level * buzz).astype(np.float32), (Phone("m", 0.5, 0.6), Phone("aa", 0.6, 1.0)))


def test_eyes_shut_soon_after_a_pause_begins_and_never_twice_at_once() -> None:
    blinks = np.asarray(blink_frames(prosody(track(), NUM_FRAMES, FPS), FPS)) / FPS
    for _, stop in SPOKEN[:2]:
        assert np.abs(blinks - (stop + 0.1)).min() < 0.12
    assert np.diff(blinks).min() > 0.9
    assert ((blinks > 4.2) & (blinks < 7.6)).any()  # a long phrase has one as well


def test_calm_motion_is_decided_by_the_sound() -> None:
    first, second = (make_motion(track(), NUM_FRAMES, FPS, CALM, np.random.default_rng(seed)) for seed in (1, 2))
    for name in ("lids", "brows", "closures", "camera", "body", "shrug"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name
    # People hold their heads differently; how they move is the same.
    np.testing.assert_allclose(first.pose - first.pose[0], second.pose - second.pose[0], atol=1e-5)
    assert np.ptp(first.pose[:, 1]) < 3.5 and np.ptp(first.pose[:, 0]) < 4.1
    assert first.lids.max() > 0.99 and first.lids.min() == 0
    assert np.array_equal(first.camera, np.tile(np.float32([0, 0, 1]), (NUM_FRAMES, 1)))


def test_brows_rise_and_the_chin_sinks_together_on_accents() -> None:
    motion = make_motion(track(), NUM_FRAMES, FPS, CALM, np.random.default_rng(0))
    assert motion.brows.max() > 0.35
    speaking = prosody(track(), NUM_FRAMES, FPS).speaking > 0.9
    assert np.corrcoef(motion.brows[speaking], motion.pose[speaking, 1])[0, 1] < -0.8


def test_closures_are_where_m_is() -> None:
    shut = make_motion(track(), NUM_FRAMES, FPS, CALM, np.random.default_rng(0)).closures
    assert shut.any() and set(np.flatnonzero(shut)) <= set(range(12, 16))


def test_lively_heads_turn_and_cameras_move() -> None:
    lively = make_motion(track(), NUM_FRAMES, FPS, LIVELY, np.random.default_rng(3))
    moving = make_motion(track(), NUM_FRAMES, FPS, MOVING_CAMERA, np.random.default_rng(3))
    assert np.ptp(lively.pose[:, 0]) > 5 and np.abs(lively.pose[:, 0]).max() < 18
    assert np.ptp(moving.camera[:, 0]) > 0.005 and np.ptp(lively.camera) == 1  # zeros, and a zoom of one
    assert 0.7 < moving.camera[:, 2].min() and moving.camera[:, 2].max() < 1.4
    assert np.abs(np.diff(moving.camera, axis=0)).max() < 0.02
