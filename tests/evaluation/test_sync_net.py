"""The studio sync score, on mouths that are drawn to follow a sound."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from infinitetalk.errors import CheckpointError
from infinitetalk.evaluation.sync_net import (
    CROP,
    MELS,
    SyncNet,
    lip_boxes,
    load_sync_net,
    log_mel,
    mouth_crops,
    sound_windows,
    sync_score,
)
from infinitetalk.evaluation.sync_training import SyncTraining, train_sync

NUM_FRAMES, SIZE = 80, 64


def talking(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames [F,S,S,3], sound [640 F] as loud as the mouth is open, and boxes around the lips [F,4]."""
    rng = np.random.default_rng(seed)
    loudness = np.repeat(rng.uniform(0, 1, NUM_FRAMES // 4), 4)
    frames = np.full((NUM_FRAMES, SIZE, SIZE, 3), rng.integers(120, 200), np.uint8)
    for frame, opening in zip(frames, loudness, strict=True):
        cv2.ellipse(frame, (32, 40), (12, 1 + int(9 * opening)), 0, 0, 360, (30, 10, 10), -1)
    envelope = np.interp(np.arange(640 * NUM_FRAMES) / 640, np.arange(NUM_FRAMES) + 0.5, loudness)
    sound = (envelope * rng.normal(0, 0.2, 640 * NUM_FRAMES)).astype(np.float32)
    return frames, sound, np.tile(np.float32([32, 20, 48, 44]), (NUM_FRAMES, 1))


class DrawnClips:
    """Clips of `talking` for training; the last two are held out."""

    num_frames = NUM_FRAMES

    def __init__(self, count: int) -> None:
        self._clips = [talking(seed) for seed in range(count)]
        self.mouth_boxes = np.stack([boxes for _, _, boxes in self._clips])

    def split(self, name: str) -> np.ndarray:
        numbers = np.arange(len(self._clips))
        return numbers[-2:] if name == "test" else numbers[:-2]

    def frames(self, clip: int, start: int, stop: int) -> np.ndarray:
        return self._clips[clip][0][start:stop]

    def samples(self, clip: int) -> np.ndarray:
        return self._clips[clip][1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[SyncNet, dict[str, float]]:
    out = tmp_path_factory.mktemp("sync")
    settings = SyncTraining(seconds=60, num_steps=50, clips_per_step=2, windows_per_clip=12, width=8)
    figures = train_sync(DrawnClips(8), out, settings)
    return load_sync_net(out / "sync_net.safetensors"), figures


def test_it_learns_whose_sound_it_is(trained: tuple[SyncNet, dict[str, float]]) -> None:
    net, figures = trained
    assert figures["right_of_24"] > 2 / 13  # 13 windows of such a short clip; chance is one of them
    frames, sound, boxes = talking(50)
    own = sync_score(net, mouth_crops(frames, boxes), sound)
    other = sync_score(net, mouth_crops(frames, boxes), talking(51)[1])
    assert own.confidence > 2 * other.confidence and own.distance < other.distance
    assert abs(own.offset) <= 1


def test_the_offset_has_a_sign(trained: tuple[SyncNet, dict[str, float]]) -> None:
    frames, sound, boxes = talking(52)
    late = np.roll(frames, 6, axis=0)  # the lips come after the sound
    assert sync_score(trained[0], mouth_crops(late, boxes), sound).offset == pytest.approx(6, abs=1)


def test_the_shipped_weights_fit() -> None:
    assert load_sync_net().num_features == 64


def test_missing_weights_are_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="--stage sync"):
        load_sync_net(tmp_path / "none.safetensors")


def test_crops_follow_the_head_but_not_the_lips() -> None:
    frames, _, boxes = talking(3)
    moving = boxes.copy()
    moving[:, 2] += 8 * (np.arange(NUM_FRAMES) % 2)  # the lower lip trembles
    still, trembling = mouth_crops(frames, boxes), mouth_crops(frames, moving)
    assert still.shape == (NUM_FRAMES, CROP, CROP)
    steps = np.abs(np.diff(trembling[:4].astype(int), axis=0)).mean(axis=(1, 2))
    assert steps.max() < 2
    moving[10:20] = np.nan
    assert np.isfinite(mouth_crops(frames, moving)).all()


def test_boxes_are_around_the_lips() -> None:
    points = np.zeros((1, 478, 3))
    points[0, 61], points[0, 291], points[0, 0], points[0, 17] = (10, 30, 0), (40, 31, 0), (25, 20, 0), (25, 45, 0)
    points[0, :, :2] = np.where(points[0, :, :2] == 0, 25, points[0, :, :2])
    assert lip_boxes(points)[0].tolist() == [20, 10, 45, 40]


def test_a_tone_is_in_its_band_and_windows_lie_at_their_frames() -> None:
    seconds = np.arange(32_000) / 16_000
    low, high = log_mel(np.sin(2 * np.pi * 300 * seconds)), log_mel(np.sin(2 * np.pi * 4000 * seconds))
    assert low.shape == (MELS, 201)
    assert low[:, 100].argmax() < high[:, 100].argmax()
    click = np.zeros(32_000, np.float32)
    click[16_000] = 1  # the beginning of frame 25
    assert sound_windows(log_mel(click), np.array([25])).shape == (1, MELS, 28)
    assert sound_windows(log_mel(click), np.array([25]))[0].sum(dim=0).argmax().item() == pytest.approx(12, abs=1)
