"""Speech encoder: key names of wav2vec2 checkpoints → `models.audio_encoder.SpeechEncoder`.

Files of the pre-training class put "wav2vec2." in front and add the quantizer; the weight norm of the positional
convolution has an old and a new spelling.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

PREFIX = "wav2vec2."
UNUSED_PREFIXES = ("quantizer.", "project_hid.", "project_q.")
UNUSED_KEYS = frozenset({"masked_spec_embed"})  # only masked training reads it
NEW_SPELLINGS = {
    "encoder.pos_conv_embed.conv.weight_g": "encoder.pos_conv_embed.conv.parametrizations.weight.original0",
    "encoder.pos_conv_embed.conv.weight_v": "encoder.pos_conv_embed.conv.parametrizations.weight.original1",
}


def convert(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a wav2vec2 state dict; drop what only pre-training uses."""
    converted = {}
    for key, value in weights.items():
        name = key.removeprefix(PREFIX)
        if name not in UNUSED_KEYS and not name.startswith(UNUSED_PREFIXES):
            converted[NEW_SPELLINGS.get(name, name)] = value
    return converted
