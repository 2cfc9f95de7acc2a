"""Voices and sentences: in many languages, with phonemes where their sounds are, and none in both splits."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from synthetic_people import align, engines, espeak, languages, sentences, visemes, voices
from synthetic_people.engines import Manner
from synthetic_people.phones import GROUP_OF, LIPS_TOGETHER, SAMPLE_RATE, VOWELS, Utterance
from synthetic_people.speech import SpeechSettings, speech_clips
from synthetic_people.voices import Voice

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="Debian package flite is not installed")
needs_espeak = pytest.mark.skipif(espeak.native_library() is None, reason="Debian's espeak-ng is not installed")


def festival(voice: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not engines.is_present("festival", voice), reason=f"Debian's festvox {voice} is missing")


def power(said: Utterance, start_seconds: float, end_seconds: float) -> float:
    part = said.signal[int(start_seconds * SAMPLE_RATE) : int(end_seconds * SAMPLE_RATE)]
    return float(np.mean(part**2)) if len(part) else 0.0


def named(name: str) -> Voice:
    return next(voice for voice in voices.VOICES if voice.name == name)


def test_sentences_are_many_whole_and_repeatable() -> None:
    rng = np.random.default_rng(3)
    made = [sentences.make_sentence(rng) for _ in range(300)]
    assert len(set(made)) > 280
    assert not any("{" in sentence or "}" in sentence for sentence in made)
    assert made[0] == sentences.make_sentence(np.random.default_rng(3))


@pytest.mark.parametrize("language", sorted(languages.PHRASES))
def test_every_language_has_many_sentences(language: str) -> None:
    rng = np.random.default_rng(0)
    made = {sentences.make_sentence(rng, language) for _ in range(60)}
    assert len(made) > 45
    assert not any("|" in sentence or "  " in sentence for sentence in made)
    for part in languages.PHRASES[language]:
        assert len(set(part)) == len(part) >= 6 and all(phrase == phrase.strip() != "" for phrase in part)


def test_no_voice_is_in_both_splits_and_some_languages_are_never_trained_on() -> None:
    train = [voice for voice in voices.VOICES if not voice.held_out]
    held_out = [voice for voice in voices.VOICES if voice.held_out]
    assert len(train) >= 40 and len(held_out) >= 6
    assert all(voice.voice_id < 100 for voice in train) and all(voice.voice_id >= 100 for voice in held_out)
    for key in ("voice_id", "name"):
        assert len({getattr(voice, key) for voice in voices.VOICES}) == len(voices.VOICES)
    assert len({(voice.engine, voice.engine_voice) for voice in voices.VOICES}) == len(voices.VOICES)
    languages_trained = {voice.language for voice in train}
    assert len(languages_trained) >= 15
    assert {"ca", "pt", "ja"} <= {voice.language for voice in held_out} - languages_trained
    assert {voice.language for voice in voices.VOICES} <= set(sentences.LANGUAGES)


def test_natural_voices_are_chosen_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "is_present", lambda engine, voice: True)
    rng = np.random.default_rng(0)
    engine_of = [voices.choose_voice("train", rng).engine for _ in range(600)]
    assert engine_of.count("espeak") < 300 and min(map(engine_of.count, ("flite", "festival", "pico"))) > 50
    assert voices.choose_voice("heldout", rng).held_out


def test_a_machine_without_synthesizers_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "is_present", lambda engine, voice: False)
    with pytest.raises(RuntimeError, match="espeak-ng"):
        voices.voices("train")


@pytest.mark.parametrize(
    ("name", "text", "num_closures"),
    [
        pytest.param("flite-slt", "My mother bought five apples.", 4, marks=needs_flite),
        pytest.param("espeak-us", "My mother bought five apples.", 4, marks=needs_espeak),
        pytest.param("espeak-de-f2", "Meine Mutter baut ein Boot.", 4, marks=needs_espeak),
        pytest.param("espeak-cmn-latn-pinyin-m1", "wo3 ma1 ma5 mai3 ping2 guo3", 4, marks=needs_espeak),
        pytest.param("festival-kal", "My mother bought five apples.", 4, marks=festival("kal_diphone")),
        pytest.param("festival-finnish-mv", "minun mummo maalaa pienen veneen", 5, marks=festival("hy_fi_mv_diphone")),
        pytest.param("festival-czech-ph", "moje maminka kupuje dobrý bábovky", 7, marks=festival("czech_ph")),
    ],
)
def test_phonemes_are_where_their_sounds_are(name: str, text: str, num_closures: int) -> None:
    voice = named(name)
    said = voices.speak(voice, text, np.random.default_rng(0))
    assert said.signal.dtype == np.float32 and 0.05 < np.abs(said.signal).max() <= 1.2
    assert {phone.name for phone in said.phones} <= set(GROUP_OF)
    assert sum(phone.name in LIPS_TOGETHER for phone in said.phones) == num_closures
    assert abs(said.phones[-1].end_seconds - said.seconds) < 0.1
    starts = [phone.start_seconds for phone in said.phones]
    assert starts == sorted(starts)
    long = [p for p in said.phones if p.end_seconds - p.start_seconds > 0.03]
    vowels = [power(said, p.start_seconds, p.end_seconds) for p in long if p.name in VOWELS]
    pauses = [power(said, p.start_seconds, p.end_seconds) for p in long if p.name == "pau"]
    assert np.median(vowels) > 15 * max([*pauses, 1e-9])
    again = voices.speak(voice, text, np.random.default_rng(0))
    assert np.array_equal(said.signal, again.signal) and said.phones == again.phones


@needs_espeak
def test_times_are_carried_over_from_another_voice() -> None:
    text = "Papa and mama will open the big blue box on Monday."
    truth = engines.synthesize("espeak", "en-us+m3", text, Manner(0.9))
    references = [engines.synthesize("espeak", f"en-us{variant}", text, Manner(1.05)) for variant in ("", "+f2")]
    carried = align.carried_phones(truth.signal, references)
    num_frames = int(truth.seconds * 25)
    shapes = [visemes.mouth_shapes(Utterance(truth.signal, p), num_frames)[:, 0] for p in (carried, truth.phones)]
    assert np.corrcoef(*shapes)[0, 1] > 0.9
    assert all(p.end_seconds <= truth.seconds + 0.02 for p in carried)


@needs_flite
def test_speech_is_the_same_after_a_stop(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "VOICES", tuple(v for v in voices.VOICES if v.name in ("flite-kal", "flite-awb")))
    settings = SpeechSettings(num_clips=2, seed=3, num_frames=60)
    folder = tmp_path / "speech"
    speech_clips(folder, settings, report=lambda line: None)
    read = {name: np.load(folder / f"{name}.npy") for name in settings.arrays()}
    assert read["done"].all() and set(read["voice_ids"]) == {2}
    assert not np.array_equal(read["audio"][0], read["audio"][1])
    assert read["shapes"][..., 0].max() > 0.5 and len(np.unique(read["groups"])) > 6
    # The first clip was done, the second was being written.
    np.load(folder / "audio.npy", mmap_mode="r+")[1, 100:] = 0
    np.load(folder / "done.npy", mmap_mode="r+")[1] = False
    speech_clips(folder, settings, report=lambda line: None)
    for name in settings.arrays():
        assert np.array_equal(np.load(folder / f"{name}.npy"), read[name]), name
    with pytest.raises(ValueError, match="other settings"):
        speech_clips(folder, SpeechSettings(num_clips=2, seed=4, num_frames=60), report=lambda line: None)
    held_out = tmp_path / "heldout"
    speech_clips(held_out, SpeechSettings(1, 3, "heldout", 60), report=lambda line: None)
    assert np.load(held_out / "voice_ids.npy")[0] == 100
