"""Uni3C: rays, their tokens, residuals of every block, and the transformer with and without them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from infinitetalk.models.condition import Condition
from infinitetalk.models.control import Added, Control, Evaluation, Residuals
from infinitetalk.models.transformer import InfiniteTalkTransformer
from infinitetalk.models.uni3c import Uni3CControl
from infinitetalk.vision.rays import ray_embedding
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.handlers.infinitetalk_dit import build_transformer, window
from tests.parity.seeded_weights import read_case


def condition_of(
    model: InfiniteTalkTransformer, case: dict, tensors: dict[str, np.ndarray], y: torch.Tensor | None = None
) -> Condition:
    """The case's condition, with another `y` where one is given."""
    num_frames = 1 + (case["run"]["latent"][0] - 1) * model.config.vae_scale
    audio = window(require(tensors, "audio_full.0"), 0, num_frames, model.config.audio_window)
    return model.encode_condition(
        text=torch.from_numpy(require(tensors, "context"))[None],
        image=torch.from_numpy(require(tensors, "clip_fea")),
        audio=torch.from_numpy(audio)[None],
        reference=torch.from_numpy(require(tensors, "y")) if y is None else y,
    )


@torch.inference_mode()
def run(folder: Path) -> None:
    case, weights, tensors = read_case(folder)
    bound = bound_from_text(case["tolerance"]["float32"], default=2e-4)

    def close(name: str, found: torch.Tensor) -> None:
        assert_close(name, found, require(tensors, name), relative_to_absmax=bound)

    config = case["config"]["controlnet"]
    sizes = {**config, "out_dim": case["config"]["dit"]["dim"]}
    control = Uni3CControl(**sizes).eval()
    control.load_state_dict({name: torch.from_numpy(value) for name, value in weights["uni3c"].items()}, strict=True)
    model = build_transformer(case["config"]["dit"], weights["dit"], source=str(folder / "case.json"))

    holes = torch.from_numpy(require(tensors, "render_mask_u8"))[None].float()
    rays = None
    if case["run"]["camera"]:
        height, width = holes.shape[-2:]
        given = require(tensors, "intrinsic"), require(tensors, "w2c")
        rays = torch.from_numpy(ray_embedding(*given, height, width))[None]
        frames = case["run"]["camera_frames"]
        close("camera_embedding_frames", rays[0, :, frames])
    latents, time = torch.from_numpy(require(tensors, "x"))[None], torch.tensor([case["run"]["t"]])
    y = torch.from_numpy(require(tensors, "y"))
    embedding = model.condition_embedder(time)[0]
    close("time_embedding", embedding)
    tokens = control.ray_tokens(holes, rays)
    close("mask_camera_tokens", tokens)
    rendering = torch.from_numpy(require(tensors, "render_latent"))
    residuals = control(latents, y[:, :4], rendering, tokens, embedding)
    for index, residual in enumerate(residuals):
        close(f"residual.{index}", residual)

    condition = condition_of(model, case, tensors)
    close("out.without_control", model(latents, time, condition)[0])
    # Made anew at each evaluation, as a film does it.
    strength = case["run"]["strength"]

    def made(seen: Evaluation) -> Residuals:
        return control(seen.latents, y[:, :4], rendering, tokens, seen.embedding)

    steered = replace(condition, control=Control(added=(Added(made, strength),)))
    close("out.with_control", model(latents, time, steered)[0])
    both = model(latents, time, {"a": condition, "b": steered})
    close("out.without_control", both["a"][0])
    close("out.with_control", both["b"][0])
    none = model(latents, time, replace(condition, control=Control(added=(Added(made, 0.0),))))
    assert_close("strength 0", none[0], require(tensors, "out.without_control"), relative_to_absmax=bound)
