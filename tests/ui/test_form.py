from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from infinitetalk.commands.request_arguments import add_request, read_request
from infinitetalk.config.request import (
    Camera,
    CameraControl,
    GenerationRequest,
    Guide,
    Head,
    Keyframe,
    Pose,
    SDEdit,
    Speaker,
)
from infinitetalk.errors import InputError, PresetError
from infinitetalk.ui.form import Form, filled


def test_a_form_becomes_the_request_it_shows() -> None:
    form = Form("p.png", "a.wav", True, "b.wav", "in-turn", "nano", " 12 ", "dancing", 6, 3.0, "whole", "ping-pong")
    request = form.to_request()
    assert [s.audio for s in request.speakers] == ["a.wav", "b.wav"]
    assert (request.seed, request.steps, request.audio_guidance_scale, request.framing) == (12, 6, 3.0, "whole")
    assert (request.arrangement, request.short_source) == ("in-turn", "ping-pong")
    assert request.prompt == "", "nano takes no prompt"


def test_a_second_voice_counts_only_when_two_people_speak() -> None:
    assert len(Form("p.png", "a.wav", False, "b.wav").to_request().speakers) == 1


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (Form(), "a photo or video and a voice"),
        (Form(source="p.png"), "add a voice"),
        (Form(voice="a.wav"), "add a photo or video"),
        (Form("p.png", "a.wav", True), "add a second voice"),
        (Form("p.png", "a.wav", seed="tomorrow"), "The seed is 'tomorrow'"),
        (Form("p.png", "a.wav", seed="-1"), "The seed is -1"),
        (Form("p.png", "a.wav", steps=0), "steps is 0"),
        (Form("p.png", "a.wav", framing="sideways"), "framing is 'sideways'"),
    ],
)
def test_what_is_wrong_with_a_form_is_said(form: Form, words: str) -> None:
    with pytest.raises(InputError) as raised:
        form.to_request()
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_an_unknown_preset_is_said() -> None:
    with pytest.raises(PresetError, match="no preset 'huge'"):
        Form("p.png", "a.wav", preset="huge").to_request()


def test_page_and_command_line_ask_for_the_same_film(picture: Path, voice: Path) -> None:
    """Word for word: what either writes into project.json, the other would have written."""
    edits = {
        "source": str(picture), "revision": 3, "cuts": [4.0],
        "pins": [{"time": 1.0, "source": 2.5, "image": None, "url": None}],
        "spans": [{"start": 0, "stop": 3.5, "prompt": None, "reference_placement": "inside"}],
    }  # fmt: skip
    form = Form(
        source=str(picture), voice=str(voice), seed="11", steps=2, audio_guidance_scale=3.0, framing="whole",
        edits=edits, short_source="ping-pong", long_source="keep", reference_placement="adjacent", background=0.25,
        output_rate="source",
    )  # fmt: skip
    parser = argparse.ArgumentParser()
    add_request(parser)
    flags = (
        f"--source {picture} --audio {voice} --seed 11 --steps 2 --audio-guidance-scale 3 --framing whole "
        "--keyframe 1=2.5 --cut 4 --reference-placement adjacent --reference-placement 0-3.5=inside "
        "--short-source ping-pong --long-source keep --background 0.25 --output-rate source"
    )
    assert form.to_request().to_dict() == read_request(parser.parse_args(flags.split())).to_dict()


def test_without_cuts_is_not_the_same_as_with_those_found(picture: Path, voice: Path) -> None:
    parser = argparse.ArgumentParser()
    add_request(parser)
    flags = ["--source", str(picture), "--audio", str(voice)]
    assert read_request(parser.parse_args(flags)).cuts is None
    assert read_request(parser.parse_args([*flags, "--cut", "none"])).cuts == ()
    with pytest.raises(InputError, match="--cut is 'soon'; give seconds"):
        read_request(parser.parse_args([*flags, "--cut", "soon"]))


