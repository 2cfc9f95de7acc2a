"""Killed jobs resume to the film of an undisturbed one; the module's own command does it forty times."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tools.benchmarks.kills import main


@pytest.mark.skipif(os.name == "nt", reason="fork is POSIX")
def test_killed_jobs_resume_to_the_same_pictures(tmp_path):
    """In a process of its own: this one has run networks, and must not be forked."""
    command = [sys.executable, "-m", "tools.benchmarks.kills", "--count", "2", "--seconds", "3.4", "--seed", "1"]
    done = subprocess.run([*command, "--out", str(tmp_path / "kills.json")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 films identical" in done.stdout
    assert (tmp_path / "kills.json").read_text().count('"identical": true') == 2


def test_it_says_what_it_is_for(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "resume" in capsys.readouterr().out
