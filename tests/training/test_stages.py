"""The speech encoder's stage learns from a toy and writes loadable weights; other stages have files of their own."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from infinitetalk.commands.train import favoured_clips
from infinitetalk.errors import InputError
from infinitetalk.models.audio_encoder import SpeechEncoder
from infinitetalk.training.audio_stage import AudioTraining, train_audio
from infinitetalk.training.clips import ClipSet, neutral_truth, open_clips

NUM_FRAMES, SIZE = 113, 64


@pytest.fixture(scope="module")
def toy() -> ClipSet:
    """Five clips of a coloured wall with a dark mouth that is as open as the noise is loud."""
    rng = np.random.default_rng(0)
    jaw = np.abs(np.sin(np.cumsum(rng.uniform(0.1, 0.6, (5, NUM_FRAMES)), axis=1))).astype(np.float32)
    video = np.empty((5, NUM_FRAMES, SIZE, SIZE, 3), np.uint8)
    for clip in range(5):
        wall = np.kron(rng.integers(60, 255, (8, 8, 3)), np.ones((8, 8, 1)))
        for frame in range(NUM_FRAMES):
            video[clip, frame] = wall
            half = int(1 + 7 * jaw[clip, frame])
            video[clip, frame, 40 - half : 40 + half, 24:40] = (70, 20, 20)
    audio = rng.normal(0, 0.2, (5, NUM_FRAMES * 640)) * np.repeat(jaw + 0.03, 640, axis=1)
    boxes = np.tile(np.array([30, 22, 50, 42], np.float32), (5, NUM_FRAMES, 1))
    is_test = np.arange(5) >= 3
    return ClipSet(
        video=list(video),
        audio=list(audio.astype(np.float32)),
        mouth_shapes=jaw[:, :, None] * 0.5,
        is_test=is_test,
        is_finished=np.ones(5, bool),
        **neutral_truth(5, NUM_FRAMES)
        | {
            "jaw": jaw,
            "openness": jaw * 0.5,
            "pose": np.zeros((5, NUM_FRAMES, 3), np.float32),
            "mouth_boxes": boxes,
            "head_ids": np.arange(5),
            "voice_ids": np.zeros(5, np.int64),
        },
    )


@pytest.fixture(scope="module")
def trained(toy: ClipSet, tmp_path_factory) -> tuple[Path, dict[str, dict[str, float]]]:
    """The folder after the stage audio, and its figures."""
    out = tmp_path_factory.mktemp("nano")
    torch.manual_seed(0)
    return out, {
        "audio": train_audio(toy, out, AudioTraining(num_steps=25, batch_size=2, num_frames=40)),
    }


def test_the_encoder_hears_the_mouth(trained) -> None:
    out, figures = trained
    assert figures["audio"]["jaw_last_layer"] > 0.3  # loudness alone gives it away in the toy
    layers = SpeechEncoder.from_pretrained(out / "audio_encoder").eval().embed(np.zeros(6400, np.float32))
    assert layers.shape == (10, 4, 96)


def test_favoured_clips_come_from_a_file_of_numbers(tmp_path) -> None:
    file = tmp_path / "beards.txt"
    file.write_text("14\n17\n")
    options = argparse.Namespace(favour=file)
    assert favoured_clips(options) == (14, 17) and favoured_clips(argparse.Namespace(favour=None)) is None
    for wrong in ("fourteen", None):
        file.unlink() if wrong is None else file.write_text(wrong)
        with pytest.raises(InputError, match="a number in each line"):
            favoured_clips(options)


def test_missing_clips_are_said(tmp_path) -> None:
    with pytest.raises(InputError, match="holds no clips"):
        open_clips(tmp_path)
