from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from infinitetalk.audio import embeddings
from infinitetalk.audio.embeddings import SpeechFeatures, StoredFeatures
from infinitetalk.audio.windows import window_indices
from infinitetalk.models.audio_encoder import SpeechEncoder, nano_speech_config


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    torch.manual_seed(0)
    return SpeechEncoder(nano_speech_config(hidden_size=32, num_layers=2, conv_channels=16)).eval()


def sound(num_samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32)


@pytest.fixture
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 50 frames with margins of 25, so that seconds of sound show what hours do."""
    monkeypatch.setattr(embeddings, "SINGLE_PASS_FRAMES", 100)
    monkeypatch.setattr(embeddings, "MARGIN_FRAMES", 25)
    monkeypatch.setattr(embeddings, "PIECE_FRAMES", 50)


def test_up_to_a_minute_is_the_single_pass_bit_for_bit(encoder: SpeechEncoder) -> None:
    samples = sound(10 * 16_000 + 37)
    features = SpeechFeatures(encoder, samples)
    single = encoder.embed(samples)
    assert features.num_frames == 250
    for start, stop in ((100, 181), (0, 81), (169, 250)):
        indices = torch.from_numpy(window_indices(start, stop, 250))
        assert torch.equal(features.window(start, stop), single[indices])


def test_past_the_end_the_last_frame_is_held_or_the_end_mirrored(encoder: SpeechEncoder) -> None:
    samples = sound(100 * 640)
    features, single = SpeechFeatures(encoder, samples, 100), encoder.embed(samples, 100)
    held, mirrored = features.window(72, 153), features.window(72, 153, mirror_tail=True)
    assert held.shape == mirrored.shape == (81, 5, 2, 32)
    assert torch.equal(held[28:, 4], single[99].expand(53, -1, -1))
    assert torch.equal(mirrored[28:, 2], single.flip(0)[:53])
    assert torch.equal(StoredFeatures(single).window(72, 153, mirror_tail=True), mirrored)


@pytest.mark.parametrize("num_samples", [1, 399, 400, 1_600, 640 * 80])
def test_speech_shorter_than_a_chunk_is_padded(encoder: SpeechEncoder, num_samples: int) -> None:
    window = SpeechFeatures(encoder, sound(num_samples)).window(0, 81, mirror_tail=True)
    assert window.shape == (81, 5, 2, 32)
    assert torch.isfinite(window).all()


def test_silence_is_finite(encoder: SpeechEncoder) -> None:
    assert torch.isfinite(SpeechFeatures(encoder, np.zeros(32_000, np.float32)).window(0, 50)).all()


def test_frames_beyond_the_samples_are_silence(encoder: SpeechEncoder) -> None:
    samples = sound(16_000)
    padded = np.concatenate([samples, np.zeros(16_000, np.float32)])
    expected = SpeechFeatures(encoder, padded).window(0, 50)
    assert torch.equal(SpeechFeatures(encoder, samples, 50).window(0, 50), expected)


def test_a_job_cut_short_does_not_hear_the_rest(encoder: SpeechEncoder) -> None:
    samples = sound(160_000)
    cut = SpeechFeatures(encoder, samples, 100).window(0, 100)
    assert torch.equal(cut, SpeechFeatures(encoder, samples[:64_000], 100).window(0, 100))


@pytest.mark.usefixtures("short_pieces")
def test_pieces_do_not_depend_on_the_order_of_asking(encoder: SpeechEncoder) -> None:
    samples = sound(400 * 640)
    forwards, backwards = SpeechFeatures(encoder, samples), SpeechFeatures(encoder, samples)
    starts = list(range(0, 400 - 80, 72))
    first = {start: forwards.window(start, start + 81) for start in starts}
    second = {start: backwards.window(start, start + 81) for start in reversed(starts)}
    assert all(torch.equal(first[start], second[start]) for start in starts)
    assert torch.equal(first[72][:9], first[0][72:])


@pytest.mark.usefixtures("short_pieces")
def test_pieces_sound_like_the_single_pass(encoder: SpeechEncoder) -> None:
    """Convolutions are those of the whole soundtrack; only attention to what is further than the margin is missing."""
    samples = sound(300 * 640, seed=4)
    single, pieces = encoder.embed(samples, 300), SpeechFeatures(encoder, samples, 300).frames(0, 300)
    spread = single.std(dim=0)
    assert ((single - pieces).abs() / spread).mean() < 0.02
    joints = (pieces[1:] - pieces[:-1]).norm(dim=(1, 2))
    at_joints = joints[49::50]
    assert at_joints.max() < joints.max() * 1.05  # no jump where pieces meet


@pytest.mark.usefixtures("short_pieces")
def test_memory_is_bounded(encoder: SpeechEncoder, tmp_path: Path) -> None:
    path = tmp_path / "long.f32"
    sound(5_000 * 640).tofile(path)
    samples = np.memmap(path, dtype=np.float32, mode="r")
    features = SpeechFeatures(encoder, samples)
    from_callable = SpeechFeatures(encoder, lambda start, stop: samples[start:stop], 5_000, num_samples=len(samples))
    for start in (0, 72, 144, 4_900):
        window = features.window(start, start + 81)
        assert torch.equal(window, from_callable.window(start, start + 81))
        kept = list(features._pieces.values())
        assert len(kept) <= 2
        assert all(piece.shape[0] <= 50 for piece in kept)
