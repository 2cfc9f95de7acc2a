"""Pins, guides and projects that cannot be: one sentence each, and nothing on disk changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from infinitetalk import GenerationRequest, Keyframe, Speaker, UserError, plan
from infinitetalk.commands.main import main
from infinitetalk.config.request import Guide
from infinitetalk.paths import assets_dir
from infinitetalk.pipeline import prepare_job


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(assets_dir() / "portrait.png", "portrait.png")
    soundfile.write("voice.wav", 0.1 * np.sin(np.arange(16000) / 20), 16000)
    Path("corrupt.png").write_bytes(Path("portrait.png").read_bytes()[:2000])
    Path("letter.png").write_text("Dear Sir or Madam")
    Image.new("RGB", (600, 100), (90, 60, 40)).save("wide.png")
    return tmp_path


def a_request(**changes) -> GenerationRequest:
    return GenerationRequest("portrait.png", (Speaker("voice.wav"),), **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keyframes": (Keyframe(1.0, source_seconds=0),)}, "stands at 1 s but the film lasts 1.00 s"),
        ({"keyframes": (Keyframe(0.5, image="corrupt.png"),)}, r"corrupt\.png"),
        ({"keyframes": (Keyframe(0.5, image="letter.png"),)}, r"letter\.png"),
        ({"keyframes": (Keyframe(0.5, image="gone.png"),)}, r"gone\.png"),
        ({"keyframes": (Keyframe(0.5, image="voice.wav"),)}, r"voice\.wav"),
        ({"guides": (Guide(1.5, 3, reference_placement="inside"),)}, "starts at 1.5 s but the film lasts 1.00 s"),
        ({"checkpoints_dir": 0.5}, "folder of checkpoints is 0.5"),
    ],
)
def test_what_does_not_fit_the_film(changes, said):
    with pytest.raises(UserError, match=said) as caught:
        plan(a_request(**changes))
    assert "\n" not in str(caught.value)


def test_a_picture_of_another_shape_is_told_of():
    warnings = plan(a_request(framing="whole", keyframes=(Keyframe(0.5, image="wide.png"),))).warnings
    assert any("wide.png" in warning and "only the middle" in warning for warning in warnings)
    warnings = plan(a_request(framing="whole", keyframes=(Keyframe(0.5, image="portrait.png"),))).warnings
    assert not any("only the middle" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "newer version"),
        ({"format": "one"}, "expected 1"),
        ({"request": None}, "table of settings"),
        ({"request": {"sourse": "x"}}, "perhaps source"),
        ({"guides": [{"start_seconds": 2, "stop_seconds": 1}]}, "end after it starts"),
        (
            {"guides": [{"start_seconds": 0, "stop_seconds": 1, "reference_placement": "loose"}]},
            "choose one of auto, adjacent",
        ),
        ({"keyframes": [{"time_seconds": 0.2}]}, "either an instant"),
        ({"long_source": "stretch"}, "choose one of trim, keep"),
        ({"background": 3}, "from 0 to 1"),
        ({"source": "inputs/gone.png"}, "gone.png"),
    ],
)
@pytest.mark.parametrize("command", ["resume", "generate"])
def test_a_project_from_elsewhere_or_edited_wrongly(folder, capfd, change, said, command):
    prepare_job(a_request(), "job")
    path = folder / "job" / "project.json"
    project = json.loads(path.read_text())
    for key, value in change.items():
        (project if key in project else project["request"])[key] = value
    path.write_text(json.dumps(project))
    before = {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file() and ".lock" not in p.name}
    asked = ["resume", "job"] if command == "resume" else ["generate", "--project", str(path), "--job-dir", "new"]
    assert main(asked) == 1
    error = capfd.readouterr().err.strip().splitlines()
    assert said in error[-1] and "Traceback" not in "".join(error) and len(error) == 1
    assert before == {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file() and ".lock" not in p.name}


def test_spans_on_the_command_line(capfd):
    asked = ["plan", "--source", "portrait.png", "--audio", "voice.wav"]
    assert main([*asked, "--reference-placement", "0-0.9=inside", "--prompt-at", "0-2=she smiles"]) == 0
    out = capfd.readouterr().out
    assert "inside, 'she smiles'" in out and "no effect" in out and "reads no prompt" in out
    for wrong in (
        ["--reference-placement", "tight"],
        ["--reference-placement", "0=inside"],
        ["--prompt-at", "she smiles"],
    ):
        assert main([*asked, *wrong]) == 1
        assert len(capfd.readouterr().err.strip().splitlines()) == 1


def test_lost_media_are_named_and_found_again_by_content(folder, capfd):
    prepare_job(a_request(steps=1), "job")
    attic = folder / "attic" / "old"
    attic.mkdir(parents=True)
    (folder / "job" / "inputs" / "0-portrait.png").rename(attic / "me.png")
    (folder / "job" / "inputs" / "1-voice.wav").rename(folder / "speech-final.wav")
    assert main(["resume", "job"]) == 1
    error = capfd.readouterr().err
    assert "lost inputs/0-portrait.png, inputs/1-voice.wav" in error and "--relink" in error
    for wrong, said in (
        ("inputs/0-portrait.png=wide.png", "content differs"), ("nowhere", "NAME=FILE"),
        ("inputs/0-portrait.png=gone.png", "does not exist"), ("inputs/9.png=wide.png", "does not lack"),
    ):  # fmt: skip
        assert main(["resume", "job", "--relink", wrong]) == 1
        assert said in capfd.readouterr().err
    assert not (folder / "job" / "inputs" / "0-portrait.png").exists()
    asked = ["resume", "job", "--relink", "attic", "--relink", "inputs/1-voice.wav=speech-final.wav"]
    assert main(asked) == 0
    assert "Found again: inputs/0-portrait.png, inputs/1-voice.wav" in capfd.readouterr().err
    assert (folder / "job" / "output.mp4").exists()
