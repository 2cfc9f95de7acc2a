"""What a user may ask for, and the one sentence for everything else."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infinitetalk.config.request import (
    MAX_SEED,
    MAX_STEPS,
    OVERRIDABLE,
    GenerationRequest,
    Keyframe,
    Settings,
    Speaker,
    load_preset,
    parse_seed,
    preset_names,
    read_project,
)
from infinitetalk.errors import InputError, PresetError, UserError
from infinitetalk.paths import presets_dir

VOICE = Speaker("speech.wav")


def a_request(**changes: object) -> GenerationRequest:
    return GenerationRequest(**{"source": "portrait.png", "speakers": (VOICE,), **changes})


def assert_one_sentence(error: BaseException) -> None:
    text = str(error)
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) < 400, text


# ----------------------------------------------------------------------------------------------------------------------
# Seeds


@pytest.mark.parametrize(
    ("typed", "seed"),
    [("7", 7), (" 12 ", 12), (0, 0), (MAX_SEED, MAX_SEED), (str(MAX_SEED), MAX_SEED), (7.0, 7)],
)
def test_seed_as_typed(typed, seed):
    assert parse_seed(typed) == seed


@pytest.mark.parametrize(
    "typed",
    ["", "seven", "7.5", "0x10", "nan", "1e3", None, "-1", -1, MAX_SEED + 1, 7.5, math.nan, math.inf, "9" * 5000, [7]],
)
def test_bad_seed_is_one_sentence(typed):
    with pytest.raises(InputError, match="seed") as caught:
        parse_seed(typed)
    assert_one_sentence(caught.value)


# ----------------------------------------------------------------------------------------------------------------------
# Requests

BAD_REQUESTS = {
    "no source": ({"source": ""}, "picture or film"),
    "blank source": ({"source": "  "}, "picture or film"),
    "source None": ({"source": None}, "picture or film"),
    "no voice": ({"speakers": ()}, "0 voices"),
    "three voices": ({"speakers": (VOICE,) * 3}, "3 voices"),
    "a name where a voice belongs": ({"speakers": ["speech.wav"]}, "speakers"),
    "a bare string of voices": ({"speakers": "speech.wav"}, "speakers"),
    "a picture where a keyframe belongs": ({"keyframes": ["a.png"]}, "keyframes"),
    "unknown preset": ({"preset": "enormous"}, "no preset 'enormous'.*nano"),
    "preset outside the folder": ({"preset": "../nano"}, "preset"),
    "preset with a null": ({"preset": "nano\0"}, "no preset"),
    "preset file that is not there": ({"preset": "nowhere/mine.yaml"}, "does not exist"),
    "empty preset": ({"preset": ""}, "no preset"),
    "negative seed": ({"seed": -1}, "seed"),
    "huge seed": ({"seed": 2**63}, "seed"),
    "unprintable seed": ({"seed": 10**5000}, "seed"),
    "seed as text": ({"seed": "7"}, "seed"),
    "seed as fraction": ({"seed": 1.5}, "seed"),
    "seed as truth": ({"seed": True}, "seed"),
    "no steps": ({"steps": 0}, "steps"),
    "too many steps": ({"steps": MAX_STEPS + 1}, "steps"),
    "half a step": ({"steps": 2.5}, "steps"),
    "nan guidance": ({"audio_guidance_scale": math.nan}, "audio_guidance_scale"),
    "infinite guidance": ({"audio_guidance_scale": math.inf}, "audio_guidance_scale"),
    "number beyond floats": ({"guidance_scale": 10**400}, "guidance_scale"),
    "negative guidance": ({"guidance_scale": -1}, "guidance_scale"),
    "no shift": ({"shift": 0}, "shift"),
    "too much color": ({"color_correction": 1.1}, "color_correction"),
    "framing": ({"framing": "closer"}, "framing.*face, whole"),
    "framing of a wrong kind": ({"framing": ["face"]}, "framing"),
    "arrangement": ({"arrangement": "chorus"}, "arrangement.*together, in-turn"),
    "short source": ({"short_source": "loop"}, "short_source.*hold, ping-pong, stop"),
    "no length": ({"max_seconds": 0}, "max_seconds"),
    "prompt of a wrong kind": ({"prompt": None}, "prompt"),
}


@pytest.mark.parametrize(("changes", "words"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_bad_request_is_one_sentence(changes, words):
    with pytest.raises(UserError, match=words) as caught:
        a_request(**changes)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("audio", ["", "   ", None])
def test_speaker_without_speech(audio):
    with pytest.raises(InputError, match="No speech"):
        Speaker(audio)


@pytest.mark.parametrize(
    "box",
    [(0, 0, 1), (5, 0, 5, 9), (0, 9, 9, 0), (-1, 0, 5, 5), "face", 7, (0, 0, math.nan, 5), (0, 0, 1, math.inf), "abcd"],
)
def test_bad_box(box):
    with pytest.raises(InputError, match="box") as caught:
        Speaker("speech.wav", box)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1.0,), "either"),
        ((1.0, 2.0, "a.png"), "either"),
        ((1.0, None, ""), "either"),
        ((-1.0, 2.0), "time"),
        (("1", 2.0), "time"),
        ((math.nan, 2.0), "time"),
        ((1.0, -2.0), "source time"),
    ],
)
def test_bad_keyframe(arguments, words):
    with pytest.raises(InputError, match=words) as caught:
        Keyframe(*arguments)
    assert_one_sentence(caught.value)


def test_keyframes_are_kept_in_order_of_time():
    request = a_request(keyframes=[Keyframe(5.0, 1.0), Keyframe(2.0, image="a.png")])
    assert [k.time_seconds for k in request.keyframes] == [2.0, 5.0]


def test_overrides_reach_the_settings_and_the_rest_comes_from_the_preset():
    preset = load_preset("nano")
    settings = a_request(steps=preset.steps + 1, audio_guidance_scale=3).resolve()
    assert (settings.steps, settings.audio_guidance_scale) == (preset.steps + 1, 3.0)
    assert settings.model == preset.model
    assert settings.shift == preset.shift


def test_whole_number_given_as_a_fraction_becomes_whole():
    settings = a_request(steps=4.0).resolve()
    assert settings.steps == 4
    assert isinstance(settings.steps, int)


def test_a_request_cannot_be_changed():
    with pytest.raises(AttributeError):
        a_request().seed = 8


def test_every_overridable_name_is_a_setting_and_a_field_of_the_request():
    settings = {f.name for f in fields(Settings)}
    request = {f.name for f in fields(GenerationRequest)}
    assert set(OVERRIDABLE) <= settings & request


# ----------------------------------------------------------------------------------------------------------------------
# To and from project.json

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(str.strip)
edges = st.tuples(st.floats(0, 4000), st.floats(0.5, 4000))
boxes = st.builds(lambda rows, columns: (rows[0], columns[0], sum(rows), sum(columns)), edges, edges)
speakers = st.builds(Speaker, names, st.none() | boxes)
keyframes = st.builds(Keyframe, st.floats(0, 1e6), source_seconds=st.floats(0, 1e6)) | st.builds(
    Keyframe, st.floats(0, 1e6), image=names
)
requests = st.builds(
    GenerationRequest,
    source=names,
    speakers=st.lists(speakers, min_size=1, max_size=2).map(tuple),
    seed=st.integers(0, MAX_SEED),
    prompt=st.text(max_size=40),
    negative_prompt=st.none() | st.text(max_size=20),
    keyframes=st.lists(keyframes, max_size=4).map(tuple),
    arrangement=st.sampled_from(["together", "in-turn"]),
    short_source=st.sampled_from(["hold", "ping-pong", "stop"]),
    max_seconds=st.none() | st.floats(0.04, 1e6),
    steps=st.none() | st.integers(1, MAX_STEPS),
    shift=st.none() | st.floats(0.01, 100),
    audio_guidance_scale=st.none() | st.floats(0, 50),
    framing=st.none() | st.sampled_from(["face", "whole"]),
)


@given(requests)
def test_round_trip_through_json(request):
    assert GenerationRequest.from_dict(request.to_dict()) == request
    assert GenerationRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"source": "a.png", "speakers": [{"audio": "a.wav"}], "sede": 7}, "project.json.*'sede'"),
        ({"source": "a.png", "speakers": [{"audio": "a.wav", "volume": 7}]}, "project.json.*'volume'"),
        ({"source": "a.png", "speakers": [{"audio": "a.wav"}], "keyframes": [{"time": 1}]}, "project.json.*'time'"),
        ({"source": "a.png", "speakers": [{}]}, "project.json"),
        ({"source": "a.png", "speakers": ["a.wav"]}, "project.json"),
        ({"source": "a.png", "speakers": None}, "project.json"),
        ({"source": "a.png", "speakers": 3}, "project.json"),
        ({"source": "a.png"}, "project.json lacks 'speakers'"),
        ({"speakers": [{"audio": "a.wav"}]}, "project.json lacks 'source'"),
        ([], "project.json"),
        (None, "project.json"),
        ({}, "project.json lacks 'source'"),
    ],
)
def test_malformed_project_names_the_file_and_the_key(data, words):
    with pytest.raises(InputError, match=words) as caught:
        GenerationRequest.from_dict(data, "project.json")
    assert_one_sentence(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([f.name for f in fields(GenerationRequest)] + ["audio", "box"]), inner)
        ),
        max_leaves=12,
    )
)
def test_whatever_a_project_file_holds_it_is_a_request_or_a_sentence(data):
    try:
        assert isinstance(GenerationRequest.from_dict(data), GenerationRequest)
    except UserError as error:
        assert "Traceback" not in str(error)


@pytest.mark.parametrize("content", [b"", b"not json", b"[1, 2]", b"\xff\xfe\x00", b"1" * 5000, b"{"])
def test_unreadable_project(tmp_path, content):
    (tmp_path / "project.json").write_bytes(content)
    with pytest.raises(InputError, match="not a project file"):
        read_project(tmp_path / "project.json")


def test_missing_project(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_project(tmp_path / "project.json")
    with pytest.raises(InputError, match="not a project file"):
        read_project(tmp_path)


# ----------------------------------------------------------------------------------------------------------------------
# Presets


def test_every_file_in_presets_is_read():
    read = {name for joined in preset_names() for name in joined.split("+")}
    folders = [presets_dir() / part for part in ("", "quality", "hardware")]
    files = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    assert {path.stem for path in files} == read
    assert {path.suffix for path in files} == {".yaml"}


@pytest.mark.parametrize("name", preset_names())
def test_every_shipped_preset_is_valid(name):
    settings = load_preset(name)
    assert settings.description, "the page shows the description"
    assert a_request(preset=name).resolve() == settings


def test_default_preset_comes_first():
    assert preset_names()[0] == "nano"
    assert len(set(preset_names())) == len(preset_names())


GOOD_PRESET = "model: nano\nsteps: 4\nshift: 1.0\ntext_scale: 1.0\naudio_scale: 2.0\n"


def test_preset_file_from_elsewhere(tmp_path):
    (tmp_path / "mine.yaml").write_text(GOOD_PRESET, encoding="utf-8")
    assert load_preset(str(tmp_path / "mine.yaml")).steps == 4
    assert a_request(preset=str(tmp_path / "mine.yaml"), steps=2).resolve().steps == 2


BAD_PRESETS = {
    "unknown key": (GOOD_PRESET + "stepz: 4\n", "mine.yaml.*'stepz'"),
    "key that is a number": (GOOD_PRESET + "4: 4\n", "mine.yaml.* 4"),
    "text for a number": (GOOD_PRESET.replace("steps: 4", "steps: four"), "mine.yaml.*steps.*'four'"),
    "out of range": (GOOD_PRESET.replace("shift: 1.0", "shift: -1"), "mine.yaml.*shift"),
    "missing keys": ("model: nano\nsteps: 4\n", "mine.yaml lacks shift, guidance_scale, audio_guidance_scale"),
    "truth for text": (GOOD_PRESET + "model: true\n", "mine.yaml.*model"),
    "text for truth": (GOOD_PRESET + "adaptive_guidance: perhaps\n", "mine.yaml.*adaptive_guidance"),
    "wrong choice": (GOOD_PRESET + "dtype: float8\n", "mine.yaml.*dtype"),
    "a list": ("- model\n- nano\n", "mine.yaml.*list"),
    "empty": ("", "mine.yaml"),
    "no yaml": ("a: [b\n", "mine.yaml cannot be read"),
    "an object": ("!!python/object/apply:os.getcwd []\n", "mine.yaml cannot be read"),
}


@pytest.mark.parametrize(("text", "words"), BAD_PRESETS.values(), ids=BAD_PRESETS)
def test_bad_preset_names_file_and_key(tmp_path, text, words):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PresetError, match=words) as caught:
        load_preset(str(path))
    assert_one_sentence(caught.value)


def test_preset_that_is_no_text_or_a_folder(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    (tmp_path / "folder.yaml").mkdir()
    for name in ("binary", "folder"):
        with pytest.raises(PresetError, match=f"{name}.yaml cannot be read"):
            load_preset(str(tmp_path / f"{name}.yaml"))
