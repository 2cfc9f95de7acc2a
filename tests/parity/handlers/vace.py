"""VACE: hints of our side branch, and the output of diffusers' text-to-video network with them at each scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import WanVACETransformer3DModel
from torch.nn import functional

from infinitetalk.checkpoints.keys.vace import vace_key
from infinitetalk.models.control import Evaluation
from infinitetalk.models.vace import VaceBranch
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.seeded_weights import read_case


@torch.inference_mode()
def run(folder: Path) -> None:
    case, weights, tensors = read_case(folder)
    bound = bound_from_text(case["tolerance"]["float32"], default=1e-4)
    config = case["config"]
    ours = {vace_key(key): torch.from_numpy(value) for key, value in weights["vace"].items()}
    base = WanVACETransformer3DModel(**diffusers_config(config)).eval()
    base.load_state_dict(ours, strict=True)
    branch = VaceBranch(config["dim"], config["ffn_dim"], config["num_heads"], config["vace_layers"]).eval()
    own = {key: value for key, value in ours.items() if key.startswith("vace_")}
    branch.load_state_dict(own, strict=True)
    names = ("x", "context", "vace_context")
    latents, text, control = (torch.from_numpy(require(tensors, name))[None] for name in names)
    padded = functional.pad(text, (0, 0, 0, config["text_len"] - text.shape[1]))
    for call in case["calls"]:
        time = torch.tensor([call["t"]])
        patches = base.patch_embedding(latents)
        tokens = patches.flatten(2).transpose(1, 2)
        embedding, modulation, told, _ = base.condition_embedder(time, padded, None)
        modulation = modulation.unflatten(1, (6, -1))
        seen = Evaluation(latents, embedding, modulation, tokens, told, tuple(patches.shape[2:]))
        hints = branch(branch.embed(control), seen)
        rotary = base.rope(latents)
        for index, block in enumerate(base.blocks):
            tokens = block(tokens, told, modulation, rotary)
            hint = hints[index] if index < len(hints) else None
            assert (hint is not None) == (index in config["vace_layers"])
            if hint is not None:
                tokens = tokens + call["scale"] * hint
                if call["taps"]:
                    name = f"hint.{config['vace_layers'].index(index)}"
                    assert_close(name, hint, require(tensors, name), relative_to_absmax=bound)
        shift, scale = (base.scale_shift_table + embedding[:, None]).chunk(2, dim=1)
        pictures = base.proj_out(base.norm_out(tokens) * (1 + scale) + shift).unflatten(1, tuple(patches.shape[2:]))
        output = pictures.unflatten(-1, (1, 2, 2, -1)).permute(0, 7, 1, 4, 2, 5, 3, 6)
        output = output.flatten(6, 7).flatten(4, 5).flatten(2, 3)
        name = f"out.{call['name']}"
        assert_close(name, output[0], require(tensors, name), relative_to_absmax=bound)


def diffusers_config(official: dict[str, Any]) -> dict[str, Any]:
    """Arguments of diffusers' network from the official constructor's."""
    heads = official["num_heads"]
    return {
        "patch_size": tuple(official["patch_size"]), "num_attention_heads": heads,
        "attention_head_dim": official["dim"] // heads, "in_channels": official["in_dim"],
        "out_channels": official["out_dim"], "text_dim": official["text_dim"], "freq_dim": official["freq_dim"],
        "ffn_dim": official["ffn_dim"], "num_layers": official["num_layers"],
        "cross_attn_norm": official["cross_attn_norm"], "eps": official["eps"],
        "qk_norm": "rms_norm_across_heads" if official["qk_norm"] else None,
        "vace_layers": list(official["vace_layers"]), "vace_in_channels": official["vace_in_dim"],
    }  # fmt: skip
