"""The loop's state: noise of its own for each chunk, latents that come back from where the network works."""

from __future__ import annotations

import torch

from infinitetalk.models.loading import load
from infinitetalk.models.specs import get_spec
from infinitetalk.streaming.conditions import LatentSpace, reference_latents
from infinitetalk.streaming.stream import chunk_noise, to_bytes


def test_noise_is_the_chunks_and_takes_own():
    shape = (1, 16, 3, 4, 4)
    assert torch.equal(chunk_noise(7, 2, 0, shape), chunk_noise(7, 2, 0, shape))
    drawn = [chunk_noise(seed, chunk, take, shape) for seed in (7, 8) for chunk in (0, 1) for take in (0, 1)]
    for i, one in enumerate(drawn):
        assert not any(torch.equal(one, other) for other in drawn[i + 1 :])
    assert abs(float(torch.cat(drawn).std()) - 1) < 0.05


def test_largest_seed_is_accepted():
    assert torch.isfinite(chunk_noise(2**63 - 1, 10_000, 99, (4,))).all()


def test_latent_space_round_trip():
    latents, reference = torch.randn(1, 16, 5, 2, 2), torch.randn(1, 16, 1, 2, 2)
    space = LatentSpace(reference, 0.6)
    assert torch.allclose(space.leave(space.enter(latents)), latents, atol=1e-6)
    assert torch.equal(space.enter(reference), torch.zeros_like(reference))
    assert LatentSpace(reference, None).enter(latents) is latents


def test_bytes_round_to_the_nearest():
    frames = torch.tensor([-1.0, -1 + 0.4 / 127.5, 0.0, 1.0, 1.5]).view(1, 5, 1, 1).expand(3, 5, 1, 1)
    assert to_bytes(frames)[:, 0, 0, 0].tolist() == [0, 0, 128, 255, 255]


def test_a_second_reference_is_marked_at_the_last_frame():
    """Four mask channels, one for each frame of a latent frame; the second picture stands for the very last."""
    models = load(get_spec("nano"), None, torch.float32, "cpu")
    first, last = torch.rand(1, 3, 32, 32) * 2 - 1, torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        single, both = reference_latents(models, first, 13), reference_latents(models, first, 13, last)
    assert both.shape == single.shape == (1, 20, 4, 4, 4)
    assert single[0, :4, :, 0, 0].sum() == 4 and both[0, :4, :, 0, 0].sum() == 5
    assert both[0, 3, -1].eq(1).all() and both[0, :3, -1].eq(0).all()
