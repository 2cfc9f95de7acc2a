"""Nano's autoencoder has Wan's geometry, is causal, and codes a still video as its first frame."""

from __future__ import annotations

import pytest
import torch

from infinitetalk.models.nano_vae import NanoVAE


@pytest.fixture(scope="module")
def vae() -> NanoVAE:
    """A small autoencoder in which every path is at work (new ones start with some at zero)."""
    torch.manual_seed(0)
    model = NanoVAE(encoder_dim=16, decoder_dim=16, frame_dim=16, half_dim=8).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def video(num_frames: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(1, 3, num_frames, 32, 40, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@torch.no_grad()
def encode(vae: NanoVAE, frames: torch.Tensor) -> torch.Tensor:
    return vae.encode(frames).latent_dist.mode()


@pytest.mark.parametrize("num_latent_frames", [1, 2, 6])
@torch.no_grad()
def test_geometry(vae: NanoVAE, num_latent_frames: int) -> None:
    frames = video(4 * (num_latent_frames - 1) + 1)
    latents = encode(vae, frames)
    assert latents.shape == (1, 16, num_latent_frames, 4, 5)
    assert vae.decode(latents).sample.shape == frames.shape


def test_other_lengths_are_refused(vae: NanoVAE) -> None:
    with pytest.raises(AssertionError, match="4k\\+1"):
        encode(vae, video(8))


@torch.no_grad()
def test_still_video_has_the_latent_of_its_first_frame(vae: NanoVAE) -> None:
    frame = video(1)
    latents = encode(vae, frame.expand(-1, -1, 13, -1, -1))
    torch.testing.assert_close(latents, encode(vae, frame).expand_as(latents), atol=1e-5, rtol=0)


@torch.no_grad()
def test_motion_within_a_group_reaches_the_latent(vae: NanoVAE) -> None:
    frames = video(5)
    reversed_group = torch.cat([frames[:, :, :1], frames[:, :, 1:].flip(2)], dim=2)  # the same mean, another order
    assert (encode(vae, frames) - encode(vae, reversed_group)).abs().max() > 1e-3


@torch.no_grad()
def test_later_frames_change_nothing_earlier(vae: NanoVAE) -> None:
    one, other = video(13), video(13)
    other[:, :, 9:] = video(4, seed=2)
    a, b = encode(vae, one), encode(vae, other)
    torch.testing.assert_close(a[:, :, :3], b[:, :, :3])
    assert not torch.allclose(a[:, :, 3], b[:, :, 3])
    decoded, changed = vae.decode(a).sample, vae.decode(b).sample
    torch.testing.assert_close(decoded[:, :, :9], changed[:, :, :9])
    assert not torch.allclose(decoded[:, :, 9:], changed[:, :, 9:])


@torch.no_grad()
def test_long_videos_are_encoded_as_short_ones(vae: NanoVAE) -> None:
    """Features are computed a stretch of frames at a time; where a stretch ends must not show."""
    frames = video(201)
    latents = encode(vae, frames)
    torch.testing.assert_close(encode(vae, frames[:, :, :9]), latents[:, :, :3])
    torch.testing.assert_close(vae.decode(latents).sample[:, :, :9], vae.decode(latents[:, :, :3]).sample)


def test_saved_and_loaded(vae: NanoVAE, tmp_path) -> None:
    vae.save_pretrained(tmp_path)
    again = NanoVAE.from_pretrained(tmp_path)
    torch.testing.assert_close(encode(again, video(5)), encode(vae, video(5)))
