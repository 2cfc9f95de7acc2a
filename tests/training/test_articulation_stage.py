"""The articulation stage: hears mouth shapes, keeps its way back to features; clips are given their own shapes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from infinitetalk.commands.train import main
from infinitetalk.errors import InputError
from infinitetalk.models.audio_encoder import SpeechEncoder, nano_speech_config
from infinitetalk.training.articulation_stage import (
    ArticulationTraining,
    replaced,
    train_articulation,
    with_articulation,
)
from infinitetalk.training.audio_stage import AudioTraining
from infinitetalk.training.latents import compute_features
from tests.training.conftest import shipped_vae
from tests.training.test_audio_stage import toy

SPEECH = AudioTraining(batch_size=4, num_frames=40, silent_share=0.0)
SETTINGS = ArticulationTraining(seconds=None, num_steps=60, rate=4e-3, speech=SPEECH)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    fresh = SpeechEncoder(nano_speech_config(hidden_size=32, num_layers=2, conv_channels=64))
    fresh.start_from_filters()
    folder = tmp_path_factory.mktemp("encoder") / "audio_encoder"
    fresh.save_pretrained(folder)
    return folder


def test_it_hears_the_mouth_and_keeps_its_way_back(encoder: Path, tmp_path: Path) -> None:
    figures = train_articulation(toy(), tmp_path, SETTINGS, encoder)
    assert figures["jaw"] > 0.6 and figures["jaw_spread"] > 0.4, figures
    first = SpeechEncoder.from_pretrained(tmp_path / "audio_encoder")
    train_articulation(toy(), tmp_path / "on", replace(SETTINGS, num_steps=2), tmp_path / "audio_encoder")
    second = SpeechEncoder.from_pretrained(tmp_path / "on" / "audio_encoder")
    assert torch.equal(first.articulation.say.weight, second.articulation.say.weight)
    assert not torch.equal(first.articulation.hear[0].weight, second.articulation.hear[0].weight)


def test_mouths_reach_further_where_it_is_asked(encoder: Path, tmp_path: Path) -> None:
    heard = []
    for reach in (1.0, 1.5):
        settings = replace(SETTINGS, num_steps=3, viseme_gain=reach)
        train_articulation(toy(), tmp_path / str(reach), settings, encoder)
        trained = SpeechEncoder.from_pretrained(tmp_path / str(reach) / "audio_encoder").eval()
        signal = torch.from_numpy(toy().samples(0))[None]
        heard.append(trained.articulation.shapes(trained(signal, 60, articulated=False)).detach())
    torch.testing.assert_close(heard[1].std(dim=1), 1.5 * heard[0].std(dim=1), atol=1e-4, rtol=1e-3)


def test_its_features_are_those_that_the_shapes_usually_go_with(encoder: Path) -> None:
    data = toy()
    plain = SpeechEncoder.from_pretrained(encoder).eval()
    articulated = with_articulation(SpeechEncoder.from_pretrained(encoder), data)
    heard = torch.stack([plain.embed(data.samples(index), data.num_frames) for index in range(8)])
    said = articulated.articulation.say(torch.from_numpy(data.shapes[:8])).detach().unflatten(-1, heard.shape[2:])
    assert (heard - said).square().mean() < 0.97 * heard.var(dim=(0, 1)).mean()


@pytest.mark.parametrize("hearing", [None, (48, 3)])
def test_training_clips_are_given_the_shapes_of_their_own_pictures(
    mouth_clips, encoder: Path, tmp_path: Path, hearing: tuple[int, int] | None
) -> None:
    shapes = np.concatenate([mouth_clips.jaw[..., None]] * 3, axis=2)
    clips = replace(mouth_clips, mouth_shapes=shapes)
    articulated = with_articulation(SpeechEncoder.from_pretrained(encoder), toy())
    articulated = articulated if hearing is None else replaced(articulated, *hearing).eval()
    features = compute_features(clips, shipped_vae(), articulated, tmp_path / "features")
    train, held_out = int(clips.split("train")[0]), int(clips.split("test")[0])
    said = articulated.articulation.say(torch.from_numpy(shapes[train]).float()).detach().unflatten(-1, (2, 32))
    assert np.abs(features.speech[train, 0] - said.numpy()).max() < 2e-2
    heard = articulated(torch.from_numpy(clips.samples(held_out))[None], clips.num_frames)[0].detach().numpy()
    assert np.abs(features.speech[held_out, 0] - heard).max() < 2e-2, "what is measured is heard"


def test_without_speech_it_says_what_is_needed(mouth_clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infinitetalk.training.clips.open_clips", lambda folder: mouth_clips)
    with pytest.raises(InputError, match="give a folder of it with --speech"):
        main(["--stage", "articulation", "--data", str(tmp_path), "--out", str(tmp_path)])


def test_a_new_encoder_learns_to_hear_in_the_old_ones_place(encoder: Path, tmp_path: Path) -> None:
    train_articulation(toy(), tmp_path, replace(SETTINGS, num_steps=2), encoder)
    settings = replace(SETTINGS, new_encoder=(48, 3))
    figures = train_articulation(toy(), tmp_path / "new", settings, tmp_path / "audio_encoder")
    assert figures["jaw"] > 0.6, figures
    old = SpeechEncoder.from_pretrained(tmp_path / "audio_encoder").eval()
    new = SpeechEncoder.from_pretrained(tmp_path / "new" / "audio_encoder").eval()
    assert (new.config.hidden_size, new.config.num_hidden_layers) == (48, 3)
    assert (new.num_channels, new.num_layers) == (old.num_channels, old.num_layers) == (32, 2)
    assert torch.equal(new.articulation.say.weight, old.articulation.say.weight), "its transformer reads both"
    heard = new.embed(toy().samples(0), 60)
    assert heard.shape == old.embed(toy().samples(0), 60).shape


@pytest.mark.parametrize("size", ["128", "x", "100x4", "128x0", "0x4", "128x-1"])
def test_a_size_that_is_none_is_said(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--stage", "articulation", "--data", "d", "--out", "o", "--hearing", size]
    with pytest.raises((SystemExit, InputError)) as caught:
        main(arguments)
    assert "128x6" in capsys.readouterr().err + str(caught.value)
