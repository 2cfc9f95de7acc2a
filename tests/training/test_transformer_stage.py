"""The transformer's batches, loss and training, on a toy whose mouth follows the sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import CLIPVisionModel

from infinitetalk.errors import InputError
from infinitetalk.models.image_encoder import encode_image
from infinitetalk.models.transformer import InfiniteTalkTransformer
from infinitetalk.training.audio_pretraining import SpeechWindows, pretrain_audio
from infinitetalk.training.batches import BatchMaker, covered_cells
from infinitetalk.training.loop import Every, fit
from infinitetalk.training.networks import NanoNetworks, build_networks
from infinitetalk.training.phases import PHASES, Phase, TransformerTraining
from infinitetalk.training.probes import Probes
from infinitetalk.training.transformer_report import Probe, report
from infinitetalk.training.transformer_stage import (
    TWO_REFERENCE_TRAINING,
    alternate,
    choose_trainable,
    flow_loss,
    train_transformer,
    weighted_error,
)
from tests.training.toy_features import CELLS, CHANNELS, LAYERS, toy_clips, toy_features

MOUTHS = Phase("mouths", 0.5, 4, (8, 8), 3, 6.0, 2.0, 0.3, 0.5)
CHUNKS = Phase("chunks", 0.5, 4, None, 2, 6.0, 2.0, 0.3, 0.5, moving_share=0.3, crops_between=1)
SMALL = TransformerTraining(
    steps=6, audio_pretraining_steps=4, dim=48, num_heads=2, num_layers=1, context_tokens=2, phases=(MOUTHS, CHUNKS)
)


@pytest.fixture(scope="module")
def clips():
    return toy_clips()


@pytest.fixture(scope="module")
def features(clips):
    return toy_features(clips)


def maker(clips, features, **changes) -> BatchMaker:
    return BatchMaker(clips, features, 0.5, replace(SMALL, **changes), tracks=("camera",))


def test_batches_are_what_generation_sees(clips, features) -> None:
    batch = maker(clips, features).draw(np.arange(4).repeat(8), CHUNKS, np.random.default_rng(0))
    assert batch.clean.shape == (32, 16, 4, CELLS, CELLS) and batch.audio.shape == (32, 13, 5, LAYERS, CHANNELS)
    torch.testing.assert_close(batch.conditioning[:, 4:, 0], batch.reference[:, :, 0])
    assert batch.conditioning[:, :4, 0].eq(1).all() and batch.conditioning[:, :4, 1:].eq(0).all()
    assert batch.conditioning[:, 4:, 1:].eq(0).all()  # the toy's tail is zero
    assert set(batch.num_context.tolist()) == {0, 1, 3}
    opening = batch.opens == 1
    assert opening.any() and batch.clean[opening][:, :, 0].abs().max() == 0  # there the reference is the first frame
    torch.testing.assert_close(batch.known()[:, 0, :, 0, 0].sum(dim=1), batch.num_context.float())
    assert batch.tracks["camera"].shape == (32, 13, 3)


def test_what_is_withheld(clips, features) -> None:
    batch = maker(clips, features, audio_dropout=1.0, image_dropout=1.0).draw(
        np.arange(3), MOUTHS, np.random.default_rng(0)
    )
    assert batch.audio.eq(0).all() and batch.image_seen.eq(0).all()
    plain = maker(clips, features, audio_dropout=1.0, image_dropout=1.0).draw(
        np.arange(3), MOUTHS, np.random.default_rng(0), plain=True
    )
    assert plain.audio.abs().max() > 0 and plain.image_seen.eq(1).all()


def test_context_is_shaken_unless_it_is_the_reference(clips, features) -> None:
    batch = maker(clips, features).draw(np.arange(4).repeat(4), CHUNKS, np.random.default_rng(3))
    moved = (batch.context(0.1, torch.Generator().manual_seed(0)) - batch.clean).flatten(1).std(dim=1)
    torch.testing.assert_close(moved, 0.1 * (1 - batch.opens), atol=0.01, rtol=0)


def test_cut_outs_hold_mouth_and_eyes(clips, features) -> None:
    tall = replace(MOUTHS, crop=(10, 8))
    for phase, sees_eyes in ((MOUTHS, False), (tall, True)):
        batch = maker(clips, features).draw(np.arange(4), phase, np.random.default_rng(0), plain=True)
        assert batch.clean.shape[3:] == phase.crop
        assert batch.mouth.sum(dim=(3, 4)).min() == 12  # all of its positions
        assert bool(batch.eyes[..., 1:, :].sum(dim=(3, 4)).min() >= 8) == sees_eyes


def test_covered_cells_join_the_frames_of_a_group() -> None:
    boxes = np.tile(np.array([1.0, 1, 2, 2.5]), (5, 1))
    boxes[3] = [2, 0, 4, 1]
    cells = covered_cells(boxes, 4, 3)
    np.testing.assert_allclose(cells[0, 1], [0, 1, 0.5])
    np.testing.assert_allclose(cells[1], [[0, 0, 0], [1, 1, 0.5], [1, 1, 0.5], [1, 1, 0.5]])


def test_moving_clips_are_chosen_by_their_share(clips, features) -> None:
    rng = np.random.default_rng(0)
    chosen = maker(clips, features).choose(np.arange(4), replace(CHUNKS, batch_size=400), rng)
    assert 0.2 < np.mean(clips.motion[chosen] > 0) < 0.4
    favouring = BatchMaker(clips, features, 1.0, replace(SMALL, favoured=(3, 77)))
    favoured = favouring.choose(np.arange(4), replace(CHUNKS, batch_size=400), rng)
    assert 0.5 < (favoured == 3).mean() < 0.75 and set(favoured) == set(range(4))
    calm = maker(clips, features).choose(np.array([0, 2]), replace(CHUNKS, batch_size=400), rng)
    assert set(calm) == {0, 2}


def test_errors_count_where_nothing_is_given_and_mouths_more(clips, features) -> None:
    batch = maker(clips, features).draw(np.arange(3), CHUNKS, np.random.default_rng(1))
    ones = torch.ones_like(batch.mouth)
    in_context = weighted_error(ones * batch.known(), batch, CHUNKS)
    in_mouth, outside = (weighted_error(ones * part, batch, CHUNKS) for part in (batch.mouth, 1 - batch.mouth))
    assert in_context == 0
    share = batch.mouth.mean().item()
    assert in_mouth / outside > 3 * share / (1 - share)


@pytest.mark.parametrize("conditioning", ["fl2v", "two-reference"])
def test_a_second_reference_stands_at_the_end(clips, features, conditioning) -> None:
    batch = maker(clips, features, conditioning=conditioning).draw(np.arange(4), CHUNKS, np.random.default_rng(0))
    mask, shown = batch.conditioning[:, :4], batch.conditioning[:, 4:]
    assert mask[:, 3, -1].eq(1).all() and mask[:, :3, -1].eq(0).all() and mask[:, :, 1:-1].eq(0).all()
    assert shown[:, :, -1].abs().max() > 0 and shown[:, :, 1:-1].eq(0).all()
    # The image encoder sees the first alone: one picture per example.
    assert batch.picture.shape == (4, 3, 128, 128)


def test_the_loss_falls(clips, features) -> None:
    torch.manual_seed(0)
    networks = build_networks(SMALL, LAYERS, CHANNELS)
    make = maker(clips, features, audio_dropout=0.0)
    batch = make.draw(np.arange(3), MOUTHS, np.random.default_rng(0), plain=True)
    optimizer = torch.optim.AdamW(networks.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        loss, figures = flow_loss(networks, batch, MOUTHS, SMALL, torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert torch.isfinite(figures["mouth_train"])


def test_the_sound_alone_tells_the_jaw(clips, features, tmp_path) -> None:
    networks = build_networks(SMALL, LAYERS, CHANNELS)
    figures = pretrain_audio(networks.transformer.audio_projection, clips, features, tmp_path, 30)
    assert figures["jaw"] > 0.8  # it is one of the toy's channels


def test_speech_without_pictures_teaches_to_hear(clips, features, tmp_path) -> None:
    """The clips' own sound says nothing here; what the tokens know of the jaw they know from the speech."""
    rng = np.random.default_rng(0)
    jaw = np.abs(np.sin(np.cumsum(rng.uniform(0.05, 0.2, (12, 60)), axis=1))).astype(np.float32)
    heard = rng.normal(0, 0.1, (12, 60, LAYERS, CHANNELS))
    heard[..., 0] += 3 * jaw[..., None]
    speech = SpeechWindows(heard.astype(np.float16), jaw[..., None] * 0.5, np.arange(12) >= 10)
    mute = replace(features, speech=features.speech.copy())
    mute.speech[clips.split("train")] = rng.normal(0, 0.1, (4, 1, 113, LAYERS, CHANNELS))
    networks = build_networks(SMALL, LAYERS, CHANNELS)
    figures = pretrain_audio(networks.transformer.audio_projection, clips, mute, tmp_path, 60, speech=speech)
    assert figures["jaw"] > 0.6


