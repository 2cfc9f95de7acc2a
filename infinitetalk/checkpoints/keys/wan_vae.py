"""Video autoencoder: key names of Wan2.1_VAE.pth → diffusers' `AutoencoderKLWan`.

The official decoder numbers residual blocks and upsamplers in one row; diffusers groups them by resolution. Where a
group ends follows from the keys themselves (an upsampler ends it), so that any number of residual blocks converts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

IN_RESIDUAL = {
    "residual.0": "norm1",
    "residual.2": "conv1",
    "residual.3": "norm2",
    "residual.6": "conv2",
    "shortcut": "conv_shortcut",
}
TOP_LEVEL = {
    "conv1": "quant_conv",
    "conv2": "post_quant_conv",
    "encoder.conv1": "encoder.conv_in",
    "encoder.head.0": "encoder.norm_out",
    "encoder.head.2": "encoder.conv_out",
    "decoder.conv1": "decoder.conv_in",
    "decoder.head.0": "decoder.norm_out",
    "decoder.head.2": "decoder.conv_out",
}
IN_MIDDLE = {"0": "mid_block.resnets.0", "1": "mid_block.attentions.0", "2": "mid_block.resnets.1"}
_INNER_KEY = re.compile(r"(encoder|decoder)\.(downsamples|upsamples|middle)\.(\d+)\.(.+)\.(weight|bias|gamma)")


def convert(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the whole autoencoder."""
    upsamplers = {
        int(match[3])
        for match in map(_INNER_KEY.fullmatch, weights)
        if match and match[2] == "upsamples" and match[4].startswith("resample")
    }
    converted: dict[str, Tensor] = {}
    for key, value in weights.items():
        match = _INNER_KEY.fullmatch(key)
        if match is None:
            stem, _, leaf = key.rpartition(".")
            converted[f"{TOP_LEVEL.get(stem, stem)}.{leaf}"] = value
            continue
        side, row, number, inner, leaf = match.groups()
        inner = IN_RESIDUAL.get(inner, inner)
        if row == "middle":
            place = IN_MIDDLE.get(number, f"middle.{number}")
        elif row == "downsamples":
            place = f"down_blocks.{number}"
        else:
            place = _place_in_decoder(int(number), upsamplers)
        converted[f"{side}.{place}.{inner}.{leaf}"] = value
    return converted


def _place_in_decoder(number: int, upsamplers: set[int]) -> str:
    """Position in the official row → group, and residual block or upsampler within it."""
    before = [position for position in upsamplers if position < number]
    group, first = len(before), max(before, default=-1) + 1
    inner = "upsamplers.0" if number in upsamplers else f"resnets.{number - first}"
    return f"up_blocks.{group}.{inner}"
