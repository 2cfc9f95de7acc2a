"""Faces of a few lines whose mouths say what they are heard to say, as nano's own encoder sees them."""

from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.models.nano_vae import NanoVAE
from infinitetalk.paths import assets_dir
from infinitetalk.training.clips import ClipSet
from infinitetalk.training.latents import Features, compute_features
from tests.training.toy_features import toy_clips


def shipped_vae() -> NanoVAE:
    return NanoVAE.from_pretrained(assets_dir() / "nano" / "vae").eval()


@pytest.fixture(scope="session")
def nano_vae() -> NanoVAE:
    return shipped_vae()


@pytest.fixture(scope="session")
def mouth_clips() -> ClipSet:
    """Grey faces of 256 pixels in which a dark mouth opens with the sound."""
    clips = toy_clips(size=256)
    rows, columns = np.mgrid[:256, :256]
    for clip, video in enumerate(clips.video):
        texture = 8 * np.sin(columns / 5 + clip)[None] * np.cos(rows / 7)[None]
        video[:] = (video + texture[..., None]).astype(np.uint8)
        for frame in range(len(video)):
            height = 3 + 20 * clips.jaw[clip, frame]
            video[frame][np.hypot((rows - 184) / height, (columns - 128) / 26) < 1] = 20
    return clips


@pytest.fixture(scope="session")
def mouth_features(mouth_clips, tmp_path_factory) -> Features:
    from infinitetalk.models.audio_encoder import SpeechEncoder, nano_speech_config

    encoder = SpeechEncoder(nano_speech_config(hidden_size=32, num_layers=2, conv_channels=16)).eval()
    return compute_features(mouth_clips, shipped_vae(), encoder, tmp_path_factory.mktemp("features"))
