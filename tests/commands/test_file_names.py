"""Names as long as file systems take them, bytes that are no text, and terminals that cannot show them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infinitetalk.commands.main import main
from infinitetalk.paths import assets_dir

ROOT = Path(__file__).parents[2]
PORTRAIT, SPEECH = assets_dir() / "portrait.png", assets_dir() / "speech.wav"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_inputs_and_outputs_with_the_longest_names(folder: Path) -> None:
    source, output = "x" * 250 + ".png", "y" * 251 + ".mp4"
    shutil.copy(PORTRAIT, source)
    assert (
        main(["generate", "--source", source, "--audio", str(SPEECH), "--max-seconds", "0.1", "--output", output]) == 0
    )
    assert Path(output).stat().st_size and not [name for name in os.listdir() if name.startswith(".")]


def test_a_longer_output_is_refused_before_any_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = "y" * 300 + ".mp4"
    argv = ["generate", "--source", str(PORTRAIT), "--audio", str(SPEECH), "--output", output, "--max-seconds", "0.1"]
    assert main(argv) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "inside" not in said and not list(folder.iterdir())


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file systems there take names of text alone")
def test_a_name_of_bytes_that_are_no_text(folder: Path) -> None:
    shutil.copy(PORTRAIT, b"f\xfcr.png")
    shutil.copy(SPEECH, b"s\xfc.wav")
    names = os.fsdecode(b"f\xfcr.png"), os.fsdecode(b"s\xfc.wav")
    argv = ["generate", "--source", names[0], "--audio", names[1], "--max-seconds", "0.1", "--job-dir", "job"]
    assert main(argv) == 0
    assert Path("job/output.mp4").exists()
    argv = ["plan", "--source", names[1], "--audio", names[1]]
    assert main(argv) == 1, "a sound is no picture, whatever it is called"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_terminal_that_cannot_show_the_name(folder: Path, encoding: str) -> None:
    shutil.copy(PORTRAIT, "日本.png")
    command = [sys.executable, "-m", "infinitetalk", "generate", "--source", "日本.png", "--audio", str(SPEECH),
               "--max-seconds", "0.1", "--job-dir", "映画"]  # fmt: skip
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 0 and b"output.mp4" in done.stdout, done.stderr
    command[4:6] = ["--source", "無.png"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 1 and b"does not exist" in done.stderr and b"Traceback" not in done.stderr
