"""Text encoder: key names of the official UMT5 file → transformers' `UMT5EncoderModel`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

IN_BLOCK = {
    "norm1": "layer.0.layer_norm",
    "attn.q": "layer.0.SelfAttention.q",
    "attn.k": "layer.0.SelfAttention.k",
    "attn.v": "layer.0.SelfAttention.v",
    "attn.o": "layer.0.SelfAttention.o",
    "pos_embedding.embedding": "layer.0.SelfAttention.relative_attention_bias",
    "norm2": "layer.1.layer_norm",
    "ffn.gate.0": "layer.1.DenseReluDense.wi_0",
    "ffn.fc1": "layer.1.DenseReluDense.wi_1",
    "ffn.fc2": "layer.1.DenseReluDense.wo",
}
_BLOCK_KEY = re.compile(r"blocks\.(\d+)\.(.+)\.weight")


def convert(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the encoder; the word table appears under both of its names in transformers (one tensor, tied)."""
    converted: dict[str, Tensor] = {}
    for key, value in weights.items():
        block = _BLOCK_KEY.fullmatch(key)
        if block and block[2] in IN_BLOCK:
            converted[f"encoder.block.{block[1]}.{IN_BLOCK[block[2]]}.weight"] = value
        elif key == "token_embedding.weight":
            converted["shared.weight"] = converted["encoder.embed_tokens.weight"] = value
        elif key == "norm.weight":
            converted["encoder.final_layer_norm.weight"] = value
        else:
            converted[key] = value
    return converted
