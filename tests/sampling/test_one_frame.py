"""A film of one frame: there is nothing to denoise, and the steps are reported all the same."""

from __future__ import annotations

import torch

from infinitetalk.sampling.denoise import denoise
from infinitetalk.sampling.guidance import make_guidance
from infinitetalk.sampling.schedule import timesteps


def test_a_chunk_that_is_all_context_needs_no_network() -> None:
    def network(*_, **__):
        raise AssertionError("there is nothing to evaluate")

    context, steps = torch.randn(1, 16, 1, 4, 4), []
    latents = denoise(
        network, {}, torch.randn(1, 16, 1, 4, 4), context, timesteps=timesteps(3, 1.0), guidance=make_guidance(1.0, 2.0),
        on_step=lambda index, foreseen: steps.append(index),
    )  # fmt: skip
    assert torch.equal(latents, context) and steps == [0, 1, 2]
