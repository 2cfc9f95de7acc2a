"""The scripts in `examples` run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infinitetalk.media.probe import probe

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 0.6


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_an_example_runs(name, tmp_path) -> None:
    command = [sys.executable, f"examples/{name}", "--job-dir", str(tmp_path / "job"), "--max-seconds", str(SECONDS)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    assert probe(tmp_path / "job" / "output.mp4").duration_seconds == pytest.approx(SECONDS, abs=0.05)
