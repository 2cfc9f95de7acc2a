"""Nano's video autoencoder: Wan's geometry from two-dimensional convolutions.

`AutoencoderKLWan` spends most of its time in three-dimensional convolutions, which float32 CPUs run ten to
twenty-five times slower than they need; a chunk of 81 frames at 128x128 takes it 9 s to encode and 17 s to decode
on two cores.  This class keeps everything the rest of the program can see of Wan's autoencoder (4k+1 frames to
k+1 latent frames, the first frame alone, causal in time, 16 channels, 8x8 pixels per latent) and its interface,
and takes about a third of a second for either direction.

How it gets there: the picture work is done per frame and almost all of it at 1/8 of the resolution; time is mixed
between the four frames of a group (encoder) and between a group and the one before it (decoder).

Two properties are built in rather than learnt:

* The latent of a group is a code of its mean picture plus a code of the differences from that mean; the second
  part has no biases, so a still video has the same latent in every latent frame as its first frame alone.
* Encoder and decoder each contain a linear path between 8x8 patches and latents (started from principal
  components), so the networks learn only what a linear code misses.

Shape legend: B batch, F frames (4k+1), T latent frames (k+1), H W pixels, h=H/8 w=W/8, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, IdentityDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

FRAMES_PER_GROUP = 4  # video frames that share one latent frame, all but the first
PATCH = 8  # pixels per latent position along each side
FRAMES_PER_PASS = 96  # frames whose full-resolution features are held at once: bounds memory, not the result


class NanoVAE(ModelMixin, ConfigMixin):
    """Deterministic video autoencoder with the interface of `AutoencoderKLWan`.

    `encode(video).latent_dist.mode()` and `decode(latents).sample` use raw latents; callers normalise with
    `config.latents_mean` and `config.latents_std`, as with Wan's.  All entries of `latents_std` are equal: scaling
    channel by channel would let the fine-detail channels dominate the transformer's loss.
    """

    _supports_gradient_checkpointing = False

    @register_to_config
    def __init__(
        self,
        z_dim: int = 16,
        encoder_dim: int = 96,
        decoder_dim: int = 160,
        frame_dim: int = 96,
        half_dim: int = 48,
        latents_mean: tuple[float, ...] = (0.0,) * 16,
        latents_std: tuple[float, ...] = (1.0,) * 16,
        scale_factor_spatial: int = PATCH,
        scale_factor_temporal: int = FRAMES_PER_GROUP,
    ) -> None:
        super().__init__()
        self.encoder = FrameGroupEncoder(z_dim, encoder_dim)
        self.decoder = FrameGroupDecoder(z_dim, decoder_dim, frame_dim, half_dim)

    def encode(self, x: Tensor, return_dict: bool = True) -> AutoencoderKLOutput | tuple[IdentityDistribution]:
        """Encode video [B,3,F,H,W] in [-1,1], F = 4k+1, H and W multiples of 8, to raw latents [B,16,k+1,h,w]."""
        batch, _, num_frames, height, width = x.shape
        assert num_frames % FRAMES_PER_GROUP == 1, f"video of {num_frames} frames, expected 4k+1"
        assert height % PATCH == 0 and width % PATCH == 0, f"{height}x{width} pixels, expected multiples of {PATCH}"
        features, patches = self.encoder.frame_features(x.transpose(1, 2).reshape(-1, 3, height, width))
        features = features.unflatten(0, (batch, num_frames))
        patches = patches.unflatten(0, (batch, num_frames))
        first = self.encoder.group_latents(features[:, :1], patches[:, :1])[:, None]
        groups = self.encoder.group_latents(in_groups(features[:, 1:]), in_groups(patches[:, 1:]))
        latents = torch.cat([first, groups.unflatten(0, (batch, -1))], dim=1).transpose(1, 2)
        distribution = IdentityDistribution(latents)
        return AutoencoderKLOutput(latent_dist=distribution) if return_dict else (distribution,)

    def decode(self, z: Tensor, return_dict: bool = True) -> DecoderOutput | tuple[Tensor]:
        """Decode raw latents [B,16,T,h,w] to video [B,3,4(T-1)+1,8h,8w], unclamped."""
        video = self.decoder(z)
        return DecoderOutput(sample=video) if return_dict else (video,)


class FrameGroupEncoder(nn.Module):
    """Per-frame features, then one latent per group of frames."""

    def __init__(self, z_dim: int, dim: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3 * 16, 48, 3, padding=1)  # on 4x4 blocks, at H/4
        self.merge = nn.Conv2d(48 * 4, dim, 1)  # 2x2 of those, at H/8
        self.frame_block = ResidualBlock(dim)
        self.patch_to_latent = nn.Conv2d(3 * PATCH * PATCH, z_dim, 1)  # the linear path
        self.mean_block = ResidualBlock(dim)
        self.mean_to_latent = zeroed(nn.Conv2d(dim, z_dim, 3, padding=1))
        # No biases from here on: equal frames have zero differences and must add nothing to the latent.
        self.difference_in = nn.Conv2d(FRAMES_PER_GROUP * dim, dim, 1, bias=False)
        self.difference_gate = nn.Conv2d(dim, dim, 1)
        self.difference_out = nn.Conv2d(dim, z_dim, 3, padding=1, bias=False)

    def frame_features(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """[N,3,H,W] to features [N,dim,h,w] and flattened 8x8 patches [N,192,h,w]."""
        features = [self._features(part) for part in frames.split(FRAMES_PER_PASS)]
        return torch.cat(features), F.pixel_unshuffle(frames, PATCH)

    def _features(self, frames: Tensor) -> Tensor:
        blocks = F.silu(self.stem(F.pixel_unshuffle(frames, 4)))
        return self.frame_block(self.merge(F.pixel_unshuffle(blocks, 2)))

    def group_latents(self, features: Tensor, patches: Tensor) -> Tensor:
        """Latents [G,16,h,w] of groups of four frames [G,4,...], or of single frames [G,1,...]."""
        if features.shape[0] == 0:
            return features.new_zeros(0, self.patch_to_latent.out_channels, *features.shape[3:])
        mean = features.mean(dim=1)
        latents = self.patch_to_latent(patches.mean(dim=1)) + self.mean_to_latent(F.silu(self.mean_block(mean)))
        if features.shape[1] == 1:
            return latents  # a single frame differs from its own mean by nothing
        differences = (features - mean[:, None]).flatten(1, 2)
        motion = F.silu(self.difference_in(differences)) * (1 + self.difference_gate(mean))
        return latents + self.difference_out(motion)


class FrameGroupDecoder(nn.Module):
    """Latents to frames; every group sees itself and, twice, the group before it."""

    def __init__(self, z_dim: int, dim: int, frame_dim: int, half_dim: int) -> None:
        super().__init__()
        self.frame_dim = frame_dim
        self.latent_to_patch = nn.Conv2d(z_dim, 3 * PATCH * PATCH, 1)  # the linear path
        self.latent_in = nn.Conv2d(2 * z_dim, dim, 3, padding=1)
        self.group_block = ResidualBlock(dim)
        self.previous = nn.Conv2d(dim, dim, 1)
        self.mixed_block = ResidualBlock(dim)
        self.to_frames = nn.Conv2d(dim, FRAMES_PER_GROUP * frame_dim, 1)
        self.frame_block = ResidualBlock(frame_dim)
        self.split = nn.Conv2d(frame_dim, 4 * half_dim, 1)  # to 2x2 positions, at H/4
        self.half_block = ResidualBlock(half_dim)
        self.to_fine = nn.Conv2d(half_dim, 4 * 16, 3, padding=1)  # to 2x2 positions, at H/2
        self.fine = nn.Conv2d(16, 16, 3, padding=1)
        self.to_pixels = zeroed(nn.Conv2d(16, 3 * 4, 3, padding=1))

    def forward(self, latents: Tensor) -> Tensor:
        batch, _, num_latent_frames, height, width = latents.shape
        groups = latents.transpose(1, 2)  # [B,T,16,h,w]
        hidden = self.latent_in(torch.cat([groups, _one_earlier(groups)], dim=2).flatten(0, 1))
        hidden = self.group_block(hidden)
        earlier = _one_earlier(hidden.unflatten(0, (batch, -1))).flatten(0, 1)
        hidden = self.mixed_block(hidden + self.previous(earlier))
        frames = self.to_frames(F.silu(hidden)).unflatten(1, (FRAMES_PER_GROUP, self.frame_dim))
        frames = _drop_before_first(frames.unflatten(0, (batch, -1)))  # [B,F,frame_dim,h,w]
        flat = self.latent_to_patch(groups.flatten(0, 1)).unflatten(0, (batch, -1))
        flat = _drop_before_first(flat[:, :, None].expand(-1, -1, FRAMES_PER_GROUP, -1, -1, -1))
        pictures = [
            self._paint(part, flat_part)
            for part, flat_part in zip(
                frames.flatten(0, 1).split(FRAMES_PER_PASS), flat.flatten(0, 1).split(FRAMES_PER_PASS), strict=True
            )
        ]
        return torch.cat(pictures).unflatten(0, (batch, -1)).transpose(1, 2)

    def _paint(self, hidden: Tensor, patches: Tensor) -> Tensor:
        """Frame features [N,frame_dim,h,w] and the linear path's patches [N,192,h,w] to pictures [N,3,8h,8w]."""
        hidden = F.pixel_shuffle(self.split(F.silu(self.frame_block(hidden))), 2)
        hidden = F.pixel_shuffle(self.to_fine(F.silu(self.half_block(hidden))), 2)
        detail = self.to_pixels(F.silu(self.fine(F.silu(hidden))))
        return F.pixel_shuffle(patches, PATCH) + F.pixel_shuffle(detail, 2)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to their input; the second starts at zero, so a new block changes nothing."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv_out = zeroed(nn.Conv2d(dim, dim, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_out(F.silu(self.conv_in(F.silu(x))))


def in_groups(frames: Tensor) -> Tensor:
    """[B,4k,...] to [B*k,4,...]."""
    return frames.unflatten(1, (-1, FRAMES_PER_GROUP)).flatten(0, 1)


def _one_earlier(groups: Tensor) -> Tensor:
    """[B,T,...] moved one later in time; before the first group stands the first itself, as in a still video."""
    return torch.cat([groups[:, :1], groups[:, :-1]], dim=1)


def _drop_before_first(frames: Tensor) -> Tensor:
    """[B,T,4,...] to [B,4(T-1)+1,...]: the first latent frame stands for the last frame of its group alone."""
    return frames.flatten(1, 2)[:, FRAMES_PER_GROUP - 1 :]


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
