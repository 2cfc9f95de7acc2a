"""VACE's control: what its side branch is shown, and one evaluation of the network.

The network is diffusers' `WanVACETransformer3DModel`; the published text-to-video base hears nothing.
"""

from __future__ import annotations

import torch
from diffusers import WanVACETransformer3DModel
from torch import Tensor
from torch.nn import functional

STRIDE = 8  # pixels of a latent, along each side


def control_channels(inactive: Tensor, reactive: Tensor, mask: Tensor) -> Tensor:
    """[B, 96, T, h, w]: latents of what stays [B, 16, T, h, w], of what is to change, and the mask folded 8 x 8.

    mask: [B, 1, T, 8h, 8w], 1 where pictures are to change, one for each latent frame.
    """
    batch, _, frames, height, width = mask.shape
    folded = mask.view(batch, frames, height // STRIDE, STRIDE, width // STRIDE, STRIDE)
    folded = folded.permute(0, 3, 5, 1, 2, 4).flatten(1, 2)
    return torch.cat([inactive, reactive, folded.to(inactive)], dim=1)


def evaluate(
    model: WanVACETransformer3DModel, latents: Tensor, timestep: Tensor, text: Tensor, control: Tensor,
    *, scale: float = 1.0, text_len: int = 512,
) -> Tensor:  # fmt: skip
    """The network's output [B, 16, T, h, w].

    Args:
        text: [B, tokens, text_dim], filled up with zeros to `text_len`, which are attended to as published.
        control: of `control_channels`. scale: of every hint of the side branch.
    """
    padded = functional.pad(text, (0, 0, 0, text_len - text.shape[1]))
    scales = control.new_full((len(model.config.vace_layers),), scale)
    return model(
        hidden_states=latents, timestep=timestep, encoder_hidden_states=padded, control_hidden_states=control,
        control_hidden_states_scale=scales, return_dict=False,
    )[0]  # fmt: skip
