"""Distillation: one evaluation of the student comes nearer to several guided ones of the teacher."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from infinitetalk.models.image_encoder import encode_image
from infinitetalk.sampling.denoise import denoise
from infinitetalk.sampling.guidance import make_guidance
from infinitetalk.sampling.schedule import timesteps
from infinitetalk.training.batches import BatchMaker
from infinitetalk.training.distill import DISTILL_TRAINING, Teaching, distill, guided_sample
from infinitetalk.training.networks import NanoNetworks, build_networks
from infinitetalk.training.phases import Phase, TransformerTraining
from tests.training.toy_features import CHANNELS, LAYERS, toy_clips, toy_features

PHASE = Phase("distill", 1.0, 4, (6, 6), 4, 6.0, 2.0, 0.0, 1.0)
SMALL = TransformerTraining(dim=48, num_heads=2, num_layers=1, context_tokens=2)


@pytest.fixture(scope="module")
def clips():
    return toy_clips()


@pytest.fixture(scope="module")
def features(clips):
    return toy_features(clips)


@pytest.fixture(scope="module")
def teacher() -> NanoNetworks:
    """Not trained, but with an output that depends on everything."""
    torch.manual_seed(0)
    networks = build_networks(SMALL, LAYERS, CHANNELS)
    torch.nn.init.normal_(networks.transformer.proj_out.weight, std=0.1)
    return networks.eval().requires_grad_(False)


def test_the_teacher_samples_as_generation_does(clips, features, teacher) -> None:
    make = BatchMaker(clips, features, 0.5, SMALL)
    batch = make.draw(np.array([0]), PHASE, np.random.default_rng(2), plain=True)
    noise = torch.randn(batch.clean.shape, generator=torch.Generator().manual_seed(0))
    made = guided_sample(teacher, batch, batch.clean, noise, Teaching(2.5, 3))
    transformer, image = teacher.transformer, encode_image(teacher.image_encoder, batch.picture)
    conditions = {
        branch: transformer.encode_condition(
            text=torch.zeros(1, 0, 16), image=image, audio=audio, reference=batch.conditioning
        )
        for branch, audio in (("cond", batch.audio), ("drop_audio", torch.zeros_like(batch.audio)))
    }
    expected = denoise(
        transformer,
        conditions,
        noise,
        batch.clean[:, :, : int(batch.num_context)],
        timesteps=timesteps(3, 1.0),
        guidance=make_guidance(1.0, 2.5),
        prediction="sample",
    )
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)


def test_the_truth_may_have_its_share(clips, features, teacher, tmp_path) -> None:
    """With all of it the student learns the clips' own latents, whatever the teacher thinks."""
    teacher.export(tmp_path)
    settings = replace(DISTILL_TRAINING, steps=25, rate=2e-3, average_decay=0.8, phases=(PHASE,))
    figures = {
        share: distill(clips, features, tmp_path / str(share), settings,
                       Teaching(audio_guidance_scale=3.0, truth=share),
                       teacher_folder=tmp_path)
        for share in (0.0, 1.0)
    }  # fmt: skip
    assert figures[1.0]["error_before"] != pytest.approx(figures[0.0]["error_before"])
    assert figures[1.0]["error_after"] < figures[1.0]["error_before"]


def test_the_student_comes_nearer(clips, features, teacher, tmp_path) -> None:
    teacher.export(tmp_path)
    settings = replace(DISTILL_TRAINING, steps=25, rate=2e-3, average_decay=0.8, phases=(PHASE,))
    figures = distill(clips, features, tmp_path, settings, Teaching(audio_guidance_scale=3.0, num_steps=2))
    assert figures["error_after"] < 0.7 * figures["error_before"]
    kept = NanoNetworks.from_folder(tmp_path / "stages" / "teacher")
    student = NanoNetworks.from_folder(tmp_path)
    for name, weight in teacher.state_dict().items():
        torch.testing.assert_close(kept.state_dict()[name], weight)
    assert not torch.equal(student.transformer.proj_out.weight, teacher.transformer.proj_out.weight)
    # A second call continues with the teacher that was put aside, not with the student.
    again = distill(clips, features, tmp_path, settings, Teaching(audio_guidance_scale=3.0, num_steps=2))
    assert again["error_before"] == pytest.approx(figures["error_before"])
