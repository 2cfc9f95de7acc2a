"""Two processes on a CPU compute what one computes, and only the first of them writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]


def together(*command: str) -> str:
    """What two processes of a command say; the command is a script or `-m` and a module, with arguments."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_compute_what_one_does_or_refuse() -> None:
    cases = ("2,4,none", "3,4,none", "2,4,mag", "2,2,none")
    said = together("tests/runtime/process_group_worker.py", *cases)
    lines = [line for line in said.splitlines() if line.startswith("process 0")]
    shared, heads, cache, small = lines
    assert float(shared.rsplit(" ", 1)[1]) < 1e-5
    assert float(small.rsplit(" ", 1)[1]) < 1e-5
    assert "cannot share 3 attention heads" in heads
    assert "choose teacache or none" in cache
    assert said.count("process 1") == len(cases)


def test_a_film_by_two_processes(tmp_path: Path) -> None:
    """The end of the first of two chunks, from which the second starts, is what one process gives."""
    arguments = ["-m", "infinitetalk", "generate", "--source", "assets/portrait.png", "--audio", "assets/speech.wav",
                 "--max-seconds", "3.4", "--job-dir"]  # fmt: skip
    said = together(*arguments, str(tmp_path / "two"))
    assert said.strip() == str(tmp_path / "two" / "output.mp4"), "the leader alone says where the film is"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *arguments, str(tmp_path / "one")], cwd=ROOT, env=environment, check=True)
    ends = [load_file(tmp_path / name / "chunks/0000/take-00/context.safetensors") for name in ("one", "two")]
    difference = (ends[0]["context_latents"] - ends[1]["context_latents"]).abs().max()
    assert difference < 1e-4
