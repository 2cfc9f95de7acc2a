"""Clips as they are read: area means, and older folders with neutral truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from infinitetalk.errors import InputError
from infinitetalk.training.clips import CALM, area_mean, open_clips

FRAMES = 4


def write(folder: Path, size: int, newer: dict[str, np.ndarray] | None = None, *, done: bool = True) -> None:
    """Two clips of `size` pixels, of format 1 but for what `newer` holds."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    arrays = {
        "video": rng.integers(0, 255, (2, FRAMES, size, size, 3), np.uint8),
        "audio": np.zeros((2, FRAMES * 640), np.float32),
        "jaw": rng.random((2, FRAMES), np.float32),
        "shapes": np.zeros((2, FRAMES, 7), np.float32),
        "openness": np.zeros((2, FRAMES), np.float32),
        "pose": np.zeros((2, FRAMES, 3), np.float32),
        "mouth_boxes": np.zeros((2, FRAMES, 4), np.float32),
        "head_ids": np.arange(2),
        "voice_ids": np.asarray([0, 7]),
        "done": np.full(2, done),
    } | (newer or {})
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    voices = {"0": "flite-rms", "7": {"name": "festival-suo", "language": "fi"}}
    index = {"num_clips": 2, "num_frames": FRAMES, "voices": voices, "joints": ["nose"] if newer else []}
    (folder / "index.json").write_text(json.dumps(index))


def test_small_frames_are_means_of_squares() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:2, :2] = [[[0, 10, 255]] * 2, [[4, 10, 255], [7, 11, 254]]]
    small = area_mean(picture, 2)
    assert small.shape == (2, 2, 3) and small[0, 0].tolist() == [3, 10, 255] and small[1, 1].tolist() == [0, 0, 0]
    assert area_mean(picture, 4) is not None and np.array_equal(area_mean(picture, 4), picture)
    with pytest.raises(ValueError, match="multiple of 3"):
        area_mean(picture, 3)


def test_an_old_folder_reads_as_eyes_open_and_camera_still(tmp_path) -> None:
    for name in ("train", "heldout"):
        write(tmp_path / name, 128)
    read = open_clips(tmp_path)
    assert read.num_clips == 4 and read.size == 128 and read.split("test").tolist() == [2, 3]
    assert not read.lids.any() and read.camera[0, 0].tolist() == [0, 0, 1] and (read.motion == CALM).all()
    assert read.languages == ("en", "fi", "en", "fi")
    assert np.array_equal(read.small(1, 1, 3), read.frames(1, 1, 3))


def test_new_truth_is_read_and_large_frames_get_small(tmp_path) -> None:
    mask = np.zeros((2, FRAMES, 64, 8), np.uint8)
    mask[:, :, :, 0] = 0b10000000
    newer = {
        "lids": np.full((2, FRAMES), 0.5, np.float32), "mask": mask, "motion": np.asarray([0, 2], np.uint8),
        "skeleton": np.ones((2, FRAMES, 1, 3), np.float32),
    }  # fmt: skip
    for name in ("train", "heldout"):
        write(tmp_path / name, 256, newer)
    read = open_clips(tmp_path)
    assert read.size == 256 and read.small(0, 0, 2).shape == (2, 128, 128, 3)
    assert read.masks(0, 0, 1)[0, :, 0].all() and read.masks(0, 0, 1).sum() == 64
    assert read.lids[0, 0] == 0.5 and read.motion.tolist() == [0, 2, 0, 2] and read.joints == ("nose",)


def test_a_folder_without_finished_clips_is_a_sentence(tmp_path) -> None:
    with pytest.raises(InputError, match="holds no clips; render some"):
        open_clips(tmp_path)
    write(tmp_path / "train", 128)
    write(tmp_path / "heldout", 128, done=False)
    with pytest.raises(InputError, match="no finished clip yet"):
        open_clips(tmp_path)
