"""The packages that others build on are free of type errors (`[tool.pyright]` in pyproject.toml names them)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_type_checker_finds_nothing():
    # basedpyright is pyright with its Node.js in the wheel, so that nothing is downloaded while tests run.
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert answer.returncode == 0 and "0 errors" in answer.stdout, answer.stdout + answer.stderr
