"""The flags of a film: what they ask for, in the spelling of today and of earlier versions."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from infinitetalk.commands import bench, evaluate, generate, plan, retake, train
from infinitetalk.commands.arguments import CommandParser
from infinitetalk.commands.main import COMMANDS, FORMER_COMMANDS, main
from infinitetalk.commands.request_arguments import add_request, read_request
from infinitetalk.config.camera import Camera, CameraControl, SDEdit
from infinitetalk.config.composite import Composite
from infinitetalk.config.request import OVERRIDABLE, GenerationRequest, Guide, Speaker
from infinitetalk.config.settings import CHOICES
from infinitetalk.errors import InputError

BASE = ["--source", "portrait.png", "--audio", "speech.wav"]


def request_of(*flags: str) -> GenerationRequest:
    parser = CommandParser(prog="infinitetalk generate")
    add_request(parser)
    return read_request(parser.parse_args([*BASE, *flags]))


def write_project(folder: Path, **changes) -> str:
    request = GenerationRequest("portrait.png", (Speaker("speech.wav"),), **changes)
    path = folder / "project.json"
    path.write_text(json.dumps({"format": 1, "request": request.to_dict()}), encoding="utf-8")
    return str(path)


# ----------------------------------------------------------------------------------------------------------------------
# Former spellings


FORMER_SPELLINGS = {
    "--uni3c", "--adherence", "--text-scale", "--audio-scale", "--lock", "--steering-at", "--by-network", "--quant",
}  # fmt: skip
FORMER_FLAGS = [
    (["--adherence", "inside"], ["--reference-placement", "inside"]),
    (["--adherence", "0-2=edge"], ["--reference-placement", "0-2=edge"]),
    (["--text-scale", "3"], ["--guidance-scale", "3"]),
    (["--audio-scale", "4.5"], ["--audio-guidance-scale", "4.5"]),
    (["--camera", "pan:2", "--uni3c", "0.8@0-0.6"], ["--camera", "pan:2", "--camera-control", "0.8@0-0.6"]),
    (["--camera", "sdedit"], ["--sdedit"]),
    (["--camera", "sdedit"], ["--sdedit", "0.7"]),
    (["--camera", "sdedit:0.4"], ["--sdedit", "0.6"]),
    (["--lock"], ["--composite"]),
    (["--lock", "2"], ["--composite", "2"]),
    (["--lock", "none"], ["--composite", "none"]),
    (["--steering-at", "1-3=0.5"], ["--control-strength-at", "1-3=0.5"]),
]


@pytest.mark.parametrize(("former", "current"), FORMER_FLAGS, ids=lambda flags: " ".join(flags))
def test_former_flags_ask_for_the_same_film(former, current):
    assert request_of(*former) == request_of(*current)
    assert former == ["--lock", "none"] or request_of(*current) != request_of(), "the flag does something"


def test_both_spellings_of_a_repeatable_flag_join():
    guides = request_of("--adherence", "0-1=edge", "--reference-placement", "1-2=inside").guides
    assert [guide.reference_placement for guide in guides] == ["edge", "inside"]


@pytest.mark.parametrize(
    ("module", "needed", "former", "current"),
    [
        (retake, ["job", "--chunk", "1"], ["--text-scale", "3"], ["--guidance-scale", "3"]),
        (retake, ["job", "--chunk", "1"], ["--audio-scale", "3"], ["--audio-guidance-scale", "3"]),
        (bench, [], ["--quant", "int8"], ["--quantization", "int8"]),
        (evaluate, ["nano", "--data", "d"], ["--audio-scale", "3"], ["--audio-guidance-scale", "3"]),
        (evaluate, ["nano", "--data", "d"], ["--by-network"], ["--camera-control"]),
        (train, ["--data", "d", "--out", "o"], ["--audio-scale", "3"], ["--audio-guidance-scale", "3"]),
    ],
)
def test_former_flags_of_other_commands(module, needed, former, current):
    parser = module.build_parser()
    assert parser.parse_args([*needed, *former]) == parser.parse_args([*needed, *current])
    assert parser.parse_args([*needed, *former]) != parser.parse_args(needed)


def help_of(command: str, capfd) -> str:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"] if command else ["--help"])
    assert ended.value.code == 0
    return capfd.readouterr().out


@pytest.mark.parametrize(("former", "current"), FORMER_COMMANDS.items())
def test_former_commands_are_the_same_commands(capfd, former, current):
    assert help_of(former, capfd) == help_of(current, capfd)
    listed = help_of("", capfd)
    assert f"\n    {current} " in listed and f"\n    {former} " not in listed


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_no_former_spelling(capfd, command, monkeypatch):
    for columns in ("60", "200"):  # argparse breaks its usage into lines by the names of values
        monkeypatch.setenv("COLUMNS", columns)
        words = help_of(command, capfd).replace("[", " ").replace("]", " ").replace(",", " ").split()
        assert not FORMER_SPELLINGS & set(words)
        assert "--json" in words or command == "checkpoints", "its commands have commands of their own"


# ----------------------------------------------------------------------------------------------------------------------
# Every choice has a flag

EXAMPLES = {
    "steps": "6", "shift": "3.5", "guidance_scale": "2", "audio_guidance_scale": "3", "color_correction": "0.5",
    "framing": "face", "cache": "teacache", "cache_threshold": "0.2", "quantization": "int8", "offload": "none",
    "attention": "native", "negative_prompt": "blurred", "prompt": "she smiles", "max_seconds": "2",
    "output_rate": "source", "background": "0.3", "seed": "11", "arrangement": "in-turn", "short_source": "stop",
    "long_source": "keep",
}  # fmt: skip


@pytest.mark.parametrize("module", [generate, plan])
def test_every_override_has_a_flag_in_the_help(module):
    text = module.build_parser().format_help()
    named = {"loras": "lora"}
    for name in (*OVERRIDABLE, "negative_prompt", "size"):
        assert f"--{named.get(name, name).replace('_', '-')} " in text, name
    for name in set(OVERRIDABLE) & set(CHOICES):
        assert "|".join(CHOICES[name]) in text, name
    for group in ("input", "speakers and audio", "references", "guidance", "camera and head", "pose", "picture",
                  "machine", "output"):  # fmt: skip
        assert f"\n{group}:\n" in text


@pytest.mark.parametrize(("name", "value"), EXAMPLES.items())
def test_a_flag_sets_the_field_of_its_name(name, value):
    chosen = getattr(request_of(f"--{name.replace('_', '-')}", value), name)
    assert str(chosen).removesuffix(".0") == value


def test_every_plain_field_is_tried():
    others = {"source", "speakers", "preset", "keyframes", "reference_placement", "guides", "camera", "camera_control",
              "sdedit", "head", "pose", "composite", "cuts", "checkpoints_dir", "size", "loras", "stages"}  # fmt: skip
    assert {field.name for field in fields(GenerationRequest)} - others == set(EXAMPLES)


def test_size_and_the_shift_that_follows_it():
    request = request_of("--preset", "final+h100-bf16", "--size", "720p")
    assert request.size == "720p" and request.resolve().shift == 11


@pytest.mark.parametrize("name", sorted(set(OVERRIDABLE) & set(CHOICES)))
def test_a_wrong_choice_lists_those_there_are(name):
    with pytest.raises(InputError, match=f"{name} is 'other'; choose one of {', '.join(CHOICES[name])}"):
        request_of(f"--{name}", "other")


# ----------------------------------------------------------------------------------------------------------------------
# Camera


@pytest.mark.parametrize(
    ("flags", "camera", "control", "sdedit"),
    [
        (["--camera", "pull-out"], Camera("pull out"), None, None),
        (["--camera", "orbit:-0.5"], Camera("orbit", -0.5), None, None),
        (["--camera", "follow"], Camera("follow"), None, None),
        (["--camera", "none"], None, None, None),
        (["--camera", "pan:2", "--camera-control", "1"], None, CameraControl("pan", 2.0), None),
        (["--camera", "tilt", "--camera-control", "0.8@0-0.6"], None, CameraControl("tilt", 1, 0.8, 0, 0.6), None),
        (["--sdedit"], None, None, SDEdit()),
        (["--sdedit", "0.25"], None, None, SDEdit(0.25)),
        (["--sdedit", "none"], None, None, None),
    ],
)
def test_three_ways_to_move_the_camera(flags, camera, control, sdedit):
    request = request_of(*flags)
    assert (request.camera, request.camera_control, request.sdedit) == (camera, control, sdedit)


@pytest.mark.parametrize(
    "held", [{"camera": Camera("tilt")}, {"camera_control": CameraControl("tilt", 2.0)}, {"sdedit": SDEdit(0.5)}]
)
@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--camera", "pan"], {"camera": Camera("pan")}),
        (["--camera", "pan", "--camera-control", "0.5"], {"camera_control": CameraControl("pan", 1.0, 0.5)}),
        (["--sdedit", "0.3"], {"sdedit": SDEdit(0.3)}),
        (["--camera", "none"], {}),
    ],
)
def test_flags_take_the_place_of_a_projects_camera(tmp_path, held, flags, wanted):
    request = request_of("--project", write_project(tmp_path, **held), *flags)
    names = ("camera", "camera_control", "sdedit")
    assert {name: getattr(request, name) for name in names if getattr(request, name)} == wanted


def test_camera_control_takes_the_path_that_a_project_holds(tmp_path):
    for held in ({"camera": Camera("tilt", 2.0)}, {"camera_control": CameraControl("tilt", 2.0)}):
        request = request_of("--project", write_project(tmp_path, **held), "--camera-control", "0.5")
        assert (request.camera, request.camera_control) == (None, CameraControl("tilt", 2.0, 0.5))


def test_files_of_a_project_stand_in_its_folder(tmp_path):
    held = {"camera_control": CameraControl("inputs/path.json"), "composite": Composite("2")}
    request = request_of("--project", write_project(tmp_path, **held))
    assert request.camera_control == CameraControl(str(tmp_path / "inputs/path.json"))
    assert request.composite == Composite("2")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--camera-control", "1"], "--camera-control has no camera path; add --camera"),
        (["--camera", "sdedit", "--camera-control", "1"], "--camera-control has no camera path"),
        (["--camera", "pan", "--camera-control", "strong"], "--camera-control is 'strong'; give a strength"),
        (["--camera", "pan", "--camera-control", "1@early"], "--camera-control names the steps 'early'"),
        (["--camera", "pan", "--camera-control", "3"], "strength is 3.*from 0 to 2"),
        (["--camera", "pan", "--sdedit"], "give one of them"),
        (["--camera", "zoom"], "path is 'zoom'; give push in"),
        (["--camera", "sdedit:2"], "keeps is 2.*from 0 to 1"),
        (["--sdedit", "2"], "denoising strength is 2.*from 0 to 1"),
        (["--sdedit", "much"], "--sdedit is 'much'; give a denoising strength"),
        (["--control-strength-at", "1-2=much"], "--control-strength-at gives the factor 'much'"),
        (["--pose-speed", "2"], "add --pose"),
        (["--cache-threshold", "low"], "--cache-threshold is 'low'; give a number"),
    ],
)
def test_what_cannot_be_is_one_sentence(flags, says):
    with pytest.raises(InputError, match=says) as caught:
        request_of(*flags)
    assert "\n" not in str(caught.value)


def test_spans():
    request = request_of("--prompt-at", "0-2=she smiles", "--control-strength-at", "1-2=0.5")
    assert request.guides == (Guide(0, 2, prompt="she smiles"), Guide(1, 2, control_strength=0.5))
