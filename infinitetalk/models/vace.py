"""VACE's side branch: pictures that show what is to happen, into residuals of the transformer's blocks.

Facts of ali-vilab/VACE (vace/models/wan, wan/modules/vace_model.py). The branch's blocks are diffusers' own; parameters
are named as in its `WanVACETransformer3DModel`. The published branch was trained with the text-to-video model, whose
blocks are of the same size; with InfiniteTalk's image-to-video ones it is on trial, and its score says what it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.transformers.transformer_wan_vace import WanVACETransformerBlock
from torch import Tensor, nn

from .control import Evaluation, Residuals
from .rotary import latent_table

STRIDE = 8  # pixels of a latent, along each side
CHANNELS = 16 + 16 + STRIDE * STRIDE


class VaceBranch(ModelMixin, ConfigMixin):
    """Defaults are the published sizes. layers: after which of the transformer's blocks each of its own adds."""

    @register_to_config
    def __init__(
        self,
        dim: int = 5120,
        ffn_dim: int = 13824,
        num_heads: int = 40,
        layers: Sequence[int] = tuple(range(0, 40, 5)),
        in_channels: int = CHANNELS,
        cross_attn_norm: bool = True,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.vace_patch_embedding = nn.Conv3d(in_channels, dim, (1, 2, 2), (1, 2, 2))
        self.vace_blocks = nn.ModuleList(
            WanVACETransformerBlock(
                dim, ffn_dim, num_heads, cross_attn_norm=cross_attn_norm, eps=eps,
                apply_input_projection=index == 0, apply_output_projection=True,
            )
            for index in range(len(layers))
        )  # fmt: skip
        self.grey: Tensor | None = None  # latents of pictures in which nothing stays, for the next chunk of that size

    def embed(self, control: Tensor) -> Tensor:
        """What is the same at every step: of `control_channels`, [B, 96, T, h, w] → [B, N, dim]."""
        return self.vace_patch_embedding(control).flatten(2).transpose(1, 2)

    def forward(self, embedded: Tensor, evaluation: Evaluation) -> Residuals:
        """Hints [B, N, dim], each made on demand. embedded: of `embed`."""
        table = latent_table(evaluation.shape, self.config.dim // self.config.num_heads, embedded.device)
        rotary = tuple(part.repeat_interleave(2, dim=-1)[None, :, None] for part in (table.real, table.imag))
        tokens = evaluation.tokens.to(embedded.dtype)
        return Residuals(self._walk(embedded, tokens, evaluation, rotary), self.config.layers)

    def _walk(
        self, control: Tensor, tokens: Tensor, evaluation: Evaluation, rotary: tuple[Tensor, Tensor]
    ) -> Iterator[Tensor]:
        assert evaluation.text is not None, "the side branch reads the prompt"
        text = evaluation.text.to(control.dtype)
        for block in self.vace_blocks:
            hint, control = block(tokens, text, control, evaluation.modulation, rotary)
            yield hint


def control_channels(inactive: Tensor, reactive: Tensor, mask: Tensor) -> Tensor:
    """[B, 96, T, h, w]: latents of what stays [B, 16, T, h, w], of what is to change, and the mask folded 8 x 8.

    mask: [B, 1, T, 8h, 8w], 1 where pictures are to change, one for each latent frame.
    """
    batch, _, frames, height, width = mask.shape
    folded = mask.view(batch, frames, height // STRIDE, STRIDE, width // STRIDE, STRIDE)
    folded = folded.permute(0, 3, 5, 1, 2, 4).flatten(1, 2)
    return torch.cat([inactive, reactive, folded.to(inactive)], dim=1)
