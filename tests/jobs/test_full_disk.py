"""A disk that fills up while a film is made: one sentence, whole takes only, and the same film once there is room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from infinitetalk import GenerationRequest, Speaker
from infinitetalk.errors import JobError
from infinitetalk.jobs.folder import JobFolder
from infinitetalk.paths import assets_dir
from infinitetalk.pipeline import choose_take, prepare_job

ROOT = Path(__file__).resolve().parents[2]
CONTEXT_BYTES = 16 * 3 * 16 * 16 * 4  # of latents that a chunk of nano hands to the next, beside its last picture
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from infinitetalk.commands.main import main
sys.exit(main(["resume", sys.argv[2]]))
"""


@pytest.mark.skipif(os.name == "nt", reason="limits of file size are of POSIX systems")
def test_a_disk_that_fills_up_and_is_emptied(tmp_path: Path):
    samples, rate = soundfile.read(assets_dir() / "speech.wav")
    soundfile.write(tmp_path / "voice.wav", np.tile(samples, 2)[: round(3.4 * rate)], rate)
    request = GenerationRequest(str(assets_dir() / "portrait.png"), (Speaker(str(tmp_path / "voice.wav")),))
    job = prepare_job(request, tmp_path / "job")

    def resume(limit: int) -> subprocess.CompletedProcess:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run([sys.executable, "-c", LIMITED, str(limit), str(job.path)], env=environment,
                              capture_output=True, text=True)  # fmt: skip

    full = resume(CONTEXT_BYTES - 1000)
    sentence = full.stderr.strip().splitlines()[-1]
    assert full.returncode == 1 and "disk is full" in sentence and "Traceback" not in full.stderr, full.stderr
    for take in (job.path / "chunks").glob("*/*"):
        assert not take.name.endswith(".partial") and (take / "take.json").exists(), take
    assert not job.output.exists()
    assert resume(10**9).returncode == 0 and job.output.exists()


def test_a_job_at_work_takes_no_other_choice(tmp_path: Path):
    soundfile.write(tmp_path / "voice.wav", np.zeros(3200), 16000)
    job = prepare_job(
        GenerationRequest(str(assets_dir() / "portrait.png"), (Speaker(str(tmp_path / "voice.wav")),)), tmp_path / "job"
    )
    before = (job.path / "project.json").read_bytes()
    with JobFolder.open(job.path).locked(), pytest.raises(JobError, match=r"Another run \(process"):
        list(choose_take(job.path, 0, 0))
    assert (job.path / "project.json").read_bytes() == before
