"""The schedule's shape and the exactness of its formulas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from infinitetalk.errors import InputError
from infinitetalk.sampling.schedule import add_noise, euler_step, timesteps, timesteps_from


@given(num_steps=st.integers(1, 60), shift=st.floats(0.5, 20))
def test_times_fall_from_noise_to_clean(num_steps, shift):
    times = timesteps(num_steps, shift)
    assert times.shape == (num_steps + 1,) and times.dtype == torch.float32
    assert times[0] == pytest.approx(1000, abs=1e-3) and times[-1] == 0
    assert (times.diff() < 0).all()


def test_a_larger_shift_stays_longer_near_noise():
    assert (timesteps(10, 11)[1:-1] > timesteps(10, 3)[1:-1]).all()


@pytest.mark.parametrize(("num_steps", "shift"), [(0, 7.0), (-1, 7.0), (4, 0.0), (4, -2.0)])
def test_impossible_schedules_are_refused(num_steps, shift):
    with pytest.raises(InputError, match="at least one step"):
        timesteps(num_steps, shift)


def test_noise_at_both_ends_and_per_item():
    clean, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    torch.testing.assert_close(add_noise(clean, noise, 0), clean)
    torch.testing.assert_close(add_noise(clean, noise, 1000.0), noise)
    mixed = add_noise(clean, noise, torch.tensor([0.0, 1000.0]))
    torch.testing.assert_close(mixed, torch.stack([clean[0], noise[1]]))


@given(num_steps=st.integers(1, 12), shift=st.floats(1, 11))
def test_euler_is_exact_on_a_straight_path(num_steps, shift):
    generator = torch.Generator().manual_seed(num_steps)
    clean, noise = (torch.randn(1, 16, 2, 2, 2, generator=generator) for _ in range(2))
    times, latents = timesteps(num_steps, shift), noise
    for now, following in zip(times[:-1], times[1:], strict=True):
        latents = euler_step(latents, noise - clean, now, following)
        torch.testing.assert_close(latents, add_noise(clean, noise, following), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(latents, clean, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("skipped", [0.0, 0.05, 0.3, 0.62, 0.999, 1.0])
def test_a_run_from_a_film_is_the_end_of_a_run_from_noise(skipped):
    times = timesteps(8, 3.0)
    end = timesteps_from(times, 1 - skipped)
    assert end[0] == pytest.approx(1000 * (1 - skipped), abs=1e-3) and end[-1] == 0
    assert (end[1:] < end[:-1]).all() and set(end[1:].tolist()) <= set(times.tolist())
    assert len(end) <= len(times) and (skipped > 0 or torch.equal(end, times))
