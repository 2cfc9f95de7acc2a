"""Text encoder: UMT5, whose embeddings of the prompt the video network attends to (up to 512 tokens).

The network is transformers' `UMT5EncoderModel`. Padding only ever fills up batches: padded positions are no one's
keys, so a single prompt is encoded at its own length, and results are trimmed to it (official file
`wan/modules/t5.py`).
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import ftfy
import torch
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MAX_TOKENS = 512


def text_encoder_config(
    vocab_size: int = 256384,
    hidden_size: int = 4096,
    attention_size: int = 4096,
    feed_forward_size: int = 10240,
    num_heads: int = 64,
    num_layers: int = 24,
    num_buckets: int = 32,
    max_distance: int = 128,
) -> UMT5Config:
    """The published encoder's configuration (UMT5-XXL), or a smaller one of the same kind."""
    return UMT5Config(
        vocab_size=vocab_size,
        d_model=hidden_size,
        d_kv=attention_size // num_heads,
        d_ff=feed_forward_size,
        num_heads=num_heads,
        num_layers=num_layers,
        num_decoder_layers=0,
        relative_attention_num_buckets=num_buckets,
        relative_attention_max_distance=max_distance,
        feed_forward_proj="gated-gelu",
        layer_norm_epsilon=1e-6,
        dropout_rate=0.0,
    )


def clean_prompt(prompt: str) -> str:
    """Mend broken encodings, resolve HTML entities (twice, as they come nested), collapse white space."""
    mended = html.unescape(html.unescape(ftfy.fix_text(prompt)))
    return re.sub(r"\s+", " ", mended).strip()


def encode_ids(model: UMT5EncoderModel, ids: Tensor, mask: Tensor, *, trim: bool = True) -> list[Tensor]:
    """Embeddings of token ids [B, L] with mask [B, L] (1 = token, 0 = padding at the end).

    Returns:
        one [length, dim] per row; with `trim` off the padded rows are kept, [L, dim].
    """
    ids, mask = ids.to(model.device), mask.to(model.device)
    hidden = model(input_ids=ids.long(), attention_mask=mask.long()).last_hidden_state
    lengths = mask.sum(dim=1).tolist() if trim else [ids.shape[1]] * ids.shape[0]
    return [row[: int(length)] for row, length in zip(hidden, lengths, strict=True)]


@torch.no_grad()
def encode_text(model: UMT5EncoderModel, tokenizer: PreTrainedTokenizerBase, prompt: str) -> Tensor:
    """Embeddings of one prompt, [L, dim] with L <= 512 (longer prompts are cut there)."""
    tokens = tokenizer(clean_prompt(prompt), max_length=MAX_TOKENS, truncation=True, return_tensors="pt")
    return encode_ids(model, tokens.input_ids, tokens.attention_mask)[0]
