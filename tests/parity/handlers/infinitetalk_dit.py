"""Diffusion transformer, one and two speakers: every call of the case, and the intermediate values it records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infinitetalk.checkpoints.keys.transformer import convert_config, convert_keys, load_strictly
from infinitetalk.models.transformer import InfiniteTalkTransformer
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.seeded_weights import read_case


def build_transformer(
    config: Mapping[str, Any], weights: Mapping[str, np.ndarray], *, source: str
) -> InfiniteTalkTransformer:
    """The network of a case: official configuration and official keys, loaded as a checkpoint would be."""
    arguments = convert_config(config, source=source)
    arguments.setdefault("image_dim", weights["img_emb.proj.0.weight"].shape[0])
    model = InfiniteTalkTransformer(**arguments)
    tensors = {key: torch.from_numpy(value) for key, value in weights.items()}
    load_strictly(model, convert_keys(tensors, source=source), source=source)
    return model.eval()


def window(audio: np.ndarray, start: int, num_frames: int, width: int) -> np.ndarray:
    """`derived_inputs.audio` of the case: [length, ...] -> [num_frames, width, ...], clamped at both ends."""
    offsets = np.arange(width) - width // 2
    indices = np.clip(start + np.arange(num_frames)[:, None] + offsets, 0, len(audio) - 1)
    return audio[indices]


@torch.inference_mode()
def run(folder: Path) -> None:
    case, weights, tensors = read_case(folder)
    assert len(weights) == 1, f"{folder}: expected one group of weights, found {sorted(weights)}"
    model = build_transformer(case["config"], next(iter(weights.values())), source=str(folder / "case.json"))
    bound = bound_from_text(case["tolerance"]["float32"], default=1e-4)
    for call in case["calls"]:
        name, geometry = call["name"], call["geometry"]
        audio = [
            window(require(tensors, stream), call["audio_start"], call["audio_frames"], model.config.audio_window)
            for stream in call["audio_full"]
        ]
        masks = call.get("ref_target_masks")
        condition = model.encode_condition(
            text=torch.from_numpy(require(tensors, call["context"]))[None],
            image=torch.from_numpy(require(tensors, call.get("clip_fea", "clip_fea"))),
            audio=torch.from_numpy(np.stack(audio)),
            reference=torch.from_numpy(require(tensors, f"y.{geometry}")),
            speaker_masks=torch.from_numpy(require(tensors, masks)) if masks else None,
        )
        latents = torch.from_numpy(require(tensors, f"x.{geometry}"))[None]
        assert list(latents.shape[1:]) == call["latent_shape"], f"{name}: x.{geometry} is {list(latents.shape[1:])}"
        taps: dict[str, torch.Tensor] = {}
        hook = model.blocks[0].register_forward_hook(
            lambda module, arguments, output, taps=taps: taps.update(block0=output)
        )
        output = model(latents, torch.tensor([call["t"]]), condition)
        hook.remove()
        assert_close(f"out.{name}", output[0], require(tensors, f"out.{name}"), relative_to_absmax=bound)
        together = model(latents, torch.tensor([call["t"]]), {"one": condition, "other": condition})
        assert_close(f"out.{name} side by side", together["other"], output, relative_to_absmax=bound)

        # Intermediate values, where the case recorded them.
        streams = condition.tokens.audio.unflatten(2, (condition.num_speakers, -1))[0].transpose(0, 1)
        image_sum = condition.tokens.image.sum(dim=-1)
        time = model.condition_embedder(torch.tensor([call["t"]]))[1].flatten(1)
        found = {
            "audio_tokens": streams,
            "block0": taps["block0"],
            "clip_tokens_sum": image_sum,
            "time_projection": time,
        }
        for tap, value in found.items():
            expected = tensors.get(f"tap.{name}.{tap}")
            if expected is not None:
                assert_close(f"tap.{name}.{tap}", value, expected, relative_to_absmax=bound)
