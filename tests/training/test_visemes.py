"""Mouth shapes and prosody: lips meet when they must, move as lips can, and follow nothing but the track."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthetic_people import phones, visemes
from synthetic_people.phones import SAMPLE_RATE, Phone, Utterance
from synthetic_people.prosody import prosody

FPS = 25


def spoken(*parts: tuple[str, float, float], lead_seconds: float = 0.0) -> Utterance:
    """A track from (phoneme, seconds, loudness): a buzz for each, silence for "pau"."""
    named, pieces, start = [], [np.zeros(round(lead_seconds * SAMPLE_RATE), np.float32)], lead_seconds
    for name, seconds, loudness in parts:
        named.append(Phone(name, start, start + seconds))
        times = np.arange(round((start + seconds) * SAMPLE_RATE) - round(start * SAMPLE_RATE)) / SAMPLE_RATE
        pieces.append((0.0 if name == "pau" else 0.2 * loudness) * np.sign(np.sin(2 * np.pi * 120 * times)))
        start += seconds
    return Utterance(np.concatenate(pieces).astype(np.float32), tuple(named))


track = st.lists(
    st.tuples(
        st.sampled_from(sorted(visemes._TARGETS)), st.floats(0.03, 0.3), st.floats(0.1, 1.0)
    ),
    min_size=1,
    max_size=20,
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(parts=track, lead=st.floats(0, 0.08))
def test_shapes_are_bounded_and_continuous(parts: list[tuple[str, float, float]], lead: float) -> None:
    said = spoken(*parts, lead_seconds=lead)
    num_frames = max(2, int(said.seconds * FPS) + 3)
    shapes = visemes.mouth_shapes(said, num_frames)
    assert shapes.shape == (num_frames, len(visemes.SHAPES)) and shapes.dtype == np.float32
    assert 0 <= shapes.min() and shapes.max() <= 1
    assert np.abs(np.diff(shapes, axis=0)).max() < 0.95  # nothing jumps from end to end between two pictures
    finer = visemes.mouth_shapes(said, 8 * num_frames, 8 * FPS)
    assert np.abs(np.diff(finer, axis=0)).max() < 0.35
    assert np.array_equal(shapes, visemes.mouth_shapes(said, num_frames))


@settings(deadline=None, max_examples=60)
@given(
    parts=st.lists(
        st.tuples(st.sampled_from(["p", "b", "m"]), st.floats(0.02, 0.12), st.sampled_from(["aa", "ow", "iy", "s"])),
        min_size=1,
        max_size=8,
    ),
    lead=st.floats(0.2, 0.25),
)
def test_every_p_b_m_is_shut_in_some_picture(parts: list[tuple[str, float, str]], lead: float) -> None:
    said = spoken(*[p for name, seconds, other in parts for p in ((other, 0.15, 1.0), (name, seconds, 0.2))],
                  ("aa", 0.2, 1.0), lead_seconds=lead)  # fmt: skip
    num_frames = int(said.seconds * FPS) + 1
    shapes = visemes.mouth_shapes(said, num_frames)
    shut = visemes.closures(said, num_frames)
    assert shut.dtype == bool and shut.shape == (num_frames,)
    assert shapes[shut, visemes.JAW].max() < 0.03
    times = (np.arange(num_frames) + 0.5) / FPS
    for phone in said.phones:
        if phone.name in phones.LIPS_TOGETHER:
            near = (times > phone.start_seconds - 0.03) & (times < phone.end_seconds + 0.03)
            assert shut[near].any()
    assert shapes[-3, visemes.JAW] > 0.4  # and open again on the last vowel


@pytest.mark.parametrize("name", ["f", "v"])
@pytest.mark.parametrize("shift", np.linspace(0, 0.04, 5))
def test_lips_reach_the_teeth_on_f_and_v(name: str, shift: float) -> None:
    shapes = visemes.mouth_shapes(spoken(("aa", 0.4 + shift, 1), (name, 0.04, 0.2), ("aa", 0.4, 1)), 20)
    assert shapes[:, visemes.TUCK].max() > 0.7
    contact = shapes[:, visemes.TUCK].argmax()
    assert 0.02 < shapes[contact, visemes.JAW] < 0.3


def test_rounding_starts_before_its_sound_and_leaves_the_tongue_alone() -> None:
    pucker, stretch = visemes.SHAPES.index("pucker"), visemes.SHAPES.index("stretch")
    said = spoken(("iy", 0.3, 1), ("t", 0.08, 0.3), ("uw", 0.3, 1))
    shapes = visemes.mouth_shapes(said, 17)
    assert shapes[8, pucker] > 0.3 > 0.05 > shapes[3, pucker]  # 0.34 s: the t is spoken with the lips of the uw
    spread = visemes.mouth_shapes(spoken(("iy", 0.3, 1), ("t", 0.08, 0.3), ("iy", 0.3, 1)), 17)
    assert spread[8, pucker] < 0.02 and spread[8, stretch] > 0.6
    for name, column in (("w", "pucker"), ("sh", "funnel"), ("ow", "pucker"), ("ue", "pucker"), ("ao", "funnel")):
        shapes = visemes.mouth_shapes(spoken(("ih", 0.2, 1), (name, 0.14, 0.7), ("ih", 0.2, 1)), 13)
        assert shapes[:, visemes.SHAPES.index(column)].max() > 0.35, name


def test_loud_vowels_open_wider_than_quiet_ones_and_long_ones_than_short() -> None:
    def widest(seconds: float, loudness: float) -> float:
        said = spoken(("aa", 0.3, 1), ("t", 0.08, 0.2), ("eh", seconds, loudness), ("t", 0.08, 0.2), ("aa", 0.3, 1))
        middle = int((0.38 + seconds / 2) * FPS)
        return visemes.mouth_shapes(said, int(said.seconds * FPS))[middle - 1 : middle + 2, visemes.JAW].min()

    assert widest(0.16, 1.0) > 1.25 * widest(0.16, 0.2)
    assert widest(0.16, 1.0) > 1.1 * widest(0.05, 1.0)


def test_lips_return_to_rest_in_pauses() -> None:
    said = spoken(("pau", 0.4, 0), ("aa", 0.3, 1), ("pau", 0.6, 0), ("m", 0.1, 0.4), ("aa", 0.3, 1), ("pau", 0.6, 0))
    jaw = visemes.mouth_shapes(said, 60)[:, visemes.JAW]
    assert jaw[:6].max() < 0.02 and jaw[22:32].max() < 0.02 and jaw[47:].max() < 0.02
    assert jaw[11:16].max() > 0.8 and jaw[36:41].max() > 0.8


def test_silence_leaves_the_mouth_shut_whatever_is_said_to_be_spoken() -> None:
    said = spoken(("pau", 2.0, 0))
    wrong = Utterance(said.signal, (Phone("aa", 0.5, 1.0),))
    assert visemes.mouth_shapes(said, 50).max() < 0.02
    assert not visemes.closures(said, 50).any()
    loud_elsewhere = Utterance(np.concatenate([spoken(("aa", 1.0, 1)).signal, wrong.signal]), (Phone("aa", 2.0, 2.5),))
    assert visemes.mouth_shapes(loud_elsewhere, 75)[:, visemes.JAW].max() < 0.05


def test_every_name_of_a_phoneme_has_a_shape_and_a_group() -> None:
    assert set(phones._IPA.values()) <= set(visemes._TARGETS)
    assert set(visemes._TARGETS) == set(phones.GROUP_OF)
    assert set(visemes._STRENGTH) <= set(visemes._TARGETS)
    names = [name for group in phones.PHONE_GROUPS for name in group]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("ipa", "name"),
    [("ˈoʊ", "ow"), ("t͡ʃ", "ch"), ("", "pau"), ("yː", "ue"), ("ɔ̃", "ao"), ("bʰ", "b"), ("β", "bh"), ("ts.h", "s"),
     ("ɛ5", "eh"), ("dʲ", "d"), ("_:", "pau"), ("☃", "ax"), ("k̚", "k")],
)  # fmt: skip
def test_ipa_of_many_languages(ipa: str, name: str) -> None:
    assert phones.arpabet(ipa) == name


def test_groups_of_frames() -> None:
    said = spoken(("pau", 0.2, 0), ("m", 0.2, 1), ("aa", 0.2, 1))
    groups = phones.frame_groups(said.phones, 20)
    assert groups.dtype == np.uint8
    assert [int(g) for g in groups] == [0] * 5 + [phones.GROUP_OF["m"]] * 5 + [phones.GROUP_OF["aa"]] * 5 + [0] * 5


def test_prosody_marks_the_accents_and_pauses_of_the_sound() -> None:
    said = spoken(
        ("aa", 0.3, 0.2), ("eh", 0.3, 0.2), ("aa", 0.3, 1.0), ("eh", 0.5, 0.2), ("pau", 0.6, 0), ("aa", 0.4, 0.2)
    )
    found = prosody(said, 60)
    for curve in (found.energy, found.emphasis, found.accents, found.pauses, found.speaking):
        assert curve.shape == (60,) and curve.dtype == np.float32 and 0 <= curve.min() and curve.max() <= 1
    assert any(abs(t - 0.75) < 0.12 for t in found.accent_seconds)
    assert found.pause_seconds[0] == pytest.approx(1.4, abs=0.06)
    assert abs(int(found.pauses[:45].argmax()) - 35) <= 1
    assert found.speaking[40:46].max() < 0.05 and found.speaking[5:30].min() > 0.95
    again = prosody(said, 60)
    assert all(np.array_equal(getattr(found, n), getattr(again, n)) for n in ("energy", "pitch", "accents", "pauses"))


def test_prosody_of_a_rising_voice_rises() -> None:
    times = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(np.interp(times, [0, 2], [110, 190])) / SAMPLE_RATE
    signal = sum(np.sin(k * phase) / k for k in range(1, 8)).astype(np.float32) * 0.1
    pitch = prosody(Utterance(signal, ()), 50).pitch
    assert pitch[40:48].mean() - pitch[3:10].mean() > 0.4


def test_prosody_of_silence_is_nothing() -> None:
    found = prosody(Utterance(np.zeros(SAMPLE_RATE, np.float32), ()), 25)
    assert found.energy.max() == 0 and found.pitch.max() == 0 and found.accent_seconds == ()
