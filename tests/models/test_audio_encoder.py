from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from infinitetalk.checkpoints.keys import wav2vec2 as keys_wav2vec2
from infinitetalk.checkpoints.strict import load_strictly
from infinitetalk.models import audio_encoder
from infinitetalk.models.audio_encoder import (
    SpeechEncoder,
    linear_positions,
    nano_speech_config,
    num_frames_of,
    reader_of,
    speech_encoder_config,
)


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    torch.manual_seed(0)
    return SpeechEncoder(nano_speech_config(hidden_size=32, num_layers=3, conv_channels=16)).eval()


def sound(num_samples: int, seed: int = 0, offset: float = 0.0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(num_samples)
    return (0.1 * noise + offset).astype(np.float32)


@settings(deadline=None, max_examples=12)
@given(num_samples=st.integers(400, 120_000), seed=st.integers(0, 9), offset=st.sampled_from([0.0, 0.5, -3.0]))
def test_blocks_equal_the_whole_signal(encoder: SpeechEncoder, num_samples: int, seed: int, offset: float) -> None:
    """`embed` computes norms from moments and convolutions in blocks; `forward` does neither."""
    signal = sound(num_samples, seed, offset)
    num_frames = num_frames_of(num_samples)
    with torch.no_grad():
        whole = encoder(torch.from_numpy(signal)[None], num_frames)[0]
    torch.testing.assert_close(encoder.embed(signal), whole, atol=2e-4, rtol=2e-4)


def test_blocks_equal_the_whole_signal_with_layer_norm_and_biases() -> None:
    torch.manual_seed(1)
    config = nano_speech_config(hidden_size=32, num_layers=2, conv_channels=16)
    config.feat_extract_norm, config.conv_bias, config.do_stable_layer_norm = "layer", True, True
    encoder = SpeechEncoder(config).eval()
    signal = sound(50_000)
    with torch.no_grad():
        whole = encoder(torch.from_numpy(signal)[None], 78)[0]
    torch.testing.assert_close(encoder.embed(signal), whole, atol=2e-4, rtol=2e-4)


def test_layers_are_those_of_the_library(encoder: SpeechEncoder) -> None:
    """Without resampling (as many frames as features) every layer's output is transformers' own hidden state."""
    signals = torch.from_numpy(np.stack([sound(16_000, 1), sound(16_000, 2)]))
    variance = signals.var(1, keepdim=True, correction=0)
    normalised = (signals - signals.mean(1, keepdim=True)) / torch.sqrt(variance + 1e-7)
    with torch.no_grad():
        ours = encoder(signals, encoder.num_features_of(16_000))
        theirs = super(SpeechEncoder, encoder).forward(normalised, output_hidden_states=True).hidden_states
    torch.testing.assert_close(ours, torch.stack(theirs[1:], dim=2), atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_weight() -> None:
    encoder = SpeechEncoder(nano_speech_config(hidden_size=32, num_layers=2, conv_channels=16)).train()
    out = encoder(torch.from_numpy(np.stack([sound(30_000, 1), sound(30_000, 2)])), 46)
    assert out.shape == (2, 46, 2, 32)
    out.square().sum().backward()
    without = [name for name, weight in encoder.named_parameters() if weight.grad is None or not weight.grad.any()]
    # A bias on every key moves all attention scores alike, which softmax ignores: its gradient is rounding at most.
    assert [name for name in without if not name.endswith("k_proj.bias")] == []


def test_saved_and_loaded_it_says_the_same(encoder: SpeechEncoder, tmp_path: Path) -> None:
    encoder.save_pretrained(tmp_path)
    again = SpeechEncoder.from_pretrained(tmp_path)
    signal = sound(20_000)
    assert torch.equal(encoder.embed(signal), again.embed(signal))


def test_official_key_names_in_every_spelling(encoder: SpeechEncoder) -> None:
    ours = encoder.state_dict()
    old_names = {new: old for old, new in keys_wav2vec2.NEW_SPELLINGS.items()}
    old = {"wav2vec2." + old_names.get(key, key): value for key, value in ours.items()}
    for unused in ("wav2vec2.masked_spec_embed", "quantizer.codevectors", "project_q.bias", "project_hid.weight"):
        old[unused] = torch.zeros(1)
    assert keys_wav2vec2.convert(old).keys() == ours.keys()
    again = SpeechEncoder(encoder.config)
    load_strictly(again, keys_wav2vec2.convert(ours), "new spelling")
    assert torch.equal(again.eval().embed(sound(5_000)), encoder.embed(sound(5_000)))


def test_shortest_signals_are_padded(encoder: SpeechEncoder) -> None:
    assert encoder.receptive_field == 960
    assert encoder.hop == 320
    for num_samples in (1, 399, 400, 639, 959, 960, 1279):
        assert encoder.embed(sound(num_samples)).shape == (1, 3, 32)


@settings(deadline=None)
@given(num_features=st.integers(1, 3_000), num_frames=st.integers(1, 3_000))
def test_resampling_is_torchs(num_features: int, num_frames: int) -> None:
    before, weight = linear_positions(0, num_frames, num_features, num_frames)
    ramp = torch.arange(num_features, dtype=torch.float64)[None, None]
    expected = functional.interpolate(ramp, size=num_frames, mode="linear", align_corners=True)[0, 0].numpy()
    np.testing.assert_allclose(before + weight, expected, atol=1e-3)
    assert before.max() < num_features


def test_nothing_is_masked_or_dropped() -> None:
    config = speech_encoder_config(hidden_size=32, num_attention_heads=2)
    assert config.mask_time_prob == config.layerdrop == config.hidden_dropout == 0.0


@settings(deadline=None, max_examples=20)
@given(num_samples=st.integers(1, 9_000), samples_per_read=st.integers(320, 5_000), offset=st.sampled_from([0.0, 7.0]))
def test_moments_do_not_depend_on_how_they_are_read(
    encoder: SpeechEncoder, num_samples: int, samples_per_read: int, offset: float
) -> None:
    signal = sound(num_samples, offset=offset)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audio_encoder, "_SAMPLES_PER_READ", samples_per_read)
        moments = encoder.measure_signal(reader_of(signal), num_samples)
    padded = np.pad(signal.astype(np.float64), (0, max(0, 960 - num_samples)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 320)[::160]
    assert moments.num_samples == len(padded)
    assert moments.mean == pytest.approx(padded.mean(), abs=1e-9)
    assert moments.variance == pytest.approx(padded.var(), rel=1e-6, abs=1e-12)
    np.testing.assert_allclose(moments.window_mean, windows.mean(axis=0), atol=1e-9)
    expected = np.atleast_2d(np.cov(windows.T, bias=True))
    np.testing.assert_allclose(moments.window_covariance, expected, atol=1e-9)


def test_memory_maps_are_read_as_they_are_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "speech.f32"
    signal = sound(2_000_000)
    signal.tofile(path)
    resident = lambda: psutil.Process().memory_info().shared  # noqa: E731 (mapped pages count as shared)
    read = reader_of(np.memmap(path, dtype=np.float32, mode="r"))
    before = resident()
    for start in range(0, 2_000_000, 100_000):
        assert np.array_equal(read(start, start + 100_000), signal[start : start + 100_000])
    assert resident() - before < 2 << 20


def test_an_articulation_lets_mouth_shapes_through_and_nothing_else(tmp_path: Path) -> None:
    torch.manual_seed(2)
    config = nano_speech_config(hidden_size=32, num_layers=2, conv_channels=16)
    config.num_mouth_shapes = 3
    articulated = SpeechEncoder(config).eval()
    signal = sound(16_000)
    with torch.no_grad():
        whole = articulated(torch.from_numpy(signal)[None], 25)
        layers = articulated(torch.from_numpy(signal)[None], 25, articulated=False)
        shapes = articulated.articulation.shapes(layers)
    assert whole.shape == layers.shape == (1, 25, 2, 32) and shapes.shape == (1, 25, 3)
    assert not torch.allclose(whole, layers)
    offset = articulated.articulation.say.bias
    assert torch.linalg.matrix_rank(whole.flatten(2)[0] - offset, atol=1e-4) <= 3
    torch.testing.assert_close(articulated.embed(signal, 25), whole[0], atol=2e-4, rtol=2e-4)

    articulated.save_pretrained(tmp_path)
    again = SpeechEncoder.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again.embed(signal, 25), articulated.embed(signal, 25))
    assert SpeechEncoder(speech_encoder_config(hidden_size=32, num_attention_heads=4)).articulation is None
