"""Official names of VACE's weights and configuration, and those of diffusers' network for it.

VACE (wan/modules/vace_model.py) is Wan's text-to-video transformer with a side branch of its own blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from infinitetalk.errors import CheckpointError

from .transformer_keys import convert_keys, to_ours

if TYPE_CHECKING:
    import torch

BRANCH = "vace_blocks."
_IN_BRANCH = (("before_proj", "proj_in"), ("after_proj", "proj_out"))


def vace_config(official: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `diffusers.WanVACETransformer3DModel` from the official constructor's.

    Raises:
        CheckpointError: the official network has no such side branch.
    """
    if "vace_layers" not in official:
        raise CheckpointError("The configuration has no vace_layers; it is not of a VACE checkpoint.")
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


def vace_key(official: str) -> str | None:
    """diffusers' name of an official key; None if the official network has no such key."""
    if official.startswith("vace_patch_embedding."):
        return official
    if not official.startswith(BRANCH):
        return to_ours(official)
    _, index, rest = official.split(".", 2)
    for name, theirs in _IN_BRANCH:
        if rest.startswith(name + "."):
            return f"{BRANCH}{index}.{theirs}{rest[len(name) :]}"
    inside = to_ours(f"blocks.{index}.{rest}")
    return None if inside is None else f"vace_{inside}"


def convert_vace_keys(official: Mapping[str, torch.Tensor], *, source: str) -> dict[str, torch.Tensor]:
    """A state dict with official names under diffusers'.

    Raises:
        CheckpointError: a key is none of the official network's; names `source` (the file) and the key.
    """
    return convert_keys(official, source=source, translate=vace_key, of="a VACE")
