"""The sharpening stage: the decoder learns from generated mouths, beside a critic; latents and stillness stay."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from infinitetalk.errors import InputError
from infinitetalk.models.nano_vae import NanoVAE, shrink
from infinitetalk.training.batches import BatchMaker
from infinitetalk.training.decoded_crops import CropLoss
from infinitetalk.training.phases import Phase, TransformerTraining
from infinitetalk.training.sharpen_stage import Critic, SharpenTraining, sharpness_loss, train_sharpen
from infinitetalk.training.transformer_stage import train_transformer
from tests.training.conftest import shipped_vae

MOUTHS = Phase("mouths", 1.0, 4, (8, 8), 3, 6.0, 2.0, 0.0, 1.0)
TRANSFORMER = TransformerTraining(
    steps=2, audio_pretraining_steps=0, dim=48, num_heads=2, num_layers=1, context_tokens=2, phases=(MOUTHS,)
)
SETTINGS = SharpenTraining(seconds=None, num_steps=5, phase=MOUTHS)
SETTINGS = replace(SETTINGS, pieces=replace(SETTINGS.pieces, batch_size=2))


@pytest.fixture(scope="module")
def nano(mouth_clips, mouth_features, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported transformer that has hardly learnt anything, and the shipped autoencoder."""
    folder = tmp_path_factory.mktemp("nano")
    train_transformer(mouth_clips, mouth_features, folder, TRANSFORMER)
    shipped_vae().save_pretrained(folder / "vae")
    return folder


def batch_of(mouth_clips, mouth_features, sight_scale: float = 0.5):
    maker = BatchMaker(mouth_clips, mouth_features, sight_scale, SETTINGS.batches())
    return maker.draw(np.arange(3), MOUTHS, np.random.default_rng(0))


def gradients(mouth_clips, mouth_features, **weights: float) -> tuple[dict, dict]:
    """Largest gradient of each of the decoder's and the critic's parameters with these weights and no others."""
    torch.manual_seed(1)
    vae, critic = shipped_vae(), Critic()
    crop_loss = CropLoss(vae, 0.5)
    vae.decoder.requires_grad_(True)
    none = dict.fromkeys(("picture_weight", "lips_weight", "matching_weight", "adversary_weight"), 0.0)
    batch = batch_of(mouth_clips, mouth_features)
    frames = crop_loss.decode(batch.clean * 0.6, batch)
    loss, figures = sharpness_loss(critic, frames, batch, crop_loss, replace(SETTINGS, **(none | weights)))
    loss.backward()
    assert set(figures) == {"seen", "matching", "judged", "deceived"}
    return tuple(
        {name: 0.0 if p.grad is None else p.grad.abs().max().item() for name, p in network.named_parameters()}
        for network in (vae.decoder, critic)
    )


def test_decoder_and_critic_do_not_touch_each_other(mouth_clips, mouth_features) -> None:
    decoder, judging = gradients(mouth_clips, mouth_features)
    assert not any(decoder.values()), "judging teaches the critic alone"
    assert any(judging.values())
    decoder, critic = gradients(mouth_clips, mouth_features, matching_weight=1.0, adversary_weight=1.0)
    assert decoder["painter.to_pixels.weight"] > 0
    assert critic == pytest.approx(judging), "what the decoder wants does not move the critic"


def test_only_the_decoder_learns_and_stillness_stays(nano, mouth_clips, mouth_features, tmp_path: Path) -> None:
    figures = train_sharpen(mouth_clips, mouth_features, tmp_path, SETTINGS, nano)
    assert {"seen", "detail", "psnr", "mouth_psnr"} <= set(figures) and figures["detail"] > 0
    before, after = shipped_vae(), NanoVAE.from_pretrained(tmp_path / "sharpen" / "vae").eval()
    picture = torch.from_numpy(mouth_clips.frames(0, 3, 4).copy()).movedim(-1, 1).float() / 127.5 - 1
    assert torch.equal(before.encode_picture(picture), after.encode_picture(picture))
    assert not torch.equal(before.decoder.painter.latent_in.weight, after.decoder.painter.latent_in.weight)
    latents = after.encode(shrink(picture[:, :, None].expand(-1, -1, 5, -1, -1))).latent_dist.mode()
    shown = after.decode(latents, picture).sample
    assert (shown - picture[:, :, None]).abs().max() < 1e-4, "where nothing moves it gives the reference itself"


def test_a_spoilt_decoder_comes_back(nano, mouth_clips, mouth_features, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(nano, spoilt)
    vae = shipped_vae()
    with torch.no_grad():
        vae.decoder.painter.latent_to_patch.bias += 0.5
    vae.save_pretrained(spoilt / "vae")
    settings = replace(SETTINGS, rate=4e-3)
    first = train_sharpen(mouth_clips, mouth_features, tmp_path / "first", replace(settings, num_steps=1), spoilt)
    last = train_sharpen(mouth_clips, mouth_features, tmp_path / "last", replace(settings, num_steps=40), spoilt)
    assert last["mouth_psnr"] > first["mouth_psnr"] + 1, (first, last)


def test_features_are_needed(nano, mouth_clips, mouth_features, tmp_path: Path) -> None:
    none = replace(mouth_features, finished=np.zeros_like(mouth_features.finished), folder=None)
    with pytest.raises(InputError, match="compute some first"):
        train_sharpen(mouth_clips, none, tmp_path, SETTINGS, nano)
