"""Text encoder on token ids and their mask."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import UMT5EncoderModel

from infinitetalk.checkpoints.keys import umt5 as keys_umt5
from infinitetalk.checkpoints.strict import load_strictly
from infinitetalk.models.text_encoder import encode_ids, text_encoder_config
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.seeded_weights import read_case


def run(folder: Path) -> None:
    meta, weights, tensors = read_case(folder)
    bound = bound_from_text(meta["tolerance"]["float32"], default=1e-4)
    official = meta["config"]
    assert not official.get("shared_pos", False), "the published encoder has one position table per block"
    config = text_encoder_config(
        vocab_size=official["vocab"],
        hidden_size=official["dim"],
        attention_size=official["dim_attn"],
        feed_forward_size=official["dim_ffn"],
        num_heads=official["num_heads"],
        num_layers=official["num_layers"],
        num_buckets=official["num_buckets"],
        max_distance=official.get("max_dist", 128),
    )
    model = UMT5EncoderModel(config).eval()
    converted = keys_umt5.convert({key: torch.from_numpy(value) for key, value in weights["t5"].items()})
    load_strictly(model, converted, folder)
    for call in meta["calls"]:
        name = call["name"]
        ids, mask = (torch.from_numpy(require(tensors, f"{kind}.{name}")) for kind in ("ids", "mask"))
        with torch.no_grad():
            trimmed, full = encode_ids(model, ids, mask), encode_ids(model, ids, mask, trim=False)
        for row, embeddings in enumerate(trimmed):
            expected = require(tensors, f"context.{name}.{row}")
            assert_close(f"context.{name}.{row}", embeddings, expected, relative_to_absmax=bound)
            # A prompt on its own, without padding, is what the product encodes.
            length = expected.shape[0]
            with torch.no_grad():
                alone = encode_ids(model, ids[row : row + 1, :length], mask[row : row + 1, :length])[0]
            assert_close(f"context.{name}.{row} alone", alone, expected, relative_to_absmax=bound)
        if call.get("full"):
            assert_close(f"full.{name}", torch.stack(full), require(tensors, f"full.{name}"), relative_to_absmax=bound)
