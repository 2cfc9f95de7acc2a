"""Gathering of audio windows and the projection to audio tokens."""

from __future__ import annotations

from pathlib import Path

import torch

from infinitetalk.audio.windows import window_indices
from infinitetalk.models.audio_projection import AudioProjection
from tests.parity.comparison import assert_close, assert_equal, bound_from_text, require
from tests.parity.seeded_weights import read_case


@torch.inference_mode()
def run(folder: Path) -> None:
    case, weights, tensors = read_case(folder)
    assert len(weights) == 1, f"{folder}: expected one group of weights, found {sorted(weights)}"
    config = case["config"]
    projection = AudioProjection(
        window=config["seq_len"],
        scale=config["seq_len_vf"] - config["seq_len"] + 1,
        blocks=config["blocks"],
        channels=config["channels"],
        intermediate_dim=config["intermediate_dim"],
        output_dim=config["output_dim"],
        context_tokens=config["context_tokens"],
        norm_output=config["norm_output_audio"],
    ).eval()
    own = {key: torch.from_numpy(value) for key, value in next(iter(weights.values())).items()}
    projection.load_state_dict(own, strict=True)
    bound = bound_from_text(case["tolerance"]["float32"], default=1e-4)
    for call in case["calls"]:
        audio = require(tensors, call["audio_full"])
        indices = window_indices(call["start"], call["end"], len(audio))
        name = call["name"]
        assert_equal(f"indices.{name}", indices, require(tensors, f"indices.{name}"))
        tokens = projection(torch.from_numpy(audio[indices])[None])[0]
        assert_close(f"tokens.{name}", tokens, require(tensors, f"tokens.{name}"), relative_to_absmax=bound)
