"""Nano's two trained-together networks: their size, their starting weights, and one evaluation of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import CLIPVisionModel

from ..models.attention import AttentionDispatch
from ..models.image_encoder import encode_image, image_encoder_config
from ..models.transformer import InfiniteTalkTransformer

if TYPE_CHECKING:
    from pathlib import Path

    from .batches import Batch
    from .phases import TransformerTraining


class TrainingAttention(AttentionDispatch):
    """Attention as two products of matrices where a processor computes in bf16.

    torch's fused kernel has no fast backward pass for that: half of a training step went there.
    """

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, parallel: bool = False) -> Tensor:
        fused = query.device.type != "cpu" or not torch.is_autocast_enabled("cpu")
        if fused or key.shape[1] == 1:
            return super().__call__(query, key, value, parallel=parallel)
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        weights = (query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)).softmax(dim=-1)
        return (weights @ value).transpose(1, 2).contiguous()


class NanoNetworks(nn.Module):
    """The two networks this stage trains together."""

    def __init__(self, transformer: InfiniteTalkTransformer, image_encoder: CLIPVisionModel) -> None:
        super().__init__()
        self.transformer = transformer
        self.image_encoder = image_encoder
        for block in transformer.blocks:
            for attention in (block.attn1, block.attn2, block.audio_attn):
                attention.set_processor(TrainingAttention())

    @classmethod
    def from_folder(cls, folder: Path) -> NanoNetworks:
        """The exported networks in `folder/transformer` and `folder/image_encoder`."""
        return cls(
            InfiniteTalkTransformer.from_pretrained(folder / "transformer"),
            CLIPVisionModel.from_pretrained(folder / "image_encoder"),
        )

    def export(self, folder: Path) -> None:
        """Write both in the layout that generation reads."""
        self.transformer.save_pretrained(folder / "transformer")
        self.image_encoder.save_pretrained(folder / "image_encoder")

    def forward(self, batch: Batch, latents: Tensor, times: Tensor, audio: Tensor | None = None) -> Tensor:
        """The clean latents that `latents` [B,16,T,h,w] at `times` [B] in [0,1] come from, as far as the network
        predicts them.

        audio: instead of the batch's own, [B,F,5,L,C].
        """
        image = encode_image(self.image_encoder, batch.picture) * batch.image_seen[:, None, None]
        condition = self.transformer.encode_condition(
            text=latents.new_zeros(1, 0, self.transformer.config.text_dim),
            image=image,
            audio=batch.audio if audio is None else audio,
            reference=batch.conditioning,
        )
        return self.transformer(latents, times * 1000, condition)


def build_networks(settings: TransformerTraining, speech_layers: int, speech_channels: int) -> NanoNetworks:
    """Nano's transformer and image encoder with starting weights that suit a short training."""
    transformer = InfiniteTalkTransformer(
        text_len=1,
        dim=settings.dim,
        ffn_dim=4 * settings.dim,
        freq_dim=64,
        text_dim=16,
        num_heads=settings.num_heads,
        num_layers=settings.num_layers,
        audio_blocks=speech_layers,
        audio_channels=speech_channels,
        intermediate_dim=192,
        output_dim=128,
        context_tokens=settings.context_tokens,
        image_dim=96,
    )
    image_encoder = CLIPVisionModel(
        image_encoder_config(hidden_size=96, num_layers=2, num_heads=4, mlp_ratio=3, image_size=128, patch_size=16)
    )
    start_weights(transformer)
    return NanoNetworks(transformer, image_encoder)


@torch.no_grad()
def start_weights(transformer: InfiniteTalkTransformer) -> None:
    """Residual branches start small, the output at zero, and self-attention at "same place, any time".

    Without the last, copying along time takes hundreds of steps to emerge.
    """
    for block in transformer.blocks:
        for attention in (block.attn1, block.attn2, block.audio_attn):
            nn.init.xavier_uniform_(attention.to_out[0].weight, gain=0.5)
            nn.init.zeros_(attention.to_out[0].bias)
        nn.init.zeros_(block.scale_shift_table)
        # Order of the table: shift, scale, gate of the attention; shift, scale, gate of the MLP.
        block.scale_shift_table[:, 2] = 0.5
        block.scale_shift_table[:, 5] = 0.5
        _prefer_same_place(block.attn1, transformer.config.dim // transformer.config.num_heads)
    nn.init.normal_(transformer.condition_embedder.time_proj.weight, std=0.01)
    nn.init.zeros_(transformer.condition_embedder.time_proj.bias)
    nn.init.zeros_(transformer.proj_out.weight)
    nn.init.zeros_(transformer.proj_out.bias)
    nn.init.zeros_(transformer.scale_shift_table)


def _prefer_same_place(attention: nn.Module, head_dim: int) -> None:
    """Equal biases of queries and keys on the fastest row and column rotations: their product peaks at distance zero.

    Every other head starts with it; the rest are free to look elsewhere.
    """
    spatial = 2 * (head_dim // 6)
    first_row = head_dim - 2 * spatial
    for head in range(0, attention.num_heads, 2):
        for axis in (first_row, first_row + spatial):
            for pair, strength in ((0, 2.0), (1, 1.5)):
                channel = head * head_dim + axis + 2 * pair
                attention.to_q.bias[channel] = strength
                attention.to_k.bias[channel] = strength
