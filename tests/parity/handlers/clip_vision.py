"""Image encoder and its preprocessing."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import CLIPVisionModel

from infinitetalk.checkpoints.keys import clip as keys_clip
from infinitetalk.checkpoints.strict import load_strictly
from infinitetalk.models.image_encoder import encode_image, image_encoder_config, preprocess_image
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.seeded_weights import read_case


def run(folder: Path) -> None:
    meta, weights, tensors = read_case(folder)
    bound = bound_from_text(meta["tolerance"]["float32"], default=1e-4)
    official = meta["config"]
    config = image_encoder_config(
        hidden_size=official["dim"],
        num_layers=official["num_layers"],
        num_heads=official["num_heads"],
        mlp_ratio=official["mlp_ratio"],
        image_size=official["image_size"],
        patch_size=official["patch_size"],
        layer_norm_eps=official.get("norm_eps", 1e-5),
    )
    model = CLIPVisionModel(config).eval()
    converted = keys_clip.convert({key: torch.from_numpy(value) for key, value in weights["clip"].items()})
    load_strictly(model, converted, folder)
    for call in meta["calls"]:
        name = call["name"]
        pixels = torch.from_numpy(require(tensors, call["in"])).permute(2, 0, 1)[None]
        frame = pixels.float() / 127.5 - 1.0
        tap = f"tap.preprocessed.{name}"
        if tap in tensors:
            assert_close(tap, preprocess_image(frame, config.image_size)[0], tensors[tap], relative_to_absmax=bound)
        with torch.no_grad():
            tokens = encode_image(model, frame)[0]
        assert_close(f"tokens.{name}", tokens, require(tensors, f"tokens.{name}"), relative_to_absmax=bound)
