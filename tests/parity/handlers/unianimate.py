"""UniAnimate: pose tokens, the reference's pose in `y`, the adapter, and the transformer with all of them."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from infinitetalk.checkpoints.controls import read_pose_adapter, read_pose_network
from infinitetalk.checkpoints.fill import build_empty, fill
from infinitetalk.checkpoints.keys.transformer import to_official
from infinitetalk.checkpoints.lora import merge_into, shapes_of
from infinitetalk.models.control import Control
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.handlers.infinitetalk_dit import build_transformer
from tests.parity.handlers.uni3c import condition_of
from tests.parity.seeded_weights import read_case


@torch.inference_mode()
def run(folder: Path) -> None:
    case, weights, tensors = read_case(folder)
    bound = bound_from_text(case["tolerance"]["float32"], default=2e-4)
    source = str(folder / "case.json")

    def close(name: str, found: torch.Tensor) -> None:
        assert_close(name, found, require(tensors, name), relative_to_absmax=bound)

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(require(tensors, name))

    # A published file holds the pose network under any prefix, beside its LoRA.
    own = {f"pipe.{name}": torch.from_numpy(value) for name, value in weights["unianimate"].items()}
    lora = {name.removeprefix("lora/"): torch.from_numpy(value)
            for name, value in tensors.items() if name.startswith("lora/")}  # fmt: skip
    model = build_transformer(case["config"]["dit"], weights["dit"], source=source)
    with tempfile.TemporaryDirectory() as published:
        file = Path(published) / "UniAnimate.ckpt"
        torch.save(own | lora, file)
        component = read_pose_network(file, width=model.config.dim)
        poses = build_empty(component.build)
        fill(poses, component.weights, torch.float32)
        adapter = read_pose_adapter(file, shapes_of(model))
        poses, adapter = copy.deepcopy((poses, adapter))  # off the file
    tokens = poses.tokens(tensor("pose_u8")[None])
    recorded = tensor("pose_embedding")
    close("pose_embedding", tokens[0].transpose(0, 1).reshape(recorded.shape))
    reference = poses.reference(tensor("reference_pose_u8").permute(2, 0, 1)[None])
    close("reference_pose_embedding", reference[0])
    y = tensor("y") + reference
    close("y_with_reference_pose", y[0])

    latents, time = tensor("x")[None], torch.tensor([case["run"]["t"]])
    plain = condition_of(model, case, tensors)
    posed = replace(condition_of(model, case, tensors, y), control=Control(tokens))
    close("out.without_pose", model(latents, time, plain)[0])
    close("out.with_pose", model(latents, time, posed)[0])
    # Beside a branch that gets no pose tokens, as the official sampler's negative evaluation.
    both = model(latents, time, {"cond": posed, "drop_text": plain})
    close("out.with_pose", both["cond"][0])
    close("out.without_pose", both["drop_text"][0])

    merge_into(model, [(adapter, case["run"]["lora_alpha"])])
    merged = {to_official(name): value for name, value in model.named_parameters()}
    for name in tensors:
        if name.startswith("merged/"):
            close(name, merged[name.removeprefix("merged/")])
    posed = replace(condition_of(model, case, tensors, y), control=Control(tokens))
    close("out.with_pose_and_adapter", model(latents, time, posed)[0])
