"""Nano's autoencoder has Wan's geometry, codes a still video as its first frame, and decodes from the reference."""

from __future__ import annotations

import pytest
import torch

from infinitetalk.models.nano_vae import NanoVAE, shrink, warp

HEIGHT, WIDTH = 64, 80  # of decoded pictures; half of it is encoded


@pytest.fixture(scope="module")
def vae() -> NanoVAE:
    """A small autoencoder in which every path is at work (new ones start with some at zero)."""
    torch.manual_seed(0)
    model = NanoVAE(encoder_dim=16, group_dim=16, frame_dim=16, half_dim=8, quarter_dim=8, painter_dim=20).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def video(num_frames: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, num_frames, HEIGHT // 2, WIDTH // 2, generator=generator) * 2 - 1


def picture(seed: int = 7) -> torch.Tensor:
    return torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@torch.no_grad()
def encode(vae: NanoVAE, frames: torch.Tensor) -> torch.Tensor:
    return vae.encode(frames).latent_dist.mode()


@pytest.mark.parametrize("num_latent_frames", [1, 2, 6])
@torch.no_grad()
def test_geometry(vae: NanoVAE, num_latent_frames: int) -> None:
    frames = video(4 * (num_latent_frames - 1) + 1)
    latents = encode(vae, frames)
    assert latents.shape == (1, 16, num_latent_frames, HEIGHT // 16, WIDTH // 16)
    assert vae.decode(latents, picture()).sample.shape == (1, 3, frames.shape[2], HEIGHT, WIDTH)


def test_other_lengths_are_refused(vae: NanoVAE) -> None:
    with pytest.raises(AssertionError, match="4k\\+1"):
        encode(vae, video(8))


@torch.no_grad()
def test_still_video_has_the_latent_of_its_first_frame(vae: NanoVAE) -> None:
    frame = video(1)
    latents = encode(vae, frame.expand(-1, -1, 13, -1, -1))
    torch.testing.assert_close(latents, encode(vae, frame).expand_as(latents), atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_references_own_latent_decodes_to_the_reference(vae: NanoVAE) -> None:
    reference = picture()
    still = encode(vae, shrink(reference)[:, :, None].expand(-1, -1, 9, -1, -1))
    decoded = vae.decode(still, reference).sample
    assert (decoded - reference[:, :, None]).abs().max() < 1 / 255
    other = vae.decode(encode(vae, video(9)), reference).sample
    assert (other - reference[:, :, None]).abs().max() > 0.05  # a network that does nothing would pass, too


@pytest.mark.parametrize("skip_frames, left_out", [(0, 0), (1, 1), (4, 1), (5, 5), (9, 9), (12, 9)])
@torch.no_grad()
def test_frames_that_nobody_wants_are_left_out(vae: NanoVAE, skip_frames: int, left_out: int) -> None:
    latents, reference = encode(vae, video(17)), picture()
    whole = vae.decode(latents, reference).sample
    part = vae.decode(latents, reference, skip_frames=skip_frames).sample
    torch.testing.assert_close(part[:, :, left_out:], whole[:, :, left_out:], atol=1e-4, rtol=0)  # 1/80 of a byte
    assert (part[:, :, :left_out] == 0).all() and left_out <= skip_frames


@torch.no_grad()
def test_what_differs_somewhere_changes_nothing_far_away(vae: NanoVAE) -> None:
    wide = torch.rand(1, 3, 64, 1024, generator=torch.Generator().manual_seed(3)) * 2 - 1
    latents = vae.encode_picture(wide)[:, :, None].clone()
    latents[..., :2, :3] += 1
    decoded = vae.decode(latents, wide).sample[:, :, 0]
    assert (decoded - wide)[..., :48].abs().max() > 0.05
    torch.testing.assert_close(decoded[..., -128:], wide[..., -128:], atol=1e-5, rtol=0)


def test_painting_only_where_it_shows_gives_the_same_picture(vae: NanoVAE) -> None:
    reference = picture()
    with torch.no_grad():
        latents = encode(vae, video(5))
        latents[..., :2] = vae.encode_picture(reference)[:, :, None, :, :2]
        fast = vae.decode(latents, reference).sample
    whole = vae.decode(latents, reference).sample  # recording gradients it paints everywhere
    assert (fast - whole).abs().max() < 1 / 255


@torch.no_grad()
def test_motion_within_a_group_reaches_the_latent(vae: NanoVAE) -> None:
    frames = video(5)
    reversed_group = torch.cat([frames[:, :, :1], frames[:, :, 1:].flip(2)], dim=2)  # the same mean, another order
    assert (encode(vae, frames) - encode(vae, reversed_group)).abs().max() > 1e-3


@torch.no_grad()
def test_later_frames_change_nothing_earlier_than_the_group_before(vae: NanoVAE) -> None:
    one, other = video(17), video(17)
    other[:, :, 13:] = video(4, seed=2)
    a, b = encode(vae, one), encode(vae, other)
    torch.testing.assert_close(a[:, :, :4], b[:, :, :4])
    assert not torch.allclose(a[:, :, 4], b[:, :, 4])
    decoded, changed = vae.decode(a, picture()).sample, vae.decode(b, picture()).sample
    # The decoder looks one group ahead.
    torch.testing.assert_close(decoded[:, :, :9], changed[:, :, :9], atol=1 / 255, rtol=0)
    assert not torch.allclose(decoded[:, :, 9:13], changed[:, :, 9:13], atol=0.02)
    assert not torch.allclose(decoded[:, :, 13:], changed[:, :, 13:], atol=0.02)


@torch.no_grad()
def test_long_videos_are_coded_as_short_ones(vae: NanoVAE) -> None:
    """Features are computed a stretch of frames at a time; where a stretch ends must not show."""
    frames = video(201)
    latents = encode(vae, frames)
    torch.testing.assert_close(encode(vae, frames[:, :, :9]), latents[:, :, :3])
    decoded, short = vae.decode(latents, picture()).sample, vae.decode(latents[:, :, :3], picture()).sample
    torch.testing.assert_close(decoded[:, :, :5], short[:, :, :5], atol=1 / 255, rtol=0)


@torch.no_grad()
def test_every_video_has_its_own_reference(vae: NanoVAE) -> None:
    latents = torch.cat([encode(vae, video(5, seed)) for seed in (1, 2)])
    references = torch.cat([picture(3), picture(4)])
    together = vae.decode(latents, references).sample
    torch.testing.assert_close(together[1:], vae.decode(latents[1:], references[1:]).sample, atol=1e-3, rtol=0)


@torch.no_grad()
def test_a_reference_that_moves_along_is_shown_where_nothing_else_moves(vae: NanoVAE) -> None:
    latents = encode(vae, video(17))
    one = vae.decode(latents, picture()).sample
    same = vae.decode(latents, picture()[:, :, None].expand(-1, -1, 17, -1, -1)).sample
    assert torch.allclose(one, same, atol=1e-4)
    moving = torch.stack([picture(seed) for seed in range(17)], dim=2)
    own = encode(vae, shrink(moving.transpose(1, 2)).transpose(1, 2))
    shown = vae.decode(own, moving).sample
    assert shown.shape == moving.shape and torch.allclose(shown, moving, atol=1e-4)
    # What a latent adds is shown in its own frames and their neighbours' alone, and on top of them.
    own[:, :, 3] += 1
    changed = vae.decode(own, moving, skip_frames=5).sample
    assert not changed[:, :, 1:5].any()
    assert (changed[:, :, 9:13] - moving[:, :, 9:13]).abs().max() > 0.01


def test_every_weight_learns(vae: NanoVAE) -> None:
    loss = vae.decode(encode_with_gradients(vae, video(9)), picture()).sample.square().mean()
    loss.backward()
    still = [name for name, weight in vae.named_parameters() if weight.grad is None or not weight.grad.any()]
    vae.zero_grad()
    assert not still


def encode_with_gradients(vae: NanoVAE, frames: torch.Tensor) -> torch.Tensor:
    return vae.encode(frames).latent_dist.mode()


def test_warping_takes_pixels_from_where_the_flow_points() -> None:
    source = picture()
    flow = torch.zeros(1, 2, HEIGHT, WIDTH)
    flow[:, 0], flow[:, 1] = 3, -2  # three columns to the right, two rows up
    moved = warp(source, flow)
    torch.testing.assert_close(moved[..., 2:, :-3], source[..., :-2, 3:], atol=1e-4, rtol=0)
    torch.testing.assert_close(warp(source, torch.zeros_like(flow)), source, atol=1e-5, rtol=0)


def test_saved_and_loaded(vae: NanoVAE, tmp_path) -> None:
    vae.save_pretrained(tmp_path)
    again = NanoVAE.from_pretrained(tmp_path)
    torch.testing.assert_close(encode(again, video(5)), encode(vae, video(5)))
