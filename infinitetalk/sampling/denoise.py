"""From noise to the latents of one chunk, by Euler steps. B batch, T latent frames, h and w latent rows and columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import torch

from .guidance import Branch, Guidance
from .schedule import NUM_TIMESTEPS, euler_step

Prediction = Literal["velocity", "sample"]


class Network(Protocol):
    """latents [B, 16, T, h, w], timestep [B] in 0..1000, a condition per branch -> an output per branch.

    What it gives for the first `skip_frames` latent frames does not matter, as long as it is finite.
    """

    def __call__(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditions: Mapping[Branch, Any], *, skip_frames: int
    ) -> Mapping[Branch, torch.Tensor]: ...


def denoise(
    model: Network,
    conditions: Mapping[Branch, Any],
    noise: torch.Tensor,
    context_latents: torch.Tensor,
    *,
    timesteps: torch.Tensor,
    guidance: Guidance,
    prediction: Prediction = "velocity",
    on_step: Callable[[int, torch.Tensor], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> torch.Tensor | None:
    """Latents of a chunk, or None if `should_stop` said so before a step.

    The context latents stand clean in the first latent frames at every evaluation and after every step. The state is
    float32 whatever the network computes in.

    Args:
        conditions: what the network takes as condition, for each branch the guidance wants.
        noise: [B, 16, T, h, w].
        context_latents: [B, 16, 0 to T, h, w].
        timesteps: [steps + 1] falling, of `schedule.timesteps` (or its end, to start from a noised film).
        prediction: `velocity` (noise minus clean) as published; `sample` if the network gives the clean latents.
        on_step: called after step i with (i, the clean latents as that step foresees them).
    """
    latents, context = noise.float().clone(), context_latents.float()
    num_context = context.shape[2]
    latents[:, :, :num_context] = context
    # The context frames' outputs are overwritten, so only a guidance that looks at the whole wants them.
    skip_frames = num_context if guidance.is_elementwise else 0
    nothing_new = num_context == latents.shape[2] == 1  # a film of one frame, which is its own context
    for index, (now, following) in enumerate(zip(timesteps[:-1].tolist(), timesteps[1:].tolist(), strict=True)):
        if should_stop is not None and should_stop():
            return None
        if nothing_new:
            if on_step is not None:
                on_step(index, latents)
            continue
        timestep = torch.full(latents.shape[:1], now, dtype=torch.float32, device=latents.device)
        outputs = model(latents, timestep, conditions, skip_frames=skip_frames)
        outputs = {branch: output.float() for branch, output in outputs.items()}
        if prediction == "sample":
            outputs = {branch: sample_to_velocity(latents, output, now) for branch, output in outputs.items()}
        velocity = guidance(outputs)
        if on_step is not None:
            foreseen = euler_step(latents, velocity, now, 0.0)
            foreseen[:, :, :num_context] = context
            on_step(index, foreseen)
        latents = euler_step(latents, velocity, now, following)
        latents[:, :, :num_context] = context
    return latents.type_as(noise)


def sample_to_velocity(latents: torch.Tensor, sample: torch.Tensor, timestep: float) -> torch.Tensor:
    """The velocity that leads from the clean `sample` to `latents` at `timestep`: (x_t - x_0) / (t / 1000)."""
    return (latents - sample) / (timestep / NUM_TIMESTEPS)
