"""Video autoencoder: normalised latents for any autoencoder with the interface of diffusers' `AutoencoderKLWan`.

Shapes: video [B,3,F,H,W] in [-1,1], F = 4k+1; latents [B,16,T,h,w], T = k+1, h = H/8, w = W/8.

Wan's autoencoder is causal: it takes 1, 4, 4, ... frames and remembers two frames per convolution. The functions
below walk it group by group with a memory of their own, which makes three things possible: decoded frames leave as
they are made, the same network can serve two threads, and the encoding of [reference, zeros, zeros, ...] skips what
repeats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from ..config.constants import VAE_TEMPORAL_STRIDE
from .nano_vae import PICTURE_SCALE, NanoVAE, shrink
from .vae_steady import encode_then_constant

# Consecutive latents that differ by less than this many times their largest value differ by rounding alone.
_STEADY = 1e-6


def wan_vae(official_config: Mapping[str, object] | None = None) -> AutoencoderKLWan:
    """Wan's autoencoder with random weights, at its published size or in the one of an official configuration.

    Args:
        official_config: the reference's names: dim, z_dim, dim_mult, num_res_blocks, attn_scales, temperal_downsample.
    """
    settings = dict(official_config or {})
    if "dim" in settings:
        settings["base_dim"] = settings.pop("dim")
    return AutoencoderKLWan(**settings)


def num_latent_frames_of(num_frames: int) -> int:
    """1 → 1, 5 → 2, 81 → 21. Frames beyond the last full group of four are not encoded."""
    return 1 + (num_frames - 1) // VAE_TEMPORAL_STRIDE


def decoder_upscale(vae: nn.Module) -> int:
    """Pixels of a decoded picture per pixel that is encoded, along each side: 2 for nano, 1 for Wan's."""
    return PICTURE_SCALE if isinstance(vae, NanoVAE) else 1


def as_encoded(vae: nn.Module, pictures: Tensor) -> Tensor:
    """Pictures [...,3,H,W] or video [B,3,F,H,W] as large as decoded ones, at the size that is encoded."""
    return pictures if decoder_upscale(vae) == 1 else shrink(pictures)


def normalize_latents(vae: nn.Module, latents: Tensor) -> Tensor:
    """Raw latents [B,16,...] → zero mean, unit variance per channel with the statistics of the configuration."""
    mean, std = _statistics(vae, latents)
    return (latents - mean) / std


def denormalize_latents(vae: nn.Module, latents: Tensor) -> Tensor:
    """The inverse of `normalize_latents`."""
    mean, std = _statistics(vae, latents)
    return latents * std + mean


def encode_video(vae: nn.Module, video: Tensor) -> Tensor:
    """Video [B,3,F,H,W] in [-1,1] → normalised latents [B,16,T,h,w], without sampling."""
    video = video.to(dtype=vae.dtype, device=vae.device)
    if _walkable(vae):
        raw = torch.cat(list(_encode_groups(vae, _groups_of(video))), dim=2)
    else:
        raw = vae.encode(video).latent_dist.mode()
    return normalize_latents(vae, raw)


def decode_video(vae: nn.Module, latents: Tensor, reference: Tensor | None = None, *, skip_frames: int = 0) -> Tensor:
    """Normalised latents [B,16,T,h,w] → video [B,3,F,H,W] clamped to [-1,1].

    Args:
        reference: [B,3,H,W], which nano's decoder takes its pictures from, or [B,3,F,H,W]; others do not look at it.
        skip_frames: so many at the start may be left grey, where the autoencoder can do without them.
    """
    parts = list(decode_frames(vae, latents, reference, skip_frames=skip_frames))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def decode_frames(
    vae: nn.Module, latents: Tensor, reference: Tensor | None = None, *, skip_frames: int = 0
) -> Iterator[Tensor]:
    """As `decode_video`, handing out [B,3,1,H,W] and then [B,3,4,H,W] at a time as they are made.

    An autoencoder that cannot be walked hands out everything at once.
    """
    raw = denormalize_latents(vae, latents.to(dtype=vae.dtype, device=vae.device))
    if isinstance(vae, NanoVAE):
        assert reference is not None, "nano's decoder takes its pictures from a reference"
        reference = reference.to(dtype=vae.dtype, device=vae.device)
        yield vae.decode(raw, reference, skip_frames=skip_frames).sample.clamp_(-1.0, 1.0)
        return
    if not _walkable(vae):
        yield vae.decode(raw).sample.clamp(-1.0, 1.0)
        return
    memory: list[Tensor | None] = [None] * vae._cached_conv_counts["decoder"]
    hidden = vae.post_quant_conv(raw)
    for index in range(hidden.shape[2]):
        frames = vae.decoder(hidden[:, :, index : index + 1], feat_cache=memory, feat_idx=[0], first_chunk=index == 0)
        yield frames.clamp(-1.0, 1.0)


