"""Stored latents and speech features are what encoding gives; clips join as they are rendered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from infinitetalk.errors import InputError
from infinitetalk.models.audio_encoder import SpeechEncoder, nano_speech_config
from infinitetalk.models.nano_vae import NanoVAE
from infinitetalk.training.latents import (
    LATENT_CELLS,
    NUM_VARIATIONS,
    Variation,
    compute_features,
    load_small,
    open_features,
)
from tests.training.toy_features import NUM_CLIPS, NUM_FRAMES, toy_clips

SIZE = 128


@pytest.fixture(scope="module")
def encoders():
    torch.manual_seed(0)
    vae = NanoVAE(encoder_dim=8, group_dim=8, frame_dim=8, half_dim=8, quarter_dim=8, latents_std=(0.5,) * 16)
    speech = SpeechEncoder(nano_speech_config(hidden_size=16, num_layers=2, num_heads=2))
    return vae.eval().requires_grad_(False), speech.eval().requires_grad_(False)


def textured(clips):
    """The toy's clips with moving noise for pictures."""
    rng = np.random.default_rng(0)
    video = [rng.integers(0, 255, (NUM_FRAMES, SIZE, SIZE, 3), dtype=np.uint8) for _ in clips.video]
    return replace(clips, video=video)


def test_stored_pieces_make_the_chunk_that_encoding_makes(encoders, tmp_path) -> None:
    clips = textured(toy_clips())
    some = np.zeros(NUM_CLIPS, bool)
    some[[1, 4]] = True
    vae, speech = encoders
    features = compute_features(replace(clips, is_finished=some), vae, speech, tmp_path)
    with torch.no_grad():
        expected = vae.encode(load_small(clips, 1, 6, 23)).latent_dist.mode()[0].transpose(0, 1) / 0.5
    stored = torch.from_numpy(features.chunk(1, 6, 5))
    torch.testing.assert_close(stored, expected, atol=0.01, rtol=0.01)  # kept in float16
    windows = features.windows(1, 0, NUM_FRAMES)
    np.testing.assert_array_equal(windows[0, 0], windows[0, 2])  # before the first frame stands the first
    np.testing.assert_array_equal(windows[5, 3], windows[6, 2])
    assert features.num_variations == (NUM_VARIATIONS, NUM_VARIATIONS)

    # One more clip is rendered: whoever has the features open sees it join.
    opened = open_features(tmp_path)
    assert opened.ready(np.arange(NUM_CLIPS)).tolist() == [1, 4]
    before = np.array(opened.single[1])
    some[2] = True
    compute_features(replace(clips, is_finished=some), vae, speech, tmp_path)
    assert opened.ready(np.arange(NUM_CLIPS)).tolist() == [1, 2, 4]
    np.testing.assert_array_equal(opened.single[1], before)
    assert np.abs(opened.single[2]).max() > 0


def test_features_of_other_networks_are_refused(encoders, tmp_path) -> None:
    clips = toy_clips()
    nothing = replace(clips, is_finished=np.zeros(NUM_CLIPS, bool))
    vae, speech = encoders
    compute_features(nothing, vae, speech, tmp_path)
    wider = SpeechEncoder(nano_speech_config(hidden_size=24, num_layers=2, num_heads=2))
    with pytest.raises(InputError, match="other clips or networks"):
        compute_features(nothing, vae, wider.eval(), tmp_path)
    with pytest.raises(InputError, match="holds no features"):
        open_features(tmp_path / "elsewhere")


def test_variations_keep_boxes_on_what_they_hold() -> None:
    """A dark patch is where the moved box says, whatever the variation did to the picture."""
    picture = torch.full((1, 3, SIZE, SIZE), 0.6)
    box = np.array([70, 52, 90, 76.0])
    picture[:, :, 66:94, 48:80] = -0.9
    for number in range(6):
        variation = replace(Variation.of(0, number, SIZE), colors=np.eye(3, 4))
        top, left, bottom, right = np.round(variation.boxes(box, SIZE)).astype(int)
        assert variation.pictures(picture)[0, :, top:bottom, left:right].max() < -0.5, number
    assert torch.equal(Variation.of(0, 0, SIZE).pictures(picture), picture)
    assert LATENT_CELLS == 16