def test_training_goes_on_where_it_stopped(clips, features, tmp_path) -> None:
    """Stopped after four of six steps and continued, it has taken six, and they were the same six."""
    whole = train_transformer(clips, features, tmp_path / "whole", SMALL)
    assert whole["steps"] == 6 and np.isfinite(list(whole.values())).all()

    torch.manual_seed(SMALL.seed)
    networks = build_networks(SMALL, LAYERS, CHANNELS)
    out = tmp_path / "parts"
    pretrain_audio(
        networks.transformer.audio_projection, clips, features, out / "stages" / "audio_pretraining", 4, SMALL.seed
    )
    make = BatchMaker(clips, features, whole["relative_scale"], SMALL)
    train = clips.split("train")
    readings = Probes.fit(make, train)

    def loss(draw):
        if draw.step == 4:
            raise RuntimeError("the machine went away")
        phase = alternate(SMALL.phase_at(draw.progress), draw.step)
        batch = make.draw(make.choose(train, phase, draw.rng), phase, draw.rng)
        return flow_loss(networks, batch, phase, SMALL, draw.generator, readings)

    loop = replace(SMALL.loop(), save=Every(steps=2))
    faster = [("audio_projection", 1.5), ("audio_attn", 1.5)]
    with pytest.raises(RuntimeError, match="went away"):
        fit(networks, loss, loop, out / "stages" / "transformer", rates=faster)
    again = train_transformer(clips, features, out, SMALL)
    assert again["steps"] == 6
    first, second = (
        InfiniteTalkTransformer.from_pretrained(folder / "transformer").state_dict()
        for folder in (tmp_path / "whole", out)
    )
    for name, weight in first.items():
        torch.testing.assert_close(weight, second[name], atol=1e-5, rtol=1e-4, msg=name)
    images = CLIPVisionModel.from_pretrained(out / "image_encoder")
    assert encode_image(images, torch.zeros(1, 3, 64, 64)).shape == (1, 65, 96)


