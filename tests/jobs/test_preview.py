"""The row of small pictures shows the chunk, costs next to nothing, and comes at most twice a second."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
import torch
from PIL import Image

from infinitetalk.checkpoints.loading import load
from infinitetalk.jobs import preview
from infinitetalk.jobs.preview import WAN_LATENT_RGB, LatentPreview, as_jpeg, colors
from infinitetalk.media.images import load_image
from infinitetalk.models.specs import get_spec
from infinitetalk.models.vae import encode_video
from infinitetalk.paths import assets_dir


@pytest.fixture(scope="module")
def models():
    return load(get_spec("nano"), None, torch.float32, "cpu")


def test_nanos_map_gives_the_colours_of_the_picture(models) -> None:
    picture = Image.fromarray(load_image(assets_dir() / "portrait.png")).resize((128, 128), Image.Resampling.BOX)
    video = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None, :, None] / 127.5 - 1
    with torch.inference_mode():
        latents = encode_video(models.vae, video)
    shown = colors(latents, torch.tensor(models.vae.config.latent_rgb))[0].float()
    wanted = torch.from_numpy(np.asarray(picture.resize((16, 16), Image.Resampling.BOX)).copy()).float()
    assert (shown - wanted).abs().mean() < 4, "of 255"


def test_a_preview_is_a_row_of_pictures_and_comes_at_most_twice_a_second(models, monkeypatch) -> None:
    latents = torch.randn(1, 16, 21, 16, 16)
    show = LatentPreview(models.vae)
    start = time.perf_counter()
    data = show(latents)
    assert time.perf_counter() - start < 0.5
    row = Image.open(io.BytesIO(data))
    assert row.size == (preview.NUM_PICTURES * preview.PICTURE_HEIGHT, preview.PICTURE_HEIGHT) and len(data) < 30_000
    assert show(latents) is None
    monkeypatch.setattr(preview, "INTERVAL_SECONDS", 0.0)
    assert show(latents) is not None


def test_short_chunks_and_wide_pictures(models) -> None:
    wan = torch.tensor(WAN_LATENT_RGB)
    assert wan.shape == (17, 3)
    pictures = colors(torch.zeros(1, 16, 1, 56, 104), wan)
    assert pictures.shape == (1, 56, 104, 3)
    assert pictures[0, 0, 0].tolist() == [104, 116, 85], "the bias alone"
    assert Image.open(io.BytesIO(as_jpeg(pictures))).size == (119, 64)
