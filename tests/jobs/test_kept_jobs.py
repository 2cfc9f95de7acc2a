"""Jobs of an earlier version resume to the same bytes; what is lost of them is made again from the same inputs."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from infinitetalk.events import ChunkFinished, Finished, Progress
from infinitetalk.jobs.folder import JobFolder
from infinitetalk.pipeline import load_models, resume

KEPT = Path(__file__).parent / "kept"
NAMES = ("portrait", "film", "locked")


@pytest.fixture
def job(request, tmp_path) -> Path:
    return Path(shutil.copytree(KEPT / request.param, tmp_path / request.param))


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(np.int16)


@pytest.mark.parametrize("job", NAMES, indirect=True)
def test_an_old_job_resumes_to_the_same_bytes(job) -> None:
    events = list(resume(job))
    assert isinstance(events[-1], Finished) and events[-1].complete
    assert not [e for e in events if isinstance(e, Progress) and e.stage in ("denoising", "decoding")], (
        "a kept chunk was made again"
    )
    made = hashlib.sha256((job / "output.mp4").read_bytes()).hexdigest()
    assert made == (job / "output.sha256").read_text().strip()


@pytest.mark.parametrize("job", NAMES, indirect=True)
def test_a_lost_chunk_of_an_old_job_is_made_again(job) -> None:
    """From the same inputs, to the same pictures but for what another processor rounds otherwise."""
    last = sorted((job / "chunks").iterdir())[-1]
    takes = {p.parent.name: json.loads(p.read_text()) for p in last.glob("take-*/take.json")}
    chosen = max(takes)
    kept = pictures(last / chosen / "segment.mp4")
    shutil.rmtree(last / chosen)
    events = list(resume(job, load_models(JobFolder.open(job).request)))
    assert [e.index for e in events if isinstance(e, ChunkFinished)][-1] == int(last.name)
    (again,) = (
        path.parent for path in last.glob("take-*/take.json")
        if json.loads(path.read_text())["inputs_sha256"] == takes[chosen]["inputs_sha256"]
    )  # fmt: skip
    assert np.abs(pictures(again / "segment.mp4") - kept).mean() < 1.0
