"""Timestep tables, noising and Euler steps."""

from __future__ import annotations

from pathlib import Path

import torch

from infinitetalk.sampling.schedule import NUM_TIMESTEPS, add_noise, euler_step, timesteps
from tests.parity.comparison import assert_close, require
from tests.parity.seeded_weights import read_case


def run(folder: Path) -> None:
    case, _, tensors = read_case(folder)
    assert case["config"]["num_timesteps"] == NUM_TIMESTEPS
    for call in case["calls"]:
        name = f"timesteps.{call['shift']}.{call['steps']}"
        assert_close(name, timesteps(call["steps"], call["shift"]), require(tensors, name), absolute=1e-4)
    clean, noise = (torch.from_numpy(require(tensors, name)) for name in ("clean", "noise"))
    for index, timestep in enumerate(case.get("add_noise_timesteps", [])):
        name = f"noised.{index}"
        expected = require(tensors, name)
        assert_close(name, add_noise(clean, noise, timestep), expected, relative_to_absmax=1e-6)
        of_items = add_noise(clean[None], noise[None], torch.tensor([timestep]))[0]
        assert_close(f"{name}, as a batch", of_items, expected, relative_to_absmax=1e-6)
    if "euler" in case:
        times = timesteps(case["euler"]["steps"], case["euler"]["shift"])
        latents = noise
        for index in range(case["euler"]["steps"]):
            velocity = torch.from_numpy(require(tensors, f"velocity.{index}"))
            latents = euler_step(latents, velocity, times[index], times[index + 1])
            assert_close(f"euler.{index}", latents, require(tensors, f"euler.{index}"), relative_to_absmax=1e-6)
