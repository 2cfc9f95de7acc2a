"""The page as programs see it: named endpoints, sentences for mistakes, and nothing that is not theirs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import av
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from infinitetalk.config.request import load_preset, preset_names
from tests.ui.conftest import REPOSITORY, write_tone


@pytest.fixture(scope="module")
def client(studio_url: str) -> Client:
    return Client(studio_url, verbose=False)


def test_the_endpoints_for_programs_and_no_others(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {"/plan", "/generate", "/presets"}
    assert [p["parameter_name"] for p in named["/generate"]["parameters"]] == [
        "source", "voice", "second_voice", "preset", "seed", "prompt", "settings"
    ]  # fmt: skip


def test_presets_tell_their_settings(client: Client) -> None:
    presets = client.predict(api_name="/presets")
    assert [p["name"] for p in presets] == preset_names()
    assert presets[0]["steps"] == load_preset("nano").steps and presets[0]["takes_prompt"] is False


def test_plan(client: Client, picture: Path, voice: Path) -> None:
    plan = client.predict(
        source=handle_file(picture), voice=handle_file(voice), second_voice=None, settings=None, api_name="/plan"
    )
    assert plan["num_frames"] == 175
    assert len(plan["chunks"]) == 3


def _plan(client: Client, source: Path | None, voice: Path | None, **changes: object) -> object:
    arguments = {"second_voice": None, "settings": None} | changes
    return client.predict(
        source=handle_file(source) if source else None,
        voice=handle_file(voice) if voice else None,
        api_name="/plan",
        **arguments,
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": "soon"}, "The seed is 'soon'"),
        ({"preset": "huge"}, "There is no preset 'huge'"),
        ({"settings": {"steps": 0}}, "steps is 0"),
        ({"settings": {"shoes": 2}}, "unknown key 'shoes'"),
        ({"settings": [1]}, "give a table"),
    ],
)
def test_bad_settings_are_one_sentence(
    client: Client, picture: Path, voice: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(AppError) as raised:
        _plan(client, picture, voice, **changes)
    assert words in str(raised.value) and "Traceback" not in str(raised.value)


def test_bad_files_are_one_sentence(
    client: Client, picture: Path, voice: Path, text_file: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    cut = tmp_path / "cut.png"
    cut.write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])
    table = [
        (None, voice, "a photo or video"),
        (picture, None, "a voice"),
        (text_file, voice, "letter.png"),
        (cut, voice, "cut.png"),
        (voice, voice, "a picture or video was expected"),
        (picture, empty, "empty.wav"),
        (picture, picture, "is a picture, a sound was expected"),
    ]
    for source, sound, words in table:
        with pytest.raises(AppError) as raised:
            _plan(client, source, sound)
        message = str(raised.value)
        assert words in message and "Traceback" not in message and "Sorry" not in message, (words, message)


def test_generate_returns_the_whole_film(client: Client, tmp_path: Path) -> None:
    voice = write_tone(tmp_path / "short.wav", 1.2)
    film = client.predict(
        source=handle_file(REPOSITORY / "assets" / "portrait.png"), voice=handle_file(voice), second_voice=None,
        settings={"steps": 2}, api_name="/generate",
    )  # fmt: skip
    assert Path(film).name == "portrait-talking.mp4"
    with av.open(film) as container:
        assert sum(1 for _ in container.decode(video=0)) == 30
    with av.open(film) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        assert samples / container.streams.audio[0].rate == pytest.approx(1.2, abs=0.05)


def test_files_of_the_machine_and_of_others_are_not_handed_out(studio_url: str) -> None:
    for path in (REPOSITORY / "app.py", REPOSITORY / "assets" / "nano", "/etc/passwd", "../jobs/studio.log"):
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"{studio_url}gradio_api/file={path}", timeout=10)
        assert raised.value.code in (403, 404)


def test_a_path_on_the_server_is_not_taken_for_an_upload(studio_url: str) -> None:
    """A visitor who writes the request by hand and names one of the machine's own files."""
    stolen = {"path": str(REPOSITORY / "assets" / "portrait.png"), "meta": {"_type": "gradio.FileData"}}
    voice = {"path": str(REPOSITORY / "assets" / "speech.wav"), "meta": {"_type": "gradio.FileData"}}
    body = json.dumps({"data": [stolen, voice, None, "nano", "7", "", None]}).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{studio_url}gradio_api/call/plan", body, headers), timeout=30
    ) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{studio_url}gradio_api/call/plan/{event}", timeout=60) as answer:
        answer = answer.read().decode()
    assert "event: error" in answer and "num_frames" not in answer
