"""The encoder of nano's video autoencoder: pictures of 128x128 pixels to Wan's geometry of latents.

`AutoencoderKLWan` spends most of its time in three-dimensional convolutions, which a processor runs ten to twenty-five
times slower than two-dimensional ones.  Here the picture work is done per frame and almost all of it at 1/8 of the
resolution; time is mixed between the four frames of a group.

Shape legend: N frames or groups, G groups, H W pixels, h=H/8 w=W/8.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config.constants import VAE_TEMPORAL_STRIDE

PATCH = 8  # pixels per latent position along each side
FRAMES_PER_PASS = 96  # frames whose full-resolution features are held at once: bounds memory, not the result


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
        self.difference_in = nn.Conv2d(VAE_TEMPORAL_STRIDE * dim, dim, 1, bias=False)
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
    return frames.unflatten(1, (-1, VAE_TEMPORAL_STRIDE)).flatten(0, 1)


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
