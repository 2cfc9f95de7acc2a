"""VACE: hints of the side branch and the network's output at each scale."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import WanVACETransformer3DModel

from infinitetalk.checkpoints.vace_keys import convert_vace_keys, vace_config
from infinitetalk.models.vace import evaluate
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.seeded_weights import read_case


@torch.inference_mode()
def run(folder: Path) -> None:
    case, weights, tensors = read_case(folder)
    bound = bound_from_text(case["tolerance"]["float32"], default=1e-4)
    model = WanVACETransformer3DModel(**vace_config(case["config"])).eval()
    official = {key: torch.from_numpy(value) for key, value in weights["vace"].items()}
    model.load_state_dict(convert_vace_keys(official, source=str(folder / "case.json")), strict=True)
    names = ("x", "context", "vace_context")
    latents, text, control = (torch.from_numpy(require(tensors, name))[None] for name in names)
    for call in case["calls"]:
        hints: list[torch.Tensor] = []

        def keep(module, given, output, hints=hints) -> None:
            hints.append(output[0])

        hooks = [block.register_forward_hook(keep) for block in model.vace_blocks]
        output = evaluate(
            model, latents, torch.tensor([call["t"]]), text, control, scale=call["scale"],
            text_len=case["config"]["text_len"],
        )  # fmt: skip
        for hook in hooks:
            hook.remove()
        name = f"out.{call['name']}"
        assert_close(name, output[0], require(tensors, name), relative_to_absmax=bound)
        for index, hint in enumerate(hints if call["taps"] else []):
            assert_close(f"hint.{index}", hint, require(tensors, f"hint.{index}"), relative_to_absmax=bound)
