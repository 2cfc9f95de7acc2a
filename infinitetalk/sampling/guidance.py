"""Guidance: how the evaluations of a step, one per branch, become one velocity.

Four branches by their conditions: `cond` the text and the speech, `drop_text` the negative text and the speech,
`uncond` the negative text and silence, `drop_audio` the text and silence. Sources: wan/multitalk.py; adaptive
projected guidance (arXiv 2410.02416) as in wan/utils/multitalk_utils.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, Protocol

import torch

Branch = Literal["cond", "drop_text", "uncond", "drop_audio"]

# Defaults of the published command line.
MOMENTUM = -0.75
NORM_THRESHOLD = 55.0


def branches_for(guidance_scale: float, audio_guidance_scale: float) -> tuple[Branch, ...]:
    """Branches that these scales need; a scale of one leaves its branch without weight.

    The published code evaluates two or three whatever the audio scale; leaving out one without weight changes rounding
    only.
    """
    no_text, no_audio = math.isclose(guidance_scale, 1.0), math.isclose(audio_guidance_scale, 1.0)
    if no_text:
        return ("cond",) if no_audio else ("cond", "drop_audio")
    return ("cond", "drop_text") if no_audio else ("cond", "drop_text", "uncond")


def combine(
    velocities: Mapping[Branch, torch.Tensor], guidance_scale: float, audio_guidance_scale: float
) -> torch.Tensor:
    """Plain guidance: uncond + text (cond - drop_text) + audio (drop_text - uncond); fewer terms for fewer branches."""
    branches = branches_for(guidance_scale, audio_guidance_scale)
    cond = velocities["cond"]
    if branches == ("cond",):
        return cond
    if branches == ("cond", "drop_audio"):
        return velocities["drop_audio"] + audio_guidance_scale * (cond - velocities["drop_audio"])
    drop_text = velocities["drop_text"]
    if branches == ("cond", "drop_text"):
        return drop_text + guidance_scale * (cond - drop_text)
    uncond = velocities["uncond"]
    return uncond + guidance_scale * (cond - drop_text) + audio_guidance_scale * (drop_text - uncond)


class Guidance(Protocol):
    """What `denoise` needs: called once a step with one velocity per branch. May remember; make one per chunk.

    is_elementwise: each value depends on the same place of the velocities only, so that places nobody reads need not
        be computed.
    """

    is_elementwise: bool

    def __call__(self, velocities: Mapping[Branch, torch.Tensor]) -> torch.Tensor: ...


class PlainGuidance:
    """`combine` at fixed scales."""

    is_elementwise = True

    def __init__(self, guidance_scale: float, audio_guidance_scale: float) -> None:
        self.guidance_scale = guidance_scale
        self.audio_guidance_scale = audio_guidance_scale

    def __call__(self, velocities: Mapping[Branch, torch.Tensor]) -> torch.Tensor:
        return combine(velocities, self.guidance_scale, self.audio_guidance_scale)


class AdaptiveProjectedGuidance:
    """Guidance that adds only what is orthogonal to `cond`, of bounded norm, with (negative) momentum over steps.

    cond + (text - 1) A(cond - drop_text) + (audio - 1) A(drop_text - uncond), or with two branches
    cond + (audio - 1) A(cond - drop_audio). Text and audio have a running difference each. Make one per chunk.

    Args:
        momentum: weight of the running difference.
        norm_threshold: largest L2 norm of a difference, over everything but the batch; 0 or less for no bound.
    """

    is_elementwise = False

    def __init__(
        self,
        guidance_scale: float,
        audio_guidance_scale: float,
        momentum: float = MOMENTUM,
        norm_threshold: float = NORM_THRESHOLD,
    ) -> None:
        self.guidance_scale = guidance_scale
        self.audio_guidance_scale = audio_guidance_scale
        self.momentum = momentum
        self.norm_threshold = norm_threshold
        self._running: dict[str, torch.Tensor] = {}

    def __call__(self, velocities: Mapping[Branch, torch.Tensor]) -> torch.Tensor:
        cond = velocities["cond"]
        guided = cond
        if not math.isclose(self.guidance_scale, 1.0):
            guided = guided + (self.guidance_scale - 1) * self._adapted("text", cond - velocities["drop_text"], cond)
        if not math.isclose(self.audio_guidance_scale, 1.0):
            if math.isclose(self.guidance_scale, 1.0):
                difference = cond - velocities["drop_audio"]
            else:
                difference = velocities["drop_text"] - velocities["uncond"]
            guided = guided + (self.audio_guidance_scale - 1) * self._adapted("audio", difference, cond)
        return guided

    def _adapted(self, name: str, difference: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        running = difference + self.momentum * self._running.get(name, torch.zeros_like(difference))
        self._running[name] = running
        axes = tuple(range(1, running.ndim))
        if self.norm_threshold > 0:
            norm = running.square().sum(dim=axes, keepdim=True).sqrt()
            running = running * torch.clamp(self.norm_threshold / norm, max=1.0)
        # In float64, as published: the parallel part is a small difference of large sums. mps has no float64.
        wide = torch.float32 if running.device.type == "mps" else torch.float64
        change, along = running.to(wide), cond.to(wide)
        along = along / along.square().sum(dim=axes, keepdim=True).sqrt().clamp(min=1e-12)
        return (change - (change * along).sum(dim=axes, keepdim=True) * along).type_as(difference)


def make_guidance(
    guidance_scale: float,
    audio_guidance_scale: float,
    *,
    adaptive: bool = False,
    momentum: float = MOMENTUM,
    norm_threshold: float = NORM_THRESHOLD,
) -> Guidance:
    """The guidance of one chunk."""
    if adaptive:
        return AdaptiveProjectedGuidance(guidance_scale, audio_guidance_scale, momentum, norm_threshold)
    return PlainGuidance(guidance_scale, audio_guidance_scale)
