"""Published quantized checkpoints: a flat file and a JSON map, loaded as they are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from infinitetalk.checkpoints.keys.transformer import convert_config, to_ours
from infinitetalk.checkpoints.quantized_files import fill_official, read_official_map
from infinitetalk.models.transformer import InfiniteTalkTransformer
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.handlers.infinitetalk_dit import build_transformer, window
from tests.parity.seeded_weights import digest, read_case, seeded_state_dict


@torch.inference_mode()
def run(folder: Path) -> None:
    case, _, tensors = read_case(folder)
    options = case["run"]
    start = int((re.search(r"audio_start (\d+)", str(case.get("derived_inputs", ""))) or [0, 0])[1])
    bound = bound_from_text(case["tolerance"]["float32"], default=1e-4)
    plain = case["unquantised_weights"]
    weights = seeded_state_dict(plain["keys"], plain["seed"], plain.get("scale"))
    assert digest(weights) == plain["sha256"]
    unquantised = build_transformer(case["config"], weights, source=str(folder))
    exact = _evaluate(unquantised, options, tensors, start)
    if "out_float32_unquantised" in tensors:
        assert_close("unquantised", exact, tensors["out_float32_unquantised"], relative_to_absmax=bound)

    for variant in options["variants"]:
        files = case["quantised_files"][variant]
        arguments = convert_config(case["config"], source=str(folder))
        arguments.setdefault("image_dim", weights["img_emb.proj.0.weight"].shape[0])
        with torch.device("meta"):
            model = InfiniteTalkTransformer(**arguments)
        fill_official(
            model.eval(),
            load_file(folder / files["weights"]),
            read_official_map(folder / files["map"]),
            dtype=torch.float32,
            source=folder / files["weights"],
        )
        made = _evaluate(model, options, tensors, start)
        assert_close(f"out.{variant}", made, require(tensors, f"out.{variant}"), relative_to_absmax=bound)
        prefix = f"dequantised.{variant}."
        for name in sorted(tensors):
            if name.startswith(prefix):
                layer, _, leaf = to_ours(name.removeprefix(prefix)).rpartition(".")
                value = getattr(model.get_submodule(layer), leaf)
                assert_close(name, value, tensors[name], relative_to_absmax=bound)
        recorded = case.get("relative_l2_change_from_unquantised", {}).get(variant)
        if recorded is not None:
            change = float(torch.linalg.norm(made - exact) / torch.linalg.norm(exact))
            np.testing.assert_allclose(change, recorded, rtol=0.02)


def _evaluate(model: InfiniteTalkTransformer, options: dict, tensors: dict, start: int) -> torch.Tensor:
    latent = options["latent"]
    num_frames = 1 + (latent[0] - 1) * model.config.vae_scale
    heard = window(require(tensors, "audio_full.0"), start, num_frames, model.config.audio_window)
    condition = model.encode_condition(
        text=torch.from_numpy(require(tensors, "context"))[None],
        image=torch.from_numpy(require(tensors, "clip_fea")),
        audio=torch.from_numpy(heard)[None],
        reference=torch.from_numpy(require(tensors, "y")).reshape(1, -1, *latent),
    )
    return model(torch.from_numpy(require(tensors, "x"))[None], torch.tensor([options["t"]]), condition)[0]