def encode_reference(vae: nn.Module, frame: Tensor, num_frames: int, last: Tensor | None = None) -> Tensor:
    """Encoding of a reference picture followed by zero (mid-grey) frames, as the network is conditioned on.

    Equal to `encode_video` of all `num_frames` frames up to rounding, for a third of the work or less: what repeats on
    constant frames is computed once (`models/vae_steady.py`).

    Args:
        frame: [B,3,H,W] in [-1,1].
        last: a second reference, as the last of the frames; then nothing repeats to the end, and all are computed.
    Returns:
        normalised latents [B,16,T,h,w].
    """
    frame = frame.to(dtype=vae.dtype, device=vae.device)[:, :, None]
    if last is not None:
        last = last.to(dtype=vae.dtype, device=vae.device)[:, :, None]
        return encode_video(vae, torch.cat([frame, _zeros_after(frame, num_frames - 2), last], dim=2))
    num_latent_frames = num_latent_frames_of(num_frames)
    if not _walkable(vae):
        return normalize_latents(vae, _encode_prefix(vae, frame, num_latent_frames))
    zeros = _zeros_after(frame, VAE_TEMPORAL_STRIDE)
    moments = encode_then_constant(vae, frame, zeros, num_latent_frames)
    return normalize_latents(vae, torch.cat([_mean(group) for group in moments], dim=2))


def _encode_prefix(vae: nn.Module, frame: Tensor, num_latent_frames: int) -> Tensor:
    """The same for an autoencoder that only encodes whole videos: raw latents [B,16,T,h,w].

    Three latent frames are tried first. Where the last two agree (nano's do, whose groups of frames do not see each
    other), so do all others.
    """
    if num_latent_frames > 3:
        latents = vae.encode(torch.cat([frame, _zeros_after(frame, 2 * VAE_TEMPORAL_STRIDE)], dim=2)).latent_dist.mode()
        last, before = latents[:, :, -1:], latents[:, :, -2:-1]
        if (last - before).abs().max() <= _STEADY * last.abs().max():
            return torch.cat([latents, last.expand(-1, -1, num_latent_frames - 3, -1, -1)], dim=2)
    zeros = _zeros_after(frame, (num_latent_frames - 1) * VAE_TEMPORAL_STRIDE)
    return vae.encode(torch.cat([frame, zeros], dim=2)).latent_dist.mode()


def _zeros_after(frame: Tensor, num_frames: int) -> Tensor:
    return frame.new_zeros(1).expand(*frame.shape[:2], num_frames, *frame.shape[3:])


def _walkable(vae: nn.Module) -> bool:
    """Wan's own autoencoder, unless its tiling was switched on, which cuts pictures instead."""
    return isinstance(vae, AutoencoderKLWan) and not vae.use_tiling and vae.config.patch_size is None


def _groups_of(video: Tensor) -> Iterator[Tensor]:
    """[B,3,1,H,W], then [B,3,4,H,W] each."""
    yield video[:, :, :1]
    for start in range(1, video.shape[2] - VAE_TEMPORAL_STRIDE + 1, VAE_TEMPORAL_STRIDE):
        yield video[:, :, start : start + VAE_TEMPORAL_STRIDE]


def _encode_groups(vae: AutoencoderKLWan, groups: Iterator[Tensor]) -> Iterator[Tensor]:
    """One raw latent frame [B,16,1,h,w] for every group of frames."""
    memory: list[Tensor | None] = [None] * vae._cached_conv_counts["encoder"]
    for group in groups:
        yield _mean(vae.quant_conv(vae.encoder(group, feat_cache=memory, feat_idx=[0])))


def _mean(moments: Tensor) -> Tensor:
    """The mean half of [B,2z,...]; the other half, the log variance, is never used."""
    return moments.chunk(2, dim=1)[0]


def _statistics(vae: nn.Module, latents: Tensor) -> tuple[Tensor, Tensor]:
    mean = latents.new_tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
    std = latents.new_tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
    return mean, std
