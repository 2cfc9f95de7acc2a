"""Synthetic clips: mouths in time with sounds, truth that fits the picture, the same bytes again after a stop."""

from __future__ import annotations

import importlib.util
import json
import shutil

import numpy as np
import pytest

from infinitetalk.training.synthetic import sentences, visemes, voices
from infinitetalk.training.synthetic.voices import SAMPLE_RATE, Phone, Utterance

MISSING = [name for name in ("anny", "numba") if importlib.util.find_spec(name) is None]
needs_heads = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (requirements-train.txt)")
needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="Debian package flite is not installed")
needs_espeak = pytest.mark.skipif(voices._espeak_library() is None, reason="Debian's espeak-ng is not installed")


def utterance(*phones: tuple[str, float, float]) -> Utterance:
    """Noise where a phoneme is, silence where "pau" is."""
    total = phones[-1][2]
    signal = np.zeros(round(total * SAMPLE_RATE), np.float32)
    rng = np.random.default_rng(0)
    for name, start, end in phones:
        if name != "pau":
            span = slice(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE))
            signal[span] = 0.1 * rng.standard_normal(len(signal[span]))
    return Utterance(signal, tuple(Phone(*phone) for phone in phones))


def test_the_mouth_is_shut_in_silence_and_on_m_and_open_on_vowels() -> None:
    spoken = utterance(("pau", 0, 0.4), ("aa", 0.4, 0.7), ("m", 0.7, 0.8), ("aa", 0.8, 1.1), ("pau", 1.1, 1.6))
    jaw = visemes.mouth_shapes(spoken, 40)[:, visemes.JAW]
    assert jaw[:8].max() < 0.02 and jaw[32:].max() < 0.02
    assert jaw[11:16].min() > 0.7 and jaw[22:26].min() > 0.7
    assert jaw[18] < 0.05  # 0.74 s, the middle of m


def test_round_and_spread_vowels_differ_in_their_own_columns() -> None:
    shapes = visemes.mouth_shapes(utterance(("uw", 0, 0.5), ("iy", 0.5, 1.0)), 25)
    pucker, stretch = visemes.SHAPES.index("pucker"), visemes.SHAPES.index("stretch")
    assert shapes[6, pucker] > 0.6 > 0.1 > shapes[6, stretch]
    assert shapes[18, stretch] > 0.6 > 0.1 > shapes[18, pucker]


def test_a_short_closure_is_seen_wherever_it_falls_between_frames() -> None:
    for shift in np.linspace(0, 0.04, 9):
        start = 0.5 + shift
        spoken = utterance(("aa", 0, start), ("p", start, start + 0.03), ("aa", start + 0.03, 1.2))
        assert visemes.mouth_shapes(spoken, 30)[10:17, visemes.JAW].min() < 0.25


def test_every_phoneme_a_voice_can_name_has_a_mouth_shape() -> None:
    assert set(voices._IPA.values()) <= set(visemes._TARGETS)
    assert voices.arpabet("ˈoʊ") == "ow" and voices.arpabet("t͡ʃ") == "ch" and voices.arpabet("") == "pau"


def test_sentences_are_many_whole_and_repeatable() -> None:
    rng = np.random.default_rng(3)
    made = [sentences.make_sentence(rng) for _ in range(300)]
    assert len(set(made)) > 280
    assert not any("{" in sentence or "}" in sentence for sentence in made)
    assert made[0] == sentences.make_sentence(np.random.default_rng(3))


def test_no_voice_is_in_both_splits() -> None:
    train = {v.voice_id for v in voices.VOICES if not v.held_out}
    held_out = {v.voice_id for v in voices.VOICES if v.held_out}
    assert len(train) >= 5 and len(held_out) >= 2 and not train & held_out
    engines = {(v.engine, v.engine_voice) for v in voices.VOICES}
    assert len(engines) == len(voices.VOICES)


@pytest.mark.parametrize(
    "name",
    [pytest.param("flite-slt", marks=needs_flite), pytest.param("espeak-us", marks=needs_espeak)],
)
def test_phoneme_times_fit_the_sound(name: str) -> None:
    voice = next(v for v in voices.VOICES if v.name == name)
    spoken = voices.speak(voice, "My mother bought five apples.", np.random.default_rng(0))
    assert [p.name for p in spoken.phones if p.name == "m"] == ["m", "m"]
    assert abs(spoken.phones[-1].end_seconds - spoken.seconds) < 0.1
    power = [
        (p.name, np.mean(spoken.signal[int(p.start_seconds * 16000) : int(p.end_seconds * 16000)] ** 2))
        for p in spoken.phones
        if p.end_seconds - p.start_seconds > 0.03
    ]
    vowels = [x for n, x in power if n in visemes._VOWELS]
    pauses = [x for n, x in power if n == "pau"]
    assert np.median(vowels) > 20 * max([*pauses, 1e-9])


@needs_heads
@needs_flite
def test_a_clip_is_true_and_the_same_after_a_stop(tmp_path, monkeypatch) -> None:
    from infinitetalk.training.synthetic import clips
    from infinitetalk.training.synthetic.heads import HELD_OUT_START

    monkeypatch.setenv("INFINITETALK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(voices, "VOICES", tuple(v for v in voices.VOICES if v.engine == "flite"))
    settings = clips.ClipSettings(num_clips=1, seed=5, split="heldout", num_frames=50, size=64)
    folder = tmp_path / "clips"
    clips.make_clips(folder, settings, report=lambda line: None)
    read = {name: np.load(folder / f"{name}.npy") for name in settings.arrays()}
    assert read["done"].all() and read["head_ids"][0] >= HELD_OUT_START and read["voice_ids"][0] == 100
    assert json.loads((folder / "index.json").read_text())["shapes"] == list(visemes.SHAPES)

    # The picture shows what the truth says: lips part with the jaw, and pixels in the mouth's box change most.
    assert read["jaw"].max() > 0.5
    assert np.corrcoef(read["jaw"][0], read["openness"][0])[0, 1] > 0.9
    top, left, bottom, right = read["mouth_boxes"][0].mean(0).round().astype(int)
    assert 32 < top < bottom < 58 and 16 < left < 32 < right < 48
    change = read["video"][0].astype(float).std(0).mean(-1)
    assert change[top:bottom, left:right].mean() > 3 * change.mean()

    # A run that was stopped: the clip is marked as missing and holds garbage.
    stored = np.load(folder / "video.npy", mmap_mode="r+")
    stored[0, 3] = 0
    stored.flush()
    np.save(folder / "done.npy", np.zeros(1, bool))
    clips.make_clips(folder, settings, report=lambda line: None)
    for name in settings.arrays():
        assert np.array_equal(np.load(folder / f"{name}.npy"), read[name]), name

    with pytest.raises(ValueError, match="other settings"):
        clips.make_clips(folder, clips.ClipSettings(1, 6, "heldout", 50, 64), report=lambda line: None)


@needs_heads
def test_a_portrait_is_never_of_a_training_head() -> None:
    from infinitetalk.training.synthetic.portrait import render_portrait

    with pytest.raises(ValueError, match="training split"):
        render_portrait(3)
