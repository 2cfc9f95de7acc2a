"""One chunk's inputs as tensors: reference, mask, context and the guidance branches.

Shapes: B = 1, T latent frames, h x w latent pixels, S speakers, L audio layers, C audio channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..checkpoints.loading import Models
from ..config.constants import VAE_TEMPORAL_STRIDE
from ..config.settings import Keys
from ..models.condition import Condition
from ..models.vae import encode_reference
from ..sampling.guidance import Branch
from .control_residuals import ControlResiduals


@dataclass(frozen=True)
class TextPair:
    """The two encoded prompts: wanted and negative, each [tokens, dim]; no tokens for a model without a prompt."""

    positive: Tensor
    negative: Tensor


def reference_latents(models: Models, reference: Tensor, num_frames: int, second: Tensor | None = None) -> Tensor:
    """`y` of the paper: 4 mask channels (1 where a picture is given), then the encoding of [reference, zeros ...].

    reference: [1, 3, H, W] in [-1, 1]. second: the same, a picture for the last frame (section 3.4, soft first-last);
    of the last latent frame's four mask channels, one for each of its frames, the last is 1. Returns [1, 20, T, h, w].
    """
    encoded = encode_reference(models.vae, reference, num_frames, second)
    mask = torch.zeros_like(encoded[:, :VAE_TEMPORAL_STRIDE])
    mask[:, :, 0] = 1
    if second is not None:
        mask[:, -1, -1] = 1
    return torch.cat([mask, encoded], dim=1)


def branch_conditions(
    models: Models,
    branches: tuple[Branch, ...],
    *,
    text: TextPair,
    y: Tensor,
    audio: Tensor,
    speaker_masks: Tensor | None,
    image_tokens: Tensor,
    keys: Keys = "device",
    residuals: ControlResiduals | None = None,
) -> Mapping[Branch, Condition]:
    """What the transformer needs for each guidance branch, with everything that does not change between steps done.

    A branch without audio gets one stream of zeros, as in the reference, even with two speakers.

    y: of `reference_latents`. audio: [S, num_frames, 5, L, C]. image_tokens: the image encoder's view of the reference.
    keys: where the encoded conditions wait (`Settings.keys`). residuals: of control networks.
    """
    dtype, device = models.dtype, models.device
    image, y, audio = (tensor.to(device, dtype) for tensor in (image_tokens, y, audio))
    positive, negative = (prompt[None].to(device, dtype) for prompt in (text.positive, text.negative))
    silence = torch.zeros_like(audio[:1])
    conditions: dict[Branch, Condition] = {}
    for branch in branches:
        with_audio = branch in ("cond", "drop_text")
        condition = models.transformer.encode_condition(
            text=positive if branch in ("cond", "drop_audio") else negative,
            image=image,
            audio=audio if with_audio else silence,
            reference=y if residuals is None else residuals.y(branch, y),
            speaker_masks=speaker_masks if len(audio) == 2 and with_audio else None,
            reuse=tuple(conditions.values()),  # branches share what is equal
            keep_keys=keys != "recompute",
            keys_device="cpu" if keys == "host" else None,
        )
        conditions[branch] = condition if residuals is None else replace(condition, control=residuals.control(branch))
    return conditions
