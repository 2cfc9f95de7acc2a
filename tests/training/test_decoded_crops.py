"""Mouths that are decoded in training: the right pictures, compared at the right place, with an error that teaches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from infinitetalk.models.specs import get_spec
from infinitetalk.paths import assets_dir
from infinitetalk.training.batches import BatchMaker
from infinitetalk.training.decoded_crops import CELL_PIXELS, CELLS, CropLoss, crop, picture_error
from infinitetalk.training.latents import Variation
from infinitetalk.training.phases import Phase, TransformerTraining
from infinitetalk.training.record import read_log
from infinitetalk.training.references import Given
from infinitetalk.training.transformer_stage import SCALE_FILE, train_transformer
from tests.training.conftest import shipped_vae
from tests.training.toy_features import toy_clips, toy_features

MOUTHS = Phase("mouths", 1.0, 4, (8, 8), 3, 6.0, 2.0, 0.0, 1.0)
SMALL = TransformerTraining(
    steps=3,
    audio_pretraining_steps=0,
    dim=48,
    num_heads=2,
    num_layers=1,
    context_tokens=2,
    phases=(MOUTHS,),
    picture_weight=2.0,
)


def batch_of(mouth_clips, mouth_features, phase: Phase = MOUTHS, seed: int = 0, **changes):
    maker = BatchMaker(mouth_clips, mouth_features, 0.5, replace(SMALL, **changes))
    return maker.draw(np.arange(4), phase, np.random.default_rng(seed))


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_window_of_a_variation_is_that_of_the_whole(mouth_clips, number) -> None:
    picture = torch.from_numpy(mouth_clips.frames(0, 3, 5).copy()).movedim(-1, 1).float() / 127.5 - 1
    variation = Variation.of(0, number, 256)
    whole = variation.pictures(picture)
    part = variation.pictures(picture, (slice(96, 192), slice(160, 256)))
    torch.testing.assert_close(part, whole[:, :, 96:192, 160:256], atol=1e-5, rtol=0)


def test_a_glimpse_shows_the_mouth_of_the_group_it_names(mouth_clips) -> None:
    given = Given(10, 4, 3, opens=False)
    still = Variation.of(0, 0, 256)
    seen = crop(mouth_clips, 0, given, still, (4, 4), (10, 10), np.zeros(4), np.random.default_rng(1))
    assert seen["group"] == 3, "what is given is not looked at"
    top, left = (CELL_PIXELS * (4 + int(seen[name])) for name in ("top", "left"))
    size = CELLS * CELL_PIXELS

    def cut(start: int, stop: int) -> np.ndarray:
        stored = mouth_clips.frames(0, start, stop)[:, top : top + size, left : left + size]
        return np.moveaxis(stored.astype(np.float32) / 127.5 - 1, -1, 1)

    assert np.abs(seen["frames"] - cut(19, 23)).max() < 1e-6
    assert np.abs(seen["reference"] - cut(4, 5)[0]).max() < 1e-6
    rows = np.flatnonzero(seen["mouth"][0, 0].any(axis=1))
    assert top + rows[0] == 160 and top + rows[-1] == 207, "the box of the mouth"


def test_shut_lips_are_looked_at_more_often(mouth_clips) -> None:
    closed = np.array([0.0, 0.0, 1.0, 0.0])
    rng = np.random.default_rng(0)
    still, given = Variation.of(0, 0, 256), Given(0, 0, 1, opens=True)
    drawn = (crop(mouth_clips, 0, given, still, (4, 4), (10, 10), closed, rng) for _ in range(200))
    groups = [int(seen["group"]) for seen in drawn]
    counts = np.bincount(groups, minlength=4)
    assert counts[0] == 0 and counts[2] > 1.4 * counts[1] > 0


@pytest.mark.parametrize("crop", [(8, 8), None])
def test_true_latents_look_better_than_the_reference_alone(mouth_clips, mouth_features, nano_vae, crop) -> None:
    batch = batch_of(mouth_clips, mouth_features, replace(MOUTHS, crop=crop))
    crop_loss = CropLoss(nano_vae, 0.5)
    assert crop_loss.decode(batch.clean, batch).shape == batch.crop.frames.shape == (4, 4, 3, 96, 96)
    true, none = (crop_loss.errors(latents, batch)["seen"].item() for latents in (batch.clean, 0 * batch.clean))
    assert true < 0.75 * none < 1.0
    still = batch.crop.reference[:, None].expand_as(batch.crop.frames)
    assert picture_error(batch.crop.frames, batch.crop).abs().max() == 0
    assert picture_error(still, batch.crop).min() > 0


def test_the_error_teaches_the_group_and_its_neighbours_alone(mouth_clips, mouth_features, nano_vae) -> None:
    batch = batch_of(mouth_clips, mouth_features)
    clean = (0.5 * batch.clean).requires_grad_()
    CropLoss(nano_vae, 0.5).errors(clean, batch)["seen"].backward()
    for gradient, group in zip(clean.grad, batch.crop.group.tolist(), strict=True):
        felt = gradient.abs().amax(dim=(0, 2, 3)) > 0
        assert felt[group] and not felt[[t for t in range(4) if abs(t - group) > 1]].any()


def test_nobody_is_seen_saying_another_ones_speech(mouth_clips, mouth_features, nano_vae) -> None:
    batch = batch_of(mouth_clips, mouth_features)
    crop_loss = CropLoss(nano_vae, 0.5)
    dubbed = replace(batch, crop=replace(batch.crop, counts=torch.zeros(4)))
    assert crop_loss.errors(batch.clean, dubbed)["seen"].item() == 0
    assert batch_of(mouth_clips, mouth_features, picture_weight=0.0).crop is None


def test_a_training_that_looks(mouth_clips, mouth_features, nano_vae, tmp_path) -> None:
    train_transformer(mouth_clips, mouth_features, tmp_path, SMALL, vae=nano_vae)
    assert 0.3 < read_log(tmp_path / "stages" / "transformer" / "log.csv")[-1]["seen"] < 2
    moved = nano_vae.decoder.see_quarter[0].weight - shipped_vae().decoder.see_quarter[0].weight
    assert moved.abs().max() == 0, "the decoder does not learn"
    train_transformer(toy_clips(), toy_features(toy_clips()), tmp_path / "blind", SMALL)
    assert "seen" not in read_log(tmp_path / "blind" / "stages" / "transformer" / "log.csv")[-1], "there is no decoder"


def test_who_goes_on_from_networks_keeps_their_scale(tmp_path) -> None:
    clips = toy_clips()
    features = toy_features(clips)
    first = train_transformer(clips, features, tmp_path / "first", SMALL)
    assert float((tmp_path / "first" / SCALE_FILE).read_text()) == first["relative_scale"]
    (tmp_path / "first" / SCALE_FILE).write_text("0.25\n")
    second = train_transformer(clips, features, tmp_path / "second", SMALL, start_from=tmp_path / "first")
    assert second["relative_scale"] == 0.25
    assert float((assets_dir() / "nano" / SCALE_FILE).read_text()) == get_spec("nano").latents.scale
