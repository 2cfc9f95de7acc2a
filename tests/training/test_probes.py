"""What is read from latents: the same from a cut-out as from the whole picture, and the truth where it is in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from infinitetalk.training.batches import BatchMaker
from infinitetalk.training.phases import Phase, TransformerTraining
from infinitetalk.training.probes import Probes, moments
from tests.training.toy_features import toy_clips, toy_features

CHUNKS = Phase("chunks", 1.0, 21, None, 4, 6.0, 2.0, 0.3, 0.5)


def test_a_cut_out_is_read_like_the_picture() -> None:
    latents, mask = torch.randn(2, 16, 3, 16, 16), torch.zeros(2, 1, 3, 16, 16)
    mask[:, :, :, 9:12, 5:9] = torch.rand(2, 1, 3, 3, 4)
    whole = moments(latents, mask)
    assert whole.shape == (2, 3, 96)
    torch.testing.assert_close(moments(latents[..., 6:14, 3:11], mask[..., 6:14, 3:11]), whole, atol=1e-4, rtol=1e-4)


def test_nothing_is_read_where_there_is_no_mouth() -> None:
    assert moments(torch.randn(1, 16, 3, 8, 8), torch.zeros(1, 1, 3, 8, 8)).abs().max() == 0


@pytest.fixture(scope="module")
def maker() -> BatchMaker:
    clips = toy_clips()
    settings = TransformerTraining(audio_dropout=0.0)
    return BatchMaker(clips, toy_features(clips), 0.5, settings)


def test_jaw_and_lids_are_read_from_clips_not_fit_on(maker) -> None:
    jaw, lids = Probes.fit(maker, np.arange(4)).quality(maker, np.arange(4, 6))
    assert jaw > 0.9 and lids > 0.6


def test_the_error_is_small_for_true_latents_and_one_for_none(maker) -> None:
    readings = Probes.fit(maker, np.arange(4))
    batch = maker.draw(np.arange(4), CHUNKS, np.random.default_rng(0), plain=True)
    true = readings.error(batch.clean, batch).item()
    still = readings.error(torch.zeros_like(batch.clean), batch).item()
    assert true < 0.35 * still
    moved = torch.zeros_like(batch.clean, requires_grad=True)
    readings.error(moved, batch).backward()
    outside = (batch.mouth + batch.eyes) == 0
    assert moved.grad.abs().max() > 0 and (moved.grad * outside).abs().max() == 0
    given = replace(batch, num_context=torch.full_like(batch.num_context, 21))
    assert readings.error(torch.zeros_like(batch.clean), given) == 0
