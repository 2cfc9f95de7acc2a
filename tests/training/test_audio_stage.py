"""The audio stage: learns mouth and phonemes from sound, is silent in noise, and does not move the sound in time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from infinitetalk.errors import InputError
from infinitetalk.models.audio_encoder import SAMPLES_PER_FRAME, SpeechEncoder, nano_speech_config
from infinitetalk.training.audio_stage import AudioTraining, SpeechReader, Standard, sample_batch, train_audio
from infinitetalk.training.sound_changes import stretched, vary_sound, without_speech
from infinitetalk.training.speech_data import SpeechSet, open_speech

NUM_FRAMES = 60


def toy(num: int = 10) -> SpeechSet:
    """A buzz whose loudness is the jaw, closed in three of eight frames; group 0 where it is closed, 17 elsewhere."""
    rng = np.random.default_rng(0)
    is_open = np.repeat(rng.random((num, NUM_FRAMES // 4)) < 0.6, 4, axis=1)
    jaw = is_open * np.repeat(rng.uniform(0.3, 1, (num, NUM_FRAMES // 4)), 4, axis=1)
    times = np.arange(NUM_FRAMES * SAMPLES_PER_FRAME) / 16_000
    buzz = np.sign(np.sin(2 * np.pi * 130 * times)) * 0.3
    audio = (np.repeat(jaw, SAMPLES_PER_FRAME, axis=1) * buzz * 32767 * 0.5).astype(np.int16)
    shapes = np.stack([jaw, np.zeros_like(jaw), 1 - jaw], axis=2).astype(np.float32)
    return SpeechSet(list(audio), shapes, (17 * is_open).astype(np.uint8), np.arange(num) >= num - 2, np.arange(num))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    out = tmp_path_factory.mktemp("audio")
    settings = AudioTraining(seconds=None, num_steps=40, batch_size=4, num_frames=40, rate=2e-3)
    return out, train_audio(toy(), out, settings)


def test_jaw_and_groups_are_learned_and_exported(trained: tuple[Path, dict[str, float]]) -> None:
    out, figures = trained
    assert figures["jaw_last_layer"] > 0.6 and figures["groups_right"] > 0.6
    encoder = SpeechEncoder.from_pretrained(out / "audio_encoder").eval()
    assert encoder.embed(np.zeros(6400, np.float32)).shape == (10, 4, 96)


def test_a_finished_encoder_learns_on(trained: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    out, _ = trained
    settings = AudioTraining(seconds=None, num_steps=1, batch_size=2, num_frames=30, rate=1e-5)
    train_audio(toy(), tmp_path, settings, start_from=out / "audio_encoder")
    before, after = (SpeechEncoder.from_pretrained(folder / "audio_encoder") for folder in (out, tmp_path))
    pairs = list(zip(before.parameters(), after.parameters(), strict=True))
    assert max((a - b).abs().max() for a, b in pairs) < 1e-3 and any(not torch.equal(a, b) for a, b in pairs)


def test_the_stage_is_the_same_twice(tmp_path: Path) -> None:
    settings = AudioTraining(seconds=None, num_steps=2, batch_size=2, num_frames=30)
    weights = []
    for name in ("a", "b"):
        train_audio(toy(4), tmp_path / name, settings)
        weights.append(SpeechEncoder.from_pretrained(tmp_path / name / "audio_encoder").state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_a_frame_of_unknown_speech_counts_for_no_group() -> None:
    known = toy()
    unknown = SpeechSet(known.audio, known.shapes, None, known.is_test, known.voice_ids)
    settings = AudioTraining(batch_size=3, num_frames=40, silent_share=0)
    standard = Standard.of(known.shapes)
    assert (~standard.used).sum() == 1  # the shape that never moves
    signals, shapes, groups = sample_batch(unknown, standard, settings, np.random.default_rng(2))
    assert signals.shape == (3, shapes.shape[1] * SAMPLES_PER_FRAME) and shapes.shape[2] == 2
    assert (groups == -100).all()


def test_a_batch_without_speech_has_closed_mouths() -> None:
    data, settings = toy(), AudioTraining(batch_size=3, num_frames=40, silent_share=1.0)
    standard = Standard.of(data.shapes)
    signals, shapes, groups = sample_batch(data, standard, settings, np.random.default_rng(2))
    closed = standard.apply(np.zeros(3))
    assert torch.equal(shapes, closed.expand_as(shapes)) and (groups == 0).all()
    assert (signals.std(dim=1) > 0.003).all()


def test_some_excerpts_have_a_stretch_without_speech() -> None:
    data, settings = toy(), AudioTraining(batch_size=8, num_frames=40, silent_share=0.5)
    standard = Standard.of(data.shapes)
    closed = standard.apply(np.zeros(3))
    shares = []
    for seed in range(3):
        _, shapes, groups = sample_batch(data, standard, settings, np.random.default_rng(seed))
        is_closed = (shapes == closed).all(2)
        assert (groups[is_closed] == 0).all()
        shares += is_closed.float().mean(1).tolist()
    assert any(share == 1 for share in shares) and any(share < 0.9 for share in shares)


@pytest.mark.parametrize("seed", range(3))
def test_changes_are_repeatable_finite_and_keep_the_timing(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    envelope = torch.zeros(6, 48_000)
    envelope[:, 16_000:24_000] = 1.0
    signals = envelope * torch.randn(6, 48_000, generator=generator)
    changed = vary_sound(signals.clone(), np.random.default_rng(seed))
    assert torch.equal(changed, vary_sound(signals.clone(), np.random.default_rng(seed)))
    assert changed.shape == signals.shape and changed.isfinite().all()
    loud = changed.square().unflatten(1, (-1, 800)).mean(2)  # blocks of 50 ms; the burst is in blocks 20 to 29
    assert (loud[:, 20:30].mean(1) > 1.3 * loud[:, 40:].mean(1)).all()
    assert (loud[:, 20:22].mean(1) > loud[:, :18].mean(1)).all()


def test_silence_and_sound_without_speech_are_finite() -> None:
    assert vary_sound(torch.zeros(4, 20_000), np.random.default_rng(0)).isfinite().all()
    for seed in range(4):
        sound = without_speech(5, 30_000, np.random.default_rng(seed))
        assert sound.shape == (5, 30_000) and sound.isfinite().all() and (sound.std(dim=1) > 0.01).all()


def test_playing_faster_moves_sound_and_curves_together() -> None:
    jaw = torch.zeros(1, 50, 1)
    jaw[:, 30:40] = 1
    sound, curve = stretched(jaw[..., 0].repeat_interleave(SAMPLES_PER_FRAME, dim=1), jaw, 40)
    assert sound.shape == (1, 40 * SAMPLES_PER_FRAME) and curve.shape == (1, 40, 1)
    per_frame = sound.unflatten(1, (40, SAMPLES_PER_FRAME)).mean(2)
    torch.testing.assert_close(per_frame, curve[..., 0], atol=0.15, rtol=0)


def test_the_filter_bank_hears_bands_whatever_their_phase() -> None:
    torch.manual_seed(0)
    encoder = SpeechEncoder(nano_speech_config(conv_channels=128))
    encoder.start_from_filters()
    filters = encoder.feature_extractor.conv_layers[0].conv.weight.detach()[:, 0]
    times = torch.arange(320) / 16_000
    strength = []
    for hertz in (200.0, 1000.0, 4000.0):
        heard = torch.stack(
            [(filters @ torch.sin(2 * torch.pi * hertz * times + phase)).relu() for phase in torch.linspace(0, 3, 7)]
        )
        bands = heard.unflatten(1, (-1, 4)).sum(2)
        strength.append(int(bands.mean(0).argmax()))
        peak = bands[:, strength[-1]]
        assert peak.max() < 1.5 * peak.min()
    assert strength == sorted(strength) and len(set(strength)) == 3


def test_pieces_of_a_long_sound_read_like_the_whole() -> None:
    torch.manual_seed(1)
    encoder = SpeechReader(3).encoder.eval()
    signal = np.random.default_rng(0).standard_normal(16_000 * 20).astype(np.float32) * 0.1
    whole = encoder.embed(signal)
    read = lambda start, stop: signal[start:stop]  # noqa: E731
    moments = encoder.measure_signal(read, len(signal))
    piece = encoder.encode_span(read, moments, 500, 200, 260, margin=500)
    torch.testing.assert_close(piece, whole[200:260], atol=1e-4, rtol=1e-4)


def test_a_folder_needs_both_splits(tmp_path: Path) -> None:
    data = toy(4)
    for split in ("train", "heldout"):
        with pytest.raises(InputError, match="--split heldout"):
            open_speech(tmp_path)
        folder = tmp_path / split
        folder.mkdir()
        np.save(folder / "audio.npy", np.stack(data.audio))
        np.save(folder / "shapes.npy", data.shapes.astype(np.float16))
        np.save(folder / "groups.npy", data.groups)
        np.save(folder / "voice_ids.npy", np.arange(4, dtype=np.int32))
        np.save(folder / "done.npy", np.array([True, True, False, True]))
        (folder / "index.json").write_text(json.dumps({"num_clips": 4, "split": split}))
    opened = open_speech(tmp_path)
    assert len(opened.audio) == 6 and opened.is_test.sum() == 3
    assert opened.samples(0, 10, 20).shape == (10 * SAMPLES_PER_FRAME,) and opened.samples(0).dtype == np.float32
    assert np.abs(opened.samples(0)).max() <= 1
