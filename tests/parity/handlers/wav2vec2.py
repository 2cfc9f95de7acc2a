"""Speech encoder: both ways through it, on the official key names in each of their spellings."""

from __future__ import annotations

from pathlib import Path

import torch

from infinitetalk.checkpoints.keys import wav2vec2 as keys_wav2vec2
from infinitetalk.checkpoints.strict import load_strictly
from infinitetalk.models.audio_encoder import SpeechEncoder, num_frames_of, speech_encoder_config
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.seeded_weights import read_case


def run(folder: Path) -> None:
    meta, weights, tensors = read_case(folder)
    bound = bound_from_text(meta["tolerance"]["float32"], default=1e-4)
    encoder = SpeechEncoder(speech_encoder_config(**meta["config"]["wav2vec2"])).eval()
    official = {key: torch.from_numpy(value) for key, value in weights["wav2vec2"].items()}
    load_strictly(encoder, keys_wav2vec2.convert(official), folder)
    for call in meta["calls"]:
        name, signal = call["name"], require(tensors, call["in"])
        expected = require(tensors, f"embedding.{name}")
        assert num_frames_of(signal.shape[0]) == call.get("frames", expected.shape[0])
        assert_close(f"embed {name}", encoder.embed(signal), expected, relative_to_absmax=bound)
        with torch.no_grad():
            batched = encoder(torch.from_numpy(signal)[None], expected.shape[0])[0]
        assert_close(f"forward {name}", batched, expected, relative_to_absmax=bound)