def test_two_references_are_fine_tuned_from_the_base(clips, features, tmp_path) -> None:
    settings = replace(
        TWO_REFERENCE_TRAINING, steps=2, phases=(replace(CHUNKS, share=1.0),), trainable=r"attn1|patch_embedding"
    )
    torch.manual_seed(0)
    base = build_networks(SMALL, LAYERS, CHANNELS)
    base.export(tmp_path / "base")
    train_transformer(clips, features, tmp_path / "two", settings, stage="two-reference", start_from=tmp_path / "base")
    tuned = NanoNetworks.from_folder(tmp_path / "two")
    changed = {
        name for (name, a), b in zip(base.named_parameters(), tuned.parameters(), strict=True) if not torch.equal(a, b)
    }
    assert changed and all("attn1" in name or "patch_embedding" in name for name in changed)


def test_what_learns_must_exist(clips, features) -> None:
    with pytest.raises(InputError, match="No parameter's name contains 'camera'"):
        choose_trainable(build_networks(SMALL, LAYERS, CHANNELS), "camera")


def test_the_report_knows_silence_from_speech(clips, features) -> None:
    """A network that gives back the truth has no error; one that keeps the reference has all of it, and no motion."""
    make = maker(clips, features)
    held_out = clips.split("test")
    probe = Probe.fit(clips, features, clips.split("train"))
    assert probe.quality(clips, features, held_out) > 0.9

    class Still(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, batch, latents, times, audio=None):
            return torch.zeros_like(latents)

    class Oracle(Still):
        def forward(self, batch, latents, times, audio=None):
            return batch.clean

    still, oracle = (report(network(), make, probe, held_out) for network in (Still, Oracle))
    assert still["mouth"] == pytest.approx(1) and still["slope"] == pytest.approx(0, abs=0.05)
    assert oracle["mouth"] == 0 and oracle["slope"] == pytest.approx(1) and oracle["jaw"] > 0.9


def test_phases_follow_the_budget() -> None:
    settings = TransformerTraining()
    assert [settings.phase_at(p).name for p in (0.0, 0.24, 0.26, 0.6, 0.8, 1.0)] == [
        "mouths", "mouths", "faces", "pictures", "chunks", "chunks",
    ]  # fmt: skip
    between = [alternate(PHASES[3], step).crop for step in range(3)]
    assert between == [(10, 8), (10, 8), None]
