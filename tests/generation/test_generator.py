"""The loop's state: noise of its own for each chunk, latents that come back from where the network works."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from infinitetalk.checkpoints.loading import Models, load
from infinitetalk.config.presets import load_preset
from infinitetalk.generation.conditions import TextPair, reference_latents
from infinitetalk.generation.generator import ChunkGenerator, ChunkInputs, chunk_noise, to_bytes
from infinitetalk.generation.reference import ReferencePicture
from infinitetalk.models.latent_space import AbsoluteLatents, RelativeLatents
from infinitetalk.models.specs import get_spec
from infinitetalk.models.vae import as_encoded, encode_video
from infinitetalk.planning.chunks import Chunk, Reference


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
    space = RelativeLatents(0.6).space(reference)
    assert torch.allclose(space.denormalise(space.normalise(latents)), latents, atol=1e-6)
    assert torch.equal(space.normalise(reference), torch.zeros_like(reference))
    assert AbsoluteLatents().space(reference).normalise(latents) is latents


def test_bytes_round_to_the_nearest():
    frames = torch.tensor([-1.0, -1 + 0.4 / 127.5, 0.0, 1.0, 1.5]).view(1, 5, 1, 1).expand(3, 5, 1, 1)
    assert to_bytes(frames)[:, 0, 0, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.fixture(scope="module")
def models() -> Models:
    return load(get_spec("nano"), None, torch.float32, "cpu")


def test_a_second_reference_is_marked_at_the_last_frame(models):
    """Four mask channels, one for each frame of a latent frame; the second picture stands for the very last."""
    first, last = torch.rand(1, 3, 32, 32) * 2 - 1, torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        single, both = reference_latents(models, first, 13), reference_latents(models, first, 13, last)
    assert both.shape == single.shape == (1, 20, 4, 4, 4)
    assert single[0, :4, :, 0, 0].sum() == 4 and both[0, :4, :, 0, 0].sum() == 5
    assert both[0, 3, -1].eq(1).all() and both[0, :3, -1].eq(0).all()


def test_a_chunk_from_a_film_lies_between_noise_and_the_film(models):
    """SDEdit: the lower the denoising strength, the nearer are the latents to the film's own."""
    generator = torch.Generator().manual_seed(3)
    reference = torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1
    film = (reference[:, :, None] + 0.5 * torch.randn(1, 3, 9, 64, 64, generator=generator)).clamp(-1, 1)
    noise = torch.randn(1, 16, 3, 4, 4, generator=generator)
    config = models.transformer.config
    audio = torch.zeros(1, 9, config.audio_window, config.audio_blocks, config.audio_channels)
    empty = torch.zeros(0, config.text_dim)
    settings = replace(load_preset("nano"), framing="whole", steps=4)
    chunk = Chunk(0, 0, 9, 0, 0, 9, Reference(0.0))

    guide = ReferencePicture("", np.zeros((64, 64, 3), np.uint8), None, np.zeros((64, 64, 3), np.uint8), reference)

    def latents(strength: float) -> torch.Tensor:
        steps = []
        video = film if strength < 1 else None
        inputs = ChunkInputs(chunk, settings, guide, audio, noise, TextPair(empty, empty), None, video, strength)
        made = ChunkGenerator(models).generate(inputs, on_step=lambda i, _: steps.append(i))
        counted[strength] = len(steps)
        return made.latents

    counted: dict[float, int] = {}
    made = {strength: latents(strength) for strength in (1.0, 0.7, 0.3, 0.0)}
    with torch.inference_mode():
        own = encode_video(models.vae, as_encoded(models.vae, film))
    away = {
        strength: float((one - own)[:, :, 1:].abs().mean()) for strength, one in made.items()
    }  # the first is context
    assert away[0.0] < 1e-5 < away[0.3] < away[0.7] < away[1.0], away
    assert counted[1.0] == 4 and counted[0.0] == 0 and counted[0.3] < counted[0.7] <= 4, counted
