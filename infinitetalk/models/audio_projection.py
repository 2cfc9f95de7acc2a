"""From windows of speech features to a few tokens per latent frame.

Letters of shapes: S streams, F frames at 25 a second, T latent frames (F = 1 + scale * (T - 1)), W window, L layers of
the speech encoder, C its channels.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ..errors import InputError


def group_windows(audio: torch.Tensor, scale: int) -> torch.Tensor:
    """Audio features of each latent frame after the first: [S, F, W, L, C] -> [S, T - 1, W + scale - 1, L, C].

    A latent frame covers `scale` frames. It takes the first one's window up to its centre, the centres of those
    between, and the last one's window from its centre on: consecutive frames, except where windows were clamped at
    the ends of the sound (wan/modules/multitalk_model.py, WanModel.forward).
    """
    window = audio.shape[2]
    centre = window // 2
    groups = audio[:, 1:].unflatten(1, ((audio.shape[1] - 1) // scale, scale))
    if scale == 1:
        return groups[:, :, 0]
    first = groups[:, :, 0, : centre + 1]
    middle = groups[:, :, 1:-1, centre]
    last = groups[:, :, -1, centre:]
    return torch.cat([first, middle, last], dim=2)


class AudioProjection(nn.Module):
    """Three-layer MLP over a latent frame's whole window; the first latent frame, one frame long, has its own entry.

    forward: [S, F, W, L, C] -> [S, T, context_tokens, output_dim].
    """

    def __init__(
        self,
        window: int = 5,
        scale: int = 4,
        blocks: int = 12,
        channels: int = 768,
        intermediate_dim: int = 512,
        output_dim: int = 768,
        context_tokens: int = 32,
        norm_output: bool = True,
    ) -> None:
        super().__init__()
        self.window, self.scale = window, scale
        self.blocks, self.channels = blocks, channels
        self.output_dim, self.context_tokens = output_dim, context_tokens
        self.proj1 = nn.Linear(window * blocks * channels, intermediate_dim)
        self.proj1_vf = nn.Linear((window + scale - 1) * blocks * channels, intermediate_dim)
        self.proj2 = nn.Linear(intermediate_dim, intermediate_dim)
        self.proj3 = nn.Linear(intermediate_dim, context_tokens * output_dim)
        self.norm = nn.LayerNorm(output_dim) if norm_output else nn.Identity()

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        expected = (self.window, self.blocks, self.channels)
        if audio.ndim != 5 or tuple(audio.shape[2:]) != expected or (audio.shape[1] - 1) % self.scale:
            raise InputError(
                f"Audio features have shape {tuple(audio.shape)}; expected [streams, 1 + {self.scale}n frames, "
                f"{', '.join(map(str, expected))}]: embed the sound with the speech encoder of the same model."
            )
        audio = audio.to(self.proj2.weight.dtype)
        first = self.proj1(audio[:, :1].flatten(2))
        later = self.proj1_vf(group_windows(audio, self.scale).flatten(2))
        hidden = functional.relu(torch.cat([first, later], dim=1))
        hidden = functional.relu(self.proj2(hidden))
        return self.norm(self.proj3(hidden).unflatten(-1, (self.context_tokens, self.output_dim)))
