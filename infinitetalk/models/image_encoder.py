"""Image encoder: CLIP's ViT-H/14, of which the second to last layer describes the reference picture (257 tokens).

The network is transformers' `CLIPVisionModel`; nano uses the same class with a small configuration. The official
preprocessing (`wan/modules/clip.py`) differs from CLIP's own: bicubic without antialiasing, aspect ratio not kept.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPVisionConfig, CLIPVisionModel

CHANNEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
CHANNEL_STD = (0.26862954, 0.26130258, 0.27577711)


def image_encoder_config(
    hidden_size: int = 1280,
    num_layers: int = 32,
    num_heads: int = 16,
    mlp_ratio: float = 4,
    image_size: int = 224,
    patch_size: int = 14,
    layer_norm_eps: float = 1e-5,
) -> CLIPVisionConfig:
    """The published encoder's configuration, or a smaller one of the same kind."""
    return CLIPVisionConfig(
        hidden_size=hidden_size,
        intermediate_size=int(hidden_size * mlp_ratio),
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        image_size=image_size,
        patch_size=patch_size,
        hidden_act="gelu",
        layer_norm_eps=layer_norm_eps,
    )


def preprocess_image(frame: Tensor, image_size: int) -> Tensor:
    """[B,3,H,W] in [-1,1] → [B,3,image_size,image_size] with CLIP's channel statistics; bicubic overshoot stays."""
    resized = functional.interpolate(frame, size=(image_size, image_size), mode="bicubic", align_corners=False)
    mean = resized.new_tensor(CHANNEL_MEAN)[:, None, None]
    std = resized.new_tensor(CHANNEL_STD)[:, None, None]
    return (resized * 0.5 + 0.5 - mean) / std


def encode_image(model: CLIPVisionModel, frame: Tensor) -> Tensor:
    """Tokens of the second to last layer for frames [B,3,H,W] in [-1,1] of any size: [B, 1 + patches, C].

    The last layer, the final norm and the projection are never used, so they are not run.
    """
    pixels = preprocess_image(frame.to(model.device, torch.float32), model.config.image_size)
    hidden = model.pre_layrnorm(model.embeddings(pixels.to(model.dtype)))
    for layer in model.encoder.layers[:-1]:
        hidden = layer(hidden, None)
    return hidden
