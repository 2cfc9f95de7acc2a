"""Image encoder: key names of the official XLM-RoBERTa CLIP file → transformers' `CLIPVisionModel`.

The file's text tower, its temperature and the projection of the image tower are never used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

PREFIX = "visual."
UNUSED = ("textual.", "log_scale", "visual.head")
TOP_LEVEL = {
    "patch_embedding.weight": "embeddings.patch_embedding.weight",
    "pre_norm": "pre_layrnorm",
    "post_norm": "post_layernorm",
}
IN_LAYER = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attn.proj": "self_attn.out_proj",
    "mlp.0": "mlp.fc1",
    "mlp.2": "mlp.fc2",
}
_LAYER_KEY = re.compile(r"transformer\.(\d+)\.(.+)\.(weight|bias)")


def convert(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the image tower; split its joint query, key and value matrices (views, no copies)."""
    converted: dict[str, Tensor] = {}
    for key, value in weights.items():
        if key.startswith(UNUSED):
            continue
        name = key.removeprefix(PREFIX)
        layer = _LAYER_KEY.fullmatch(name)
        if name == "cls_embedding":
            converted["embeddings.class_embedding"] = value.reshape(-1)
        elif name == "pos_embedding":
            converted["embeddings.position_embedding.weight"] = value[0]
        elif layer and layer[2] == "attn.to_qkv":
            for part, rows in zip(("q_proj", "k_proj", "v_proj"), value.chunk(3, dim=0), strict=True):
                converted[f"encoder.layers.{layer[1]}.self_attn.{part}.{layer[3]}"] = rows
        elif layer and layer[2] in IN_LAYER:
            converted[f"encoder.layers.{layer[1]}.{IN_LAYER[layer[2]]}.{layer[3]}"] = value
        else:
            stem, _, leaf = name.rpartition(".")
            converted[TOP_LEVEL.get(name) or f"{TOP_LEVEL.get(stem, stem)}.{leaf}"] = value
    return converted
