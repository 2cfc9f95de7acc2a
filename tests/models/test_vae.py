from __future__ import annotations

import pytest
import torch
from torch import Tensor

from infinitetalk.models import vae_steady
from infinitetalk.models.nano_vae import NanoVAE
from infinitetalk.models.vae import (
    decode_frames,
    decode_video,
    decoder_upscale,
    denormalize_latents,
    encode_reference,
    encode_video,
    normalize_latents,
    num_latent_frames_of,
    wan_vae,
)


def tiny_wan(num_res_blocks: int = 1) -> torch.nn.Module:
    torch.manual_seed(num_res_blocks)
    vae = wan_vae({"dim": 8, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": num_res_blocks})
    for parameter in vae.parameters():  # larger than the default, so that every path through time shows in the result
        parameter.data.mul_(1.5)
    return vae.eval().requires_grad_(False)


def picture(height: int = 32, width: int = 24, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(3)) * 2 - 1


def followed_by_zeros(frame: Tensor, num_frames: int) -> Tensor:
    zeros = frame.new_zeros(*frame.shape[:2], num_frames - 1, *frame.shape[2:])
    return torch.cat([frame[:, :, None], zeros], dim=2)


@pytest.mark.parametrize("num_res_blocks", [1, 2])
@pytest.mark.parametrize("num_frames", [1, 5, 9, 33, 81, 161])
def test_reference_encoding_is_exact(num_res_blocks: int, num_frames: int) -> None:
    vae, frame = tiny_wan(num_res_blocks), picture(batch=2)
    full = encode_video(vae, followed_by_zeros(frame, num_frames))
    torch.testing.assert_close(encode_reference(vae, frame, num_frames), full, atol=1e-6, rtol=1e-6)


def test_reference_encoding_stops_exactly_when_blocks_repeat() -> None:
    """Each block's own output is watched: it repeats from the predicted group on, and not everywhere before."""
    vae, frame = tiny_wan(), picture()
    stages = vae_steady._stages(vae.encoder)
    outputs: list[list[Tensor]] = [[] for _ in stages]
    for group in range(stages[-1].steady_from + 3):
        hidden = frame[:, :, None] if group == 0 else torch.zeros(1, 3, 4, 32, 24)
        for stage, found in zip(stages, outputs, strict=True):
            hidden = stage.run(hidden)
            found.append(hidden)
    for stage, found in zip(stages, outputs, strict=True):
        settled = found[stage.steady_from]
        assert all(torch.allclose(settled, later, atol=1e-6) for later in found[stage.steady_from + 1 :])
    assert not torch.allclose(outputs[0][0][:, :, :1], outputs[0][stages[0].steady_from][:, :, :1], atol=1e-3)


def test_most_of_the_reference_encoding_is_skipped() -> None:
    vae, calls = tiny_wan(2), 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    vae.encoder.down_blocks[0].register_forward_hook(count)
    encode_reference(vae, picture(), 81)
    assert calls == 4  # of 21


def test_nano_takes_the_same_functions() -> None:
    torch.manual_seed(0)
    sizes = {"encoder_dim": 16, "group_dim": 16, "frame_dim": 16, "half_dim": 8, "quarter_dim": 8, "painter_dim": 20}
    vae = NanoVAE(**sizes, latents_mean=(0.1,) * 16, latents_std=(0.7,) * 16)
    for parameter in vae.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    vae.eval().requires_grad_(False)
    frame = picture()
    for num_frames in (1, 5, 9, 13, 81):
        full = encode_video(vae, followed_by_zeros(frame, num_frames))
        torch.testing.assert_close(encode_reference(vae, frame, num_frames), full, atol=1e-6, rtol=1e-6)
    large = torch.nn.functional.interpolate(frame, scale_factor=decoder_upscale(vae))
    video = decode_video(vae, full, large)
    assert video.shape == (1, 3, 81, 64, 48)
    assert video.abs().max() <= 1


def test_frames_leave_the_decoder_one_group_at_a_time() -> None:
    vae = tiny_wan()
    latents = torch.randn(1, 16, 4, 4, 3, generator=torch.Generator().manual_seed(0))
    groups = list(decode_frames(vae, latents))
    assert [group.shape[2] for group in groups] == [1, 4, 4, 4]
    theirs = vae.decode(denormalize_latents(vae, latents)).sample
    torch.testing.assert_close(torch.cat(groups, dim=2), theirs, atol=1e-6, rtol=1e-6)


def test_encoding_is_the_librarys_with_the_published_statistics() -> None:
    vae = tiny_wan()
    video = torch.rand(1, 3, 11, 16, 16) * 2 - 1  # two frames more than two groups: dropped
    theirs = vae.encode(video).latent_dist.mode()
    ours = encode_video(vae, video)
    assert ours.shape[2] == num_latent_frames_of(11) == 3
    torch.testing.assert_close(ours, normalize_latents(vae, theirs), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(denormalize_latents(vae, ours), theirs, atol=1e-5, rtol=1e-5)


def test_a_second_reference_changes_the_last_latent_frame_alone() -> None:
    """The autoencoder is causal: what comes last is not seen by what comes before."""
    vae = tiny_wan()
    first, last = picture(), -picture()
    with torch.inference_mode():
        single, both = encode_reference(vae, first, 13), encode_reference(vae, first, 13, last)
    torch.testing.assert_close(both[:, :, :-1], single[:, :, :-1], atol=1e-4, rtol=1e-4)
    assert (both[:, :, -1] - single[:, :, -1]).abs().mean() > 1e-3
