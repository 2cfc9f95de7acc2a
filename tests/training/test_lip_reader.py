"""The reader of lips: learns from pictures, is written and read again, and teaches through the decoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from infinitetalk.errors import CheckpointError
from infinitetalk.training.batches import BatchMaker
from infinitetalk.training.decoded_crops import CropLoss
from infinitetalk.training.lip_reader import NAME, LipReader, ReaderTraining, glimpsed, load_reader, train_reader
from infinitetalk.training.phases import Phase, TransformerTraining

MOUTHS = Phase("mouths", 1.0, 4, (8, 8), 3, 6.0, 2.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def trained(mouth_clips, mouth_features, nano_vae, tmp_path_factory):
    out = tmp_path_factory.mktemp("reader")
    settings = ReaderTraining(num_steps=25, rate=4e-3)
    return out, train_reader(mouth_clips, mouth_features, nano_vae, 0.5, out, settings)


def test_it_reads_mouths_of_faces_it_never_saw(trained) -> None:
    out, figures = trained
    assert figures["jaw"] > 0.9 and figures["opening"] > 0.9, figures
    assert figures["decoded_jaw"] > 0.5, figures
    assert not any(parameter.requires_grad for parameter in load_reader(out).parameters())


def test_its_error_goes_through_the_decoder(trained, mouth_clips, mouth_features, nano_vae) -> None:
    maker = BatchMaker(mouth_clips, mouth_features, 0.5, TransformerTraining(picture_weight=1.0))
    batch = maker.draw(np.arange(4), MOUTHS, np.random.default_rng(0))
    assert glimpsed(batch).shape == (4, 4, mouth_clips.mouth_shapes.shape[2] + 2)
    crop_loss = CropLoss(nano_vae, 0.5, load_reader(trained[0]))
    clean = torch.zeros_like(batch.clean).requires_grad_()
    still = crop_loss.errors(clean, batch)["lips"]
    still.backward()
    assert clean.grad.abs().max() > 0
    assert crop_loss.errors(batch.clean, batch)["lips"] < still, "true latents say what is said"


def test_a_reader_that_is_missing_or_damaged(tmp_path) -> None:
    assert load_reader(tmp_path) is None
    (tmp_path / f"{NAME}.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="train --stage lip-reader again"):
        load_reader(tmp_path)


def test_it_sees_the_change_from_the_reference() -> None:
    torch.manual_seed(0)
    reader = LipReader(3)
    frames = torch.rand(2, 3, 96, 96)
    assert reader(frames, frames).shape == (2, 3)
    assert not torch.allclose(reader(frames, frames), reader(frames, frames.flip(0)))