def test_a_film_used_again_asks_for_the_same_film(picture: Path, voice: Path, tmp_path: Path) -> None:
    """From a job's request to the form and back, with the files where the browser may have them."""
    from gradio.utils import get_upload_folder

    uploads = Path(get_upload_folder()) / "of-this-test"
    uploads.mkdir(parents=True, exist_ok=True)

    def serve(file: str) -> str:
        copy = uploads / Path(file).name
        copy.write_bytes(Path(file).read_bytes())
        return str(copy)

    request = GenerationRequest(
        str(picture), (Speaker(str(voice), (0, 0, 90, 30)), Speaker(str(voice), (0, 32, 90, 63))), seed=12,
        arrangement="in-turn", reference_placement="adjacent", cuts=(1.5,),
        guides=(Guide(0, 2, reference_placement="inside"),),
        keyframes=(Keyframe(1.0, image=str(picture)), Keyframe(2.0, source_seconds=0.5)), background=0.5,
        short_source="stop", long_source="keep", output_rate="source", steps=3,
    )  # fmt: skip
    again = Form(**filled(request, serve)).to_request()
    served = {str(picture): serve(str(picture)), str(voice): serve(str(voice))}
    expected = json.loads(json.dumps(request.to_dict()))
    text = json.dumps(expected)
    for old, new in served.items():
        text = text.replace(old, new)
    settings = request.resolve()
    explicit = {"audio_guidance_scale": settings.audio_guidance_scale, "framing": settings.framing}
    assert json.loads(json.dumps(again.to_dict())) == json.loads(text) | explicit


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--camera", "orbit:-0.5"], {"camera": Camera(path="orbit", amount=-0.5)}),
        (["--camera", "Push-In"], {"camera": Camera(path="push in")}),
        (["--camera", "sdedit:0.4"], {"camera": None, "sdedit": SDEdit(0.6)}),
        (["--camera", "none"], {"camera": None}),
        (["--head", "lively"], {"head": Head()}),
        (["--head", "follow:0.5"], {"head": Head("follow", 0.5)}),
        (["--head", "none"], {"head": None}),
        (["--camera", "pan:2", "--uni3c", "0.8@0-0.6"], {"camera_control": CameraControl("pan", 2.0, 0.8, 0.0, 0.6)}),
        (["--camera", "orbit", "--uni3c", "1"], {"camera_control": CameraControl("orbit")}),
        (["--pose", "follow:0.7"], {"pose": Pose(strength=0.7)}),
        (
            ["--pose", "/x/walk.npz", "--pose-start", "2", "--pose-speed", "0.5", "--pose-steps", "0.1-0.7",
             "--pose-person", "2", "--pose-by", "vace"],
            {"pose": Pose("vace", "/x/walk.npz", first=0.1, last=0.7, offset_seconds=2.0, speed=0.5, person="2")},
        ),
        (["--pose", "none"], {"pose": None}),
        (["--steering-at", "1-2.5=0.5"], {"guides": (Guide(1.0, 2.5, control_strength=0.5),)}),
    ],
)  # fmt: skip
def test_camera_and_head_on_the_command_line(picture: Path, voice: Path, flags: list[str], expected: dict) -> None:
    parser = argparse.ArgumentParser()
    add_request(parser)
    request = read_request(parser.parse_args(["--source", str(picture), "--audio", str(voice), *flags]))
    assert {name: getattr(request, name) for name in expected} == expected


@pytest.mark.parametrize(
    "flags",
    [["--camera", "sideways"], ["--camera", "pan:9"], ["--head", "lively:7"], ["--uni3c", "1"],
     ["--camera", "sdedit", "--uni3c", "1"], ["--camera", "pan", "--uni3c", "much"],
     ["--camera", "pan", "--uni3c", "1@x"], ["--pose", "follow:9"], ["--pose-speed", "2"],
     ["--pose", "follow", "--pose-steps", "all"], ["--pose-by", "vace"],
     ["--pose", "follow", "--pose-by", "dance"], ["--steering-at", "0-1=much"], ["--steering-at", "0-1=9"]],
)  # fmt: skip
def test_what_is_wrong_with_them_is_said(picture: Path, voice: Path, flags: list[str]) -> None:
    parser = argparse.ArgumentParser()
    add_request(parser)
    with pytest.raises(InputError):
        read_request(parser.parse_args(["--source", str(picture), "--audio", str(voice), *flags]))
