"""One chunk's inputs as tensors: reference, mask, context and the guidance branches.

Shapes: B = 1, T latent frames, h x w latent pixels, S speakers, L audio layers, C audio channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.image_encoder import encode_image
from ..models.loading import Models
from ..models.vae import encode_reference
from ..sampling.guidance import Branch

VAE_TIME_STRIDE = 4


@dataclass(frozen=True)
class TextPair:
    """The two encoded prompts: wanted and negative, each [tokens, dim]; no tokens for a model without a prompt."""

    positive: Tensor
    negative: Tensor


@dataclass(frozen=True)
class LatentSpace:
    """Where the transformer works: the VAE's latents, or their distance from the reference's (spec.reference_scale)."""

    reference: Tensor  # [1, 16, 1, h, w]
    scale: float | None

    def enter(self, latents: Tensor) -> Tensor:
        return latents if self.scale is None else (latents - self.reference) / self.scale

    def leave(self, latents: Tensor) -> Tensor:
        return latents if self.scale is None else latents * self.scale + self.reference


def reference_latents(models: Models, reference: Tensor, num_frames: int) -> Tensor:
    """`y` of the paper: 4 mask channels (1 where the picture is given), then the encoding of [reference, zeros ...].

    reference: [1, 3, H, W] in [-1, 1]. Returns [1, 20, T, h, w].
    """
    encoded = encode_reference(models.vae, reference, num_frames)
    mask = torch.zeros_like(encoded[:, :VAE_TIME_STRIDE])
    mask[:, :, 0] = 1
    return torch.cat([mask, encoded], dim=1)


def branch_conditions(
    models: Models,
    branches: tuple[Branch, ...],
    *,
    text: TextPair,
    reference: Tensor,
    y: Tensor,
    audio: Tensor,
    speaker_masks: Tensor | None,
    image_tokens: Tensor | None = None,
) -> Mapping[Branch, object]:
    """What the transformer needs for each guidance branch, with everything that does not change between steps done.

    A branch without audio hears one stream of zeros, as in the reference, even with two speakers.

    audio: [S, num_frames, 5, L, C]. image_tokens: given only by tests that replace the image encoder.
    """
    dtype, device = models.dtype, models.device
    if image_tokens is None:
        image_tokens = encode_image(models.image_encoder, reference)
    silence = torch.zeros_like(audio[:1])
    conditions = {}
    for branch in branches:
        wanted_text = branch in ("cond", "drop_audio")
        heard = branch in ("cond", "drop_text")
        conditions[branch] = models.transformer.encode_condition(
            text=(text.positive if wanted_text else text.negative)[None].to(device, dtype),
            image=image_tokens.to(device, dtype),
            audio=(audio if heard else silence).to(device, dtype),
            reference=y.to(device, dtype),
            speaker_masks=speaker_masks,
        )
    return conditions
