"""A clip's face with other speech: its mouth goes where that speech puts it, and nothing else counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from infinitetalk.training.audio_pretraining import SpeechWindows
from infinitetalk.training.batches import BatchMaker
from infinitetalk.training.dubbing import Dubbing
from infinitetalk.training.phases import Phase, TransformerTraining
from infinitetalk.training.transformer_report import mouth_middle
from infinitetalk.training.transformer_stage import weighted_error
from tests.training.toy_features import CELLS, CHANNELS, LAYERS, toy_clips, toy_features

WHOLE = (slice(None), slice(None))
PHASE = Phase("mouths", 1.0, 6, (8, 8), 4, 6.0, 3.0, 0.2, 0.6)
NUM_SHAPES = 7


def seven(jaw: np.ndarray) -> np.ndarray:
    """The jaw, and lips that press where it is shut."""
    shapes = np.zeros((*jaw.shape, NUM_SHAPES), np.float32)
    shapes[..., 0], shapes[..., -1] = jaw, jaw < 0.1
    return shapes


@pytest.fixture(scope="module")
def dubbed():
    """Clips, their features, and speech whose first excerpt is held out."""
    clips = toy_clips()
    clips = replace(clips, mouth_shapes=seven(clips.jaw))
    jaw = np.abs(np.sin(np.linspace(0, 9, 100)))[None].repeat(3, axis=0)
    speech = SpeechWindows(
        np.random.default_rng(0).normal(0, 1, (3, 100, LAYERS, CHANNELS)).astype(np.float16),
        seven(jaw),
        np.array([True, False, False]),
    )
    return clips, toy_features(clips), speech


def test_a_clip_asked_for_other_shapes_shows_them(dubbed) -> None:
    clips, features, speech = dubbed
    wanted = speech.shapes[1, :21]
    latents = Dubbing(clips, features, speech).chunk(0, 0, wanted, WHOLE)
    assert latents.shape == (6, 16, CELLS, CELLS)
    row, column = mouth_middle(clips, 0).astype(int)
    code = features.single[0, 0, 0, :, 0, 0].astype(np.float32)  # the corner holds nothing but the clip's own code
    pattern = features.single[0, 0].astype(np.float32) - features.single[0, 0, :1].astype(np.float32)
    direction = pattern[np.argmax(clips.jaw[0]), :, row, column]
    opened = (latents[1:, :, row, column] @ direction) / (direction @ direction)
    assert np.corrcoef(opened, wanted[1:, 0].reshape(5, 4).mean(axis=1))[0, 1] > 0.98
    np.testing.assert_allclose(latents[:, :, 0, 0], code[None].repeat(6, axis=0), atol=0.01)


def test_no_excerpt_that_is_held_out_is_drawn(dubbed) -> None:
    clips, features, speech = dubbed
    silent = replace(speech, shapes=speech.shapes * np.array([1, 0, 0])[:, None, None])
    drawn = [Dubbing(clips, features, silent).draw(21, np.random.default_rng(seed)).shapes for seed in range(20)]
    assert np.abs(drawn).max() == 0


def test_of_a_dubbed_example_only_the_mouth_counts(dubbed) -> None:
    clips, features, speech = dubbed
    settings = TransformerTraining(dubbed_share=1.0, audio_dropout=0.0, audio_noise=0.0)
    batch = BatchMaker(clips, features, 0.5, settings, speech=speech).draw(
        np.arange(4), PHASE, np.random.default_rng(1)
    )
    assert batch.dubbed.eq(1).all() and 0 < batch.closed.mean() < 1
    beside = (batch.mouth == 0).float()
    assert weighted_error(beside, batch, PHASE, 2.5) == 0
    assert weighted_error(beside, replace(batch, dubbed=torch.zeros(4)), PHASE, 2.5) > 0


def test_without_speech_and_when_measuring_nothing_is_dubbed(dubbed) -> None:
    clips, features, speech = dubbed
    settings = TransformerTraining(dubbed_share=1.0)
    for given, plain in ((None, False), (speech, True)):
        batch = BatchMaker(clips, features, 0.5, settings, speech=given).draw(
            np.arange(4), PHASE, np.random.default_rng(1), plain=plain
        )
        assert batch.dubbed.eq(0).all()


def test_shut_lips_weigh_more(dubbed) -> None:
    clips, features, speech = dubbed
    batch = BatchMaker(clips, features, 0.5, TransformerTraining()).draw(
        np.arange(4), PHASE, np.random.default_rng(1), plain=True
    )
    shut = torch.zeros_like(batch.closed)
    shut[:, :, -1] = 1
    error = batch.mouth * shut
    batch = replace(batch, closed=shut)
    assert weighted_error(error, batch, PHASE, 3.0) > weighted_error(error, batch, PHASE, 1.0)
