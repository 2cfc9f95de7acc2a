"""The queue on the command line: jobs made later, in the order that was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from infinitetalk.commands.main import main
from infinitetalk.jobs.folder import JobFolder
from infinitetalk.paths import assets_dir


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch) -> Path:
    """Two jobs of a fifth of a second, with nothing made yet."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("voice.wav", 0.1 * np.sin(np.arange(3200) / 20), 16000)
    for name in ("a", "b"):
        assert main(["generate", "--source", str(assets_dir() / "portrait.png"), "--audio", "voice.wav", "--later",
                     "--steps", "1", "--job-dir", f"jobs/{name}"]) == 0  # fmt: skip
    Path("voice.wav").unlink()
    return tmp_path / "jobs"


def test_films_are_made_in_the_order_asked_for(jobs, capfd):
    assert main(["queue", "--add", "jobs/a", "--add", "jobs/b", "--move", "jobs/b=0", "--pause"]) == 0
    out = capfd.readouterr().out.splitlines()
    assert [line.split()[1] for line in out[-2:]] == ["b", "a"] and "0 of 1 chunks made" in out[-1]
    assert main(["queue", "--run"]) == 0 and not (jobs / "a" / "output.mp4").exists(), "it is paused"
    (jobs / "b" / "inputs" / "1-voice.wav").write_bytes(b"no sound any more")
    capfd.readouterr()
    assert main(["queue", "--go-on", "--run"]) == 1
    assert "b: " in capfd.readouterr().err
    assert (jobs / "a" / "output.mp4").exists() and not (jobs / "b" / "output.mp4").exists()
    assert main(["queue", "--json"]) == 0
    left = json.loads(capfd.readouterr().out)["jobs"]
    assert [one["job"] for one in left] == ["b"] and left[0]["failed"]


@pytest.mark.parametrize(
    "asked, said",
    [(["--add", "nowhere"], "nowhere"), (["--move", "jobs/a"], "JOB_DIR=PLACE"), (["--remove", "jobs/a"], "not in the"),
     (["--fast"], "--help")],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(jobs, capfd, asked, said):
    capfd.readouterr()
    assert main(["queue", *asked]) == 1
    error = capfd.readouterr().err.strip().splitlines()
    assert len(error) == 1 and said in error[0]
    assert JobFolder.open(jobs / "a").request.steps == 1
