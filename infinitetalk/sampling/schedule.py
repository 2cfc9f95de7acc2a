"""Times of a flow-matching run and the three formulas that use them.

Time t runs from 1000 (noise) to 0 (clean); on the straight path between them x_t = (1 - t/1000) clean + t/1000 noise.
"""

from __future__ import annotations

import torch

from ..errors import InputError

NUM_TIMESTEPS = 1000


def timesteps(num_steps: int, shift: float) -> torch.Tensor:
    """The times of a run: float32 [num_steps + 1], from 1000 down to 0.

    Even from 1000 to 1, then 0; each moved towards noise by t -> s t / (1 + (s - 1) t) on t/1000. The last step
    therefore starts at the shifted 1 (wan/multitalk.py). Larger pictures want a larger shift: 7 at 480p, 11 at 720p.

    Raises:
        InputError: for fewer than one step or a shift that is not positive.
    """
    if num_steps < 1 or shift <= 0:
        raise InputError(f"{num_steps} steps with shift {shift}; at least one step and a positive shift are needed.")
    # Spaced in float64, then float32: to the last bit as published.
    even = torch.linspace(NUM_TIMESTEPS, 1, num_steps, dtype=torch.float64)
    times = torch.cat([even, even.new_zeros(1)]).float() / NUM_TIMESTEPS
    return shift * times / (1 + (shift - 1) * times) * NUM_TIMESTEPS


def timesteps_from(times: torch.Tensor, denoising_strength: float) -> torch.Tensor:
    """The end of a run that starts from a noised film (SDEdit, arXiv 2108.01073).

    Args:
        times: of `timesteps`. denoising_strength: 1 starts from noise alone; 0 leaves no step.
    Returns:
        [1 to steps + 1] falling from denoising_strength * 1000.
    """
    skipped = round(1 - denoising_strength, 9)
    if not skipped:
        return times
    start = (1 - skipped) * NUM_TIMESTEPS
    return torch.cat([times.new_tensor([start]), times[times < start]]) if start > 0 else times[-1:]


def add_noise(clean: torch.Tensor, noise: torch.Tensor, timestep: torch.Tensor | float) -> torch.Tensor:
    """x_t on the straight path; `timestep` is one number or one per item of the first axis, in 0..1000."""
    share = torch.as_tensor(timestep, dtype=torch.float32, device=clean.device) / NUM_TIMESTEPS
    share = share.view(-1, *(1,) * (clean.ndim - 1)) if share.ndim else share
    return ((1 - share) * clean + share * noise).type_as(clean)


def euler_step(
    latents: torch.Tensor, velocity: torch.Tensor, timestep: torch.Tensor | float, following: torch.Tensor | float
) -> torch.Tensor:
    """One step from `timestep` to `following` (smaller), in the dtype of `latents`.

    velocity: the network's output in its published sign, noise minus clean, so that x_t' = x_t - v (t - t') / 1000.
    """
    return (latents - velocity * ((timestep - following) / NUM_TIMESTEPS)).type_as(latents)
