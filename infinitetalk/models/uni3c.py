"""Uni3C's control network: a rendering of the scene along a camera path into residuals of the transformer's blocks.

Facts of ewrfcas/Uni3C (src/models/controlnet.py, pcd_controller.py); parameters are named as in the published file.
It sees the noisy latents, the mask channels of `y` and the rendering's latents, the rendering's holes and, where the
camera is given, the rays of every pixel (`vision/rays.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from .control import Residuals
from .rotary import latent_table, rotate

_FRAMES_BEFORE = 3  # of zeros, so that 81 frames of rays become 21 groups of four


class Uni3CControl(ModelMixin, ConfigMixin):
    """Defaults are the published sizes. time_embed_dim, out_dim: the transformer's width."""

    @register_to_config
    def __init__(
        self,
        in_channels: int = 36,
        conv_out_dim: int = 5120,
        dim: int = 1024,
        ffn_dim: int = 8192,
        num_heads: int = 16,
        num_layers: int = 20,
        time_embed_dim: int = 5120,
        out_dim: int = 5120,
        mid_channels: int = 256,
        add_channels: int = 7,
    ) -> None:
        super().__init__()
        self.controlnet_patch_embedding = nn.Conv3d(in_channels, conv_out_dim, (1, 2, 2), (1, 2, 2))
        self.controlnet_mask_embedding = _RayEmbedding(add_channels, mid_channels, conv_out_dim)
        blocks = [_ControlBlock(dim, ffn_dim, num_heads, time_embed_dim) for _ in range(num_layers)]
        self.controlnet = nn.ModuleDict({
            "proj_in": nn.Linear(conv_out_dim, dim) if conv_out_dim != dim else nn.Identity(),
            "controlnet_blocks": nn.ModuleList(blocks),
            "proj_out": nn.ModuleList(nn.Linear(dim, out_dim) for _ in range(num_layers)),
        })  # fmt: skip

    def ray_tokens(self, holes: Tensor, rays: Tensor | None) -> Tensor:
        """The same at every step: holes [B, 1, F, H, W] (1 where the rendering has nothing), rays [B, 6, F, H, W] or
        None → [B, N, conv_out_dim]."""
        return self.controlnet_mask_embedding(holes if rays is None else torch.cat([holes, rays], dim=1))

    def forward(
        self, latents: Tensor, mask: Tensor, rendering: Tensor, ray_tokens: Tensor, time_embedding: Tensor
    ) -> Residuals:
        """Residuals [B, N, out_dim] of the first blocks, each made on demand.

        Args:
            latents: noisy, [B, 16, T, h, w]. mask: the four mask channels of `y`.
            rendering: its normalised latents, [B, 16, T, h, w].
            time_embedding: the transformer's own, before its projection: [B, time_embed_dim].
        """
        embedded = self.controlnet_patch_embedding(torch.cat([latents, mask, rendering], dim=1))
        shape = tuple(embedded.shape[2:])
        tokens = self.controlnet["proj_in"](embedded.flatten(2).transpose(1, 2) + ray_tokens)
        rotary = latent_table(shape, self.config.dim // self.config.num_heads, tokens.device)
        return Residuals(self._walk(tokens, time_embedding, rotary), range(len(self.controlnet["proj_out"])))

    def _walk(self, tokens: Tensor, time_embedding: Tensor, rotary: Tensor) -> Iterator[Tensor]:
        for block, project in zip(self.controlnet["controlnet_blocks"], self.controlnet["proj_out"], strict=True):
            tokens = block(tokens, time_embedding, rotary)
            yield project(tokens)


class _RayEmbedding(nn.Module):
    def __init__(self, channels: int, hidden: int, dim: int) -> None:
        super().__init__()
        self.mask_proj = nn.Sequential(
            nn.Conv3d(channels, hidden, (4, 8, 8), (4, 8, 8)), nn.GroupNorm(hidden // 8, hidden), nn.SiLU()
        )
        self.mask_zero_proj = nn.Conv3d(hidden, dim, (1, 2, 2), (1, 2, 2))

    def forward(self, pixels: Tensor) -> Tensor:
        padded = functional.pad(pixels, (0, 0, 0, 0, _FRAMES_BEFORE, 0))
        return self.mask_zero_proj(self.mask_proj(padded)).flatten(2).transpose(1, 2)


class _TimedNorm(nn.Module):
    """LayerNorm whose gain and bias, and the gate of what follows, come from the time."""

    def __init__(self, dim: int, time_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(time_dim, 3 * dim)
        self.norm = nn.LayerNorm(dim, eps=1e-5)

    def forward(self, tokens: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        shift, scale, gate = self.linear(functional.silu(time))[:, None].chunk(3, dim=-1)
        return self.norm(tokens) * (1 + scale) + shift, gate


class _SelfAttention(nn.Module):
    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm_q, self.norm_k = nn.RMSNorm(dim, eps=1e-6), nn.RMSNorm(dim, eps=1e-6)
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])

    def forward(self, tokens: Tensor, rotary: Tensor) -> Tensor:
        def split(part: Tensor) -> Tensor:
            return part.unflatten(-1, (self.num_heads, -1))

        query = rotate(split(self.norm_q(self.to_q(tokens))), rotary).transpose(1, 2)
        key = rotate(split(self.norm_k(self.to_k(tokens))), rotary).transpose(1, 2)
        value = split(self.to_v(tokens)).transpose(1, 2)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.to_out[0](attended.transpose(1, 2).flatten(2))


class _ControlBlock(nn.Module):
    def __init__(self, dim: int, ffn_dim: int, num_heads: int, time_dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _TimedNorm(dim, time_dim), _TimedNorm(dim, time_dim)
        self.self_attn = _SelfAttention(dim, num_heads)
        named = OrderedDict({"0": nn.Linear(dim, ffn_dim), "1": nn.GELU("tanh"), "2": nn.Linear(ffn_dim, dim)})
        self.ffn = nn.Sequential(named)

    def forward(self, tokens: Tensor, time: Tensor, rotary: Tensor) -> Tensor:
        normed, gate = self.norm1(tokens, time)
        tokens = tokens + gate * self.self_attn(normed, rotary)
        normed, gate = self.norm2(tokens, time)
        return tokens + gate * self.ffn(normed)
