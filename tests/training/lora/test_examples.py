"""Chunks in films, their encodings on disk, and the loss on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from infinitetalk.media.framing import to_network_range
from infinitetalk.media.images import load_image
from infinitetalk.media.writer import SegmentWriter
from infinitetalk.models.latent_space import AbsoluteLatents, RelativeLatents
from infinitetalk.models.specs import ModelSpec
from infinitetalk.models.vae import encode_video
from infinitetalk.paths import assets_dir
from infinitetalk.training.lora.encode import StoredChunk, encode_footage
from infinitetalk.training.lora.examples import Batch, draw_batch, draw_times, flow_loss
from infinitetalk.training.lora.footage import Footage, chunk_places, find_footage
from infinitetalk.training.lora.networks import ModelFiles
from tests.training.lora.conftest import write_film
from tests.training.lora.test_adapters import network


@pytest.fixture(scope="session")
def stored(trained, weights, films, spec, config) -> list[StoredChunk]:
    """The chunks that the training encoded; nothing is encoded anew."""
    found, notes = find_footage(films, config, spec)
    assert not notes
    cache = trained.out / "stages" / "lora-cache"
    before = sorted(cache.iterdir())
    chunks = encode_footage(found, chunk_places(found, config), ModelFiles.of(spec, weights, torch.float32), cache)
    assert sorted(cache.iterdir()) == before
    return chunks


def test_films_have_shots_sizes_and_prompts(films, spec, config, tmp_path):
    found, _ = find_footage(films, config, spec)
    assert [film.prompt for film in found] == ["a person speaks", ""]
    assert (found[0].height, found[0].width, found[0].num_frames) == (32, 48, 110)
    write_film(tmp_path / "cut.mp4", 200, cut_at=90)
    (film,), _ = find_footage(tmp_path, config, spec)
    assert film.shots == ((0, 90), (90, 200))
    assert next(film.pictures([100])).shape == (32, 48, 3)


def test_a_film_is_cut_around_its_face(spec, config, tmp_path):
    portrait = load_image(assets_dir() / "portrait.png", 128)
    wide = np.full((*portrait.shape[:1], 2 * portrait.shape[1], 3), 90, np.uint8)
    wide[:, : portrait.shape[1]] = portrait
    silence = np.zeros(85 * 640, np.float32)
    SegmentWriter(wide.shape[1], wide.shape[0], 16_000).write(tmp_path / "face.mp4", [wide] * 85, silence)
    square = replace(spec, sizes={"small": {"1.00": (32, 32)}})
    (film,), _ = find_footage(tmp_path, replace(config, framing="face"), square)
    assert film.square.column + film.square.side / 2 < portrait.shape[1] and (film.height, film.width) == (32, 32)


@pytest.mark.parametrize("strategy", ["M0", "M1", "M2", "M3"])
def test_references_lie_where_the_strategy_says(strategy, config):
    film = Footage(None, 300, ((0, 60), (60, 300)), 32, 32, None, "")
    places = chunk_places([film], replace(config, reference=strategy, references_per_chunk=3, chunk_stride=30))
    assert {place.start for place in places} <= set(range(60, 220, 30)) and len(places) > 3
    for place in places:
        assert place.references[0] == place.start  # for films' first chunks
        for frame in place.references[1:]:
            assert 60 <= frame < 300  # never across a cut
            distance = max(place.start - frame, frame - (place.start + 80), 0)
            inside = {"M0": distance == 0, "M1": frame in (place.start, place.start + 80), "M2": distance >= 25,
                      "M3": 0 < distance < 25}  # fmt: skip
            assert inside[strategy], (place, frame)
    assert places == chunk_places([film], replace(config, reference=strategy, references_per_chunk=3, chunk_stride=30))


@torch.no_grad()
def test_what_is_stored_is_what_generation_would_encode(stored, weights, films, spec, config):
    chunk = stored[1]
    kept = load_file(chunk.chunk)
    found, _ = find_footage(films, config, spec)
    pictures = list(found[0].pictures(range(chunk.start, chunk.start + 81)))
    video = torch.stack([torch.from_numpy(to_network_range(p)) for p in pictures], dim=1)[None]
    vae = ModelFiles.of(spec, weights, torch.float32).load("vae")
    torch.testing.assert_close(kept["latents"][None], encode_video(vae, video), atol=1e-4, rtol=1e-3)
    # A film's first chunk starts from its own first frame: mask of one frame, and the very latent that it is given.
    assert kept["reference.0"].shape == (20, 21, 4, 6)
    assert kept["reference.0"][:4, 0].eq(1).all() and kept["reference.0"][:4, 1:].eq(0).all()
    torch.testing.assert_close(kept["reference.0"][4:, 0], kept["latents"][:, 0], atol=1e-4, rtol=1e-3)
    assert kept["image.0"].shape == (5, 16)
    film = load_file(chunk.film)
    assert film["audio"].shape == (110, 2, 32) and film["text"].shape == (4, 24) and film["no_text"].shape == (1, 24)


def test_batches_hold_first_and_later_chunks_and_drop_sound_and_words(stored, config):
    rng = np.random.default_rng(0)
    batch = draw_batch(stored, np.arange(4).repeat(10), replace(config, audio_dropout=0.3), rng)
    assert batch.clean.shape == (40, 16, 21, 4, 6) and batch.audio.shape == (40, 81, 5, 2, 32)
    assert set(batch.num_context.tolist()) == {0, 1, 3}
    own = (batch.reference[:, 4:, 0] - batch.clean[:, :, 0]).flatten(1).abs().amax(dim=1) < 1e-3
    assert batch.num_context[own].eq(1).all() and 0.1 < own.float().mean() < 0.6
    silent = batch.audio.flatten(1).abs().amax(dim=1) == 0
    assert 0 < silent.sum() < 40
    assert batch.text.shape == (40, 4, 24) and (batch.text[:, 1:].flatten(1).abs().amax(dim=1) == 0).any()


def test_a_batch_has_one_size(stored, config):
    other = [replace(chunk, height=64) for chunk in stored[:1]] + stored[1:]
    batch = draw_batch(other, np.array([1, 0, 2]), config, np.random.default_rng(0))
    assert len(batch.clean) == 3  # the second was replaced by one that fits


def test_times_follow_the_shift():
    generator = torch.Generator().manual_seed(0)
    even, noisy = (draw_times(4000, shift, generator) for shift in (1.0, 7.0))
    assert even.mean().item() == pytest.approx(0.5, abs=0.02)
    assert noisy.median().item() == pytest.approx(7 * 0.5 / (1 + 6 * 0.5), abs=0.02)
    assert 0 < min(even.min(), noisy.min()) and max(even.max(), noisy.max()) <= 1


@pytest.mark.parametrize(("prediction", "scale"), [("velocity", None), ("sample", 0.5)])
@torch.no_grad()
def test_the_loss_is_the_velocity_of_frames_that_are_not_given(prediction, scale):
    """Of a network that answers zero, the loss is known: the mean square of what it should have said."""
    transformer = network()
    transformer.proj_out.weight.zero_()
    transformer.proj_out.bias.zero_()
    generator = torch.Generator().manual_seed(3)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    batch = Batch(
        clean=noise(2, 16, 4, 4, 4), reference=noise(2, 20, 4, 4, 4), image=noise(2, 5, 16),
        audio=noise(2, 13, 5, 2, 8), text=noise(2, 3, 24), num_context=torch.tensor([0, 3]),
    )  # fmt: skip
    times, shaken = torch.tensor([0.2, 0.9]), noise(2, 16, 4, 4, 4)
    spec = ModelSpec(
        name="t",
        title="t",
        prediction=prediction,
        latents=AbsoluteLatents() if scale is None else RelativeLatents(scale),
    )
    clean = batch.clean if scale is None else (batch.clean - batch.reference[:, 4:, :1]) / scale
    if prediction == "velocity":
        wanted = [(shaken - clean)[0].square().mean(), (shaken - clean)[1, :, 3:].square().mean()]
    else:
        wanted = [clean[0].square().mean() / 0.15, clean[1, :, 3:].square().mean() / 0.81]
    torch.testing.assert_close(flow_loss(transformer, spec, batch, times, shaken), torch.stack(wanted))
