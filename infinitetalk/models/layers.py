"""Small layers of the transformer: norms that take their gain from the time, embeddings, the MLP.

Letters of shapes: B batch, N tokens, dim model width. Module names are those of diffusers' Wan network.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from diffusers.models.attention import FeedForward as DiffusersFeedForward
from diffusers.models.embeddings import PixArtAlphaTextProjection, TimestepEmbedding
from torch import nn
from torch.nn import functional

# Values that one pass over tokens may hold besides its result; a chunk at 480p has 168 million.
SLICE_VALUES = 2**25


def by_slices(
    function: Callable[..., torch.Tensor], *tokens: torch.Tensor, dim: int = 1, width: int | None = None
) -> torch.Tensor:
    """`function(*tokens)`, some tokens at a time where there are many, so that what it needs on the way stays small.

    Only for functions that treat each token along `dim` by itself. width: values per token on the way (default: as
    many as it has). While gradients are recorded everything happens at once.
    """
    first = tokens[0]
    per_token = first.numel() // first.shape[dim] if width is None else first.shape[0] * width
    step = max(1, SLICE_VALUES // max(1, per_token))
    if torch.is_grad_enabled() or step >= first.shape[dim]:
        return function(*tokens)
    result = None
    for start in range(0, first.shape[dim], step):
        length = min(step, first.shape[dim] - start)
        part = function(*(one.narrow(dim, start, length) for one in tokens))
        if result is None:
            shape = list(part.shape)
            shape[dim] = first.shape[dim]
            result = part.new_empty(shape)
        result.narrow(dim, start, length).copy_(part)
    return result


def modulated_norm(tokens: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor, eps: float) -> torch.Tensor:
    """LayerNorm in float32 whose gain and bias come from the time: tokens [B, N, dim], shift and scale [B, 1, dim]."""

    def norm(part: torch.Tensor) -> torch.Tensor:
        normed = functional.layer_norm(part.float(), part.shape[-1:], eps=eps)
        return torch.addcmul(shift, normed, 1 + scale).type_as(part)

    return by_slices(norm, tokens)


def gated_sum(tokens: torch.Tensor, change: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    """tokens + change * gate, in float32: [B, N, dim], gate [B, 1, dim]."""

    def add(part: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(part.float(), change.float(), gate).type_as(part)

    return by_slices(add, tokens, change)


class LayerNorm32(nn.LayerNorm):
    """LayerNorm computed in float32 whatever the dtype of tokens and weights."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        weight, bias = (None if part is None else part.float() for part in (self.weight, self.bias))

        def norm(part: torch.Tensor) -> torch.Tensor:
            return functional.layer_norm(part.float(), self.normalized_shape, weight, bias, self.eps).type_as(part)

        return by_slices(norm, tokens) if tokens.ndim == 3 else norm(tokens)


class PatchEmbedding(nn.Conv3d):
    """The patch convolution, applied to a part of its input channels: being linear, the parts may be added later.

    forward: [B, C, T, h, w] -> [B, N, dim]; `first_channel` says which input channels these C are. The bias is added
    by the part that `with_bias`.
    """

    def forward(self, latents: torch.Tensor, first_channel: int = 0, with_bias: bool = True) -> torch.Tensor:
        frames, rows, columns = self.kernel_size
        patches = latents.unflatten(4, (-1, columns)).unflatten(3, (-1, rows)).unflatten(2, (-1, frames))
        patches = patches.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4).flatten(1, 3)
        weight = self.weight[:, first_channel : first_channel + latents.shape[1]].flatten(1)
        return functional.linear(patches.to(weight.dtype), weight, self.bias if with_bias else None)


class FeedForward(nn.Module):
    """Two layers around a GELU (tanh form), named as diffusers names them: [..., dim] -> [..., dim]."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.hidden_dim = hidden_dim
        self.net = nn.ModuleList([GELUProjection(dim, hidden_dim), nn.Identity(), nn.Linear(hidden_dim, dim)])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        if tokens.ndim != 3:
            return self.net[2](self.net[0](tokens))
        # In larger slices: quantized weights are unpacked anew for each.
        return by_slices(lambda part: self.net[2](self.net[0](part)), tokens, width=self.hidden_dim // 4)


class GELUProjection(nn.Module):
    """A layer and the GELU after it, with the name diffusers gives the layer."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, hidden_dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.proj(tokens)
        if torch.is_grad_enabled() or hidden.device.type != "cpu":
            return functional.gelu(hidden, approximate="tanh")
        # 0.5 x (1 + tanh u) is x sigmoid(2u); on a CPU torch's sigmoid takes less than half the time of its tanh GELU.
        slope = 2 * (2 / math.pi) ** 0.5
        gate = (hidden * hidden).mul_(0.044715 * slope).add_(slope).mul_(hidden).sigmoid_()
        return gate.mul_(hidden)


class ImageEmbedding(nn.Module):
    """Image tokens to the model's width: [B, tokens, image_dim] -> [B, tokens, dim]."""

    def __init__(self, image_dim: int, dim: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm32(image_dim)
        self.ff = DiffusersFeedForward(image_dim, dim, mult=1, activation_fn="gelu")
        self.norm2 = LayerNorm32(dim)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.norm2(self.ff(self.norm1(image)))


class ConditionEmbedder(nn.Module):
    """Projections of time, text and image, grouped as diffusers' Wan groups them."""

    def __init__(self, dim: int, freq_dim: int, text_dim: int, image_dim: int) -> None:
        super().__init__()
        self.freq_dim = freq_dim
        self.time_embedder = TimestepEmbedding(in_channels=freq_dim, time_embed_dim=dim)
        self.time_proj = nn.Linear(dim, 6 * dim)
        self.text_embedder = PixArtAlphaTextProjection(text_dim, dim, act_fn="gelu_tanh")
        self.image_embedder = ImageEmbedding(image_dim, dim)

    def forward(self, timestep: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B] in 0..1000 -> the time's embedding [B, dim] and its modulation of the blocks [B, 6, dim], in float32."""
        # Angles reach 1000 radians, so they are taken in float64.
        exponents = torch.arange(self.freq_dim // 2, dtype=torch.float64) / (self.freq_dim // 2)
        home = torch.device("cpu") if timestep.device.type == "mps" else timestep.device  # mps has no float64
        angles = timestep.to(home).double()[:, None] * 10000.0 ** -exponents.to(home)
        waves = torch.cat([angles.cos(), angles.sin()], dim=1)
        weight = self.time_embedder.linear_1.weight
        embedding = self.time_embedder(waves.to(device=timestep.device, dtype=weight.dtype))
        modulation = self.time_proj(functional.silu(embedding).to(self.time_proj.weight.dtype))
        return embedding.float(), modulation.float().unflatten(1, (6, -1))
