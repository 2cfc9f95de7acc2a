"""Encoding one picture followed by a constant one with Wan's autoencoder, computing nothing twice.

A convolution that looks two frames back sees only equal frames from some group of frames on, and from then on its
output repeats. How far back each block looks is fixed by its structure, so when its output starts to repeat is known
beforehand, to the group. With the published network the blocks at full resolution, where three quarters of the work
are, need 4 of a chunk's 21 groups; the deepest ones would repeat after 30. The result is what the whole network
gives, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, WanResample, WanResidualBlock
from torch import Tensor, nn

from ..config.constants import VAE_TEMPORAL_STRIDE

_CACHED_FRAMES = 2  # what a causal convolution of width 3 remembers


@dataclass
class _Stage:
    """A block of the encoder with its memory. From group `steady_from` on its output repeats."""

    run: Callable[[Tensor], Tensor]
    steady_from: int
    memory: list[Tensor | None] = field(default_factory=list)


def encode_then_constant(vae: AutoencoderKLWan, first: Tensor, rest: Tensor, num_groups: int) -> Iterator[Tensor]:
    """Raw moments [B,2z,1,h,w] of every group: `first` [B,3,1,H,W], then `rest` [B,3,4,H,W] again and again."""
    stages = _stages(vae.encoder)
    start, kept = 0, rest  # the first stage that still has to run, and its input
    for group in range(num_groups):
        hidden = first if group == 0 else kept
        for index, stage in enumerate(stages[0 if group == 0 else start :], 0 if group == 0 else start):
            hidden = stage.run(hidden)
            if group == stage.steady_from:
                start, kept = index + 1, hidden
                stage.memory.clear()
        yield vae.quant_conv(hidden)


def _stages(encoder: nn.Module) -> list[_Stage]:
    """The encoder's blocks in order, each with the group from which its output repeats."""
    stages: list[_Stage] = []
    steady_from, frames_per_group = 1, VAE_TEMPORAL_STRIDE

    def add(block: nn.Module | Callable, lookback_frames: int, num_convolutions: int) -> None:
        nonlocal steady_from
        steady_from += math.ceil(lookback_frames / frames_per_group)
        memory: list[Tensor | None] = [None] * num_convolutions
        stages.append(_Stage(lambda x: block(x, feat_cache=memory, feat_idx=[0]), steady_from, memory))

    add(lambda x, feat_cache, feat_idx: _convolve(encoder.conv_in, x, feat_cache), _CACHED_FRAMES, 1)
    for block in [*encoder.down_blocks, *_middle(encoder.mid_block)]:
        convolutions = sum(isinstance(module, WanCausalConv3d) for module in block.modules())
        if isinstance(block, WanResidualBlock):
            add(block, 2 * _CACHED_FRAMES, convolutions)
        elif isinstance(block, WanResample):
            add(block, 1 if block.mode == "downsample3d" else 0, convolutions)
            if block.mode == "downsample3d":
                frames_per_group //= 2
        else:  # attention within each frame
            add(lambda x, feat_cache, feat_idx, block=block: block(x), 0, 0)

    def head(x: Tensor, feat_cache: list[Tensor | None], feat_idx: list[int]) -> Tensor:
        return _convolve(encoder.conv_out, encoder.nonlinearity(encoder.norm_out(x)), feat_cache)

    add(head, _CACHED_FRAMES, 1)
    return stages


def _middle(block: nn.Module) -> Iterator[nn.Module]:
    yield block.resnets[0]
    for attention, residual in zip(block.attentions, block.resnets[1:], strict=True):
        if attention is not None:
            yield attention
        yield residual


def _convolve(convolution: WanCausalConv3d, x: Tensor, memory: list[Tensor | None]) -> Tensor:
    """One causal convolution that remembers the last two frames it was given."""
    recent = x[:, :, -_CACHED_FRAMES:].clone()
    if recent.shape[2] < _CACHED_FRAMES and memory[0] is not None:
        recent = torch.cat([memory[0][:, :, -1:], recent], dim=2)
    out = convolution(x, memory[0])
    memory[0] = recent
    return out
