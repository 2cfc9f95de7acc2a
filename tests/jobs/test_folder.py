"""The job folder: whole takes only, one run at a time, nothing outside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infinitetalk.config.request import GenerationRequest, Keyframe, Speaker
from infinitetalk.errors import InputError, JobError, OutputError
from infinitetalk.jobs.folder import JobFolder, write_json


@pytest.fixture
def request_with_files(tmp_path: Path) -> GenerationRequest:
    for name in ("face.png", "voice.wav", "smile.png"):
        (tmp_path / name).write_bytes(name.encode())
    return GenerationRequest(
        source=str(tmp_path / "face.png"),
        speakers=(Speaker(str(tmp_path / "voice.wav")),),
        keyframes=(Keyframe(1.0, image=str(tmp_path / "smile.png")),),
        seed=11,
    )


def test_a_job_can_be_opened_elsewhere(tmp_path: Path, request_with_files: GenerationRequest) -> None:
    JobFolder.create(tmp_path / "a", request_with_files)
    (tmp_path / "a").rename(tmp_path / "moved")
    for name in ("face.png", "voice.wav", "smile.png"):
        (tmp_path / name).unlink()
    job = JobFolder.open(tmp_path / "moved")
    assert job.request.seed == 11
    assert Path(job.request.source).read_bytes() == b"face.png"
    assert Path(job.request.speakers[0].audio).read_bytes() == b"voice.wav"
    assert Path(job.request.keyframes[0].image).read_bytes() == b"smile.png"
    stored = json.loads((tmp_path / "moved" / "project.json").read_text())
    assert stored["request"]["source"].startswith("inputs/")


def test_a_folder_holds_one_job(tmp_path: Path, request_with_files: GenerationRequest) -> None:
    JobFolder.create(tmp_path / "a", request_with_files)
    before = (tmp_path / "a" / "project.json").read_bytes()
    with pytest.raises(JobError, match="already holds a job"):
        JobFolder.create(tmp_path / "a", request_with_files)
    assert (tmp_path / "a" / "project.json").read_bytes() == before


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path, request_with_files: GenerationRequest) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(JobError, match="not empty"):
        JobFolder.create(tmp_path / "mine", request_with_files)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_file_is_no_folder(tmp_path: Path, request_with_files: GenerationRequest) -> None:
    with pytest.raises((JobError, OutputError), match=r"face\.png"):
        JobFolder.create(tmp_path / "face.png", request_with_files)


def test_the_lock_is_exclusive_and_ends_with_its_holder(tmp_path: Path, request_with_files: GenerationRequest) -> None:
    job = JobFolder.create(tmp_path / "a", request_with_files)
    with job.locked(), pytest.raises(JobError, match="Another run"), JobFolder.open(job.path).locked():
        raise AssertionError("two runs in one folder")
    with JobFolder.open(job.path).locked():
        assert job.path.exists()


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "inputs/../../secret"])
def test_a_tampered_project_reaches_no_file_outside(
    tmp_path: Path, request_with_files: GenerationRequest, name: str
) -> None:
    job = JobFolder.create(tmp_path / "a", request_with_files)
    project = json.loads((job.path / "project.json").read_text())
    project["request"]["source"] = name
    write_json(job.path / "project.json", project)
    with pytest.raises(JobError, match="outside"):
        JobFolder.open(job.path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": 99, "request": {}}', '{"format": 1, "request": {"x": 1}}']
)
def test_a_damaged_project_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "project.json").write_text(content)
    with pytest.raises((InputError, JobError), match=r"project\.json"):
        JobFolder.open(tmp_path)


def test_a_take_appears_whole_or_not_at_all(tmp_path: Path, request_with_files: GenerationRequest) -> None:
    job = JobFolder.create(tmp_path / "a", request_with_files)
    with pytest.raises(RuntimeError), job.writing_take(0) as folder:
        (folder / "segment.mp4").write_bytes(b"half")
        raise RuntimeError("power loss")
    assert not job.take_dir(0).exists() and not list(job.take_dir(0).parent.glob("*"))
    with job.writing_take(0) as folder:
        (folder / "segment.mp4").write_bytes(b"whole")
        write_json(folder / "take.json", {"inputs_sha256": "abc"})
    assert job.finished_take(0, "abc") is not None
    assert job.finished_take(0, "other inputs") is None


KILLED_WRITER = """
import os, signal, sys
from infinitetalk.jobs.folder import JobFolder, write_json
job, moment = JobFolder.open(sys.argv[1]), int(sys.argv[2])
for chunk in range(3):
    with job.writing_take(chunk) as folder:
        for number, name in enumerate(("segment.mp4", "context.safetensors")):
            with open(folder / name, "wb") as file:
                for piece in range(4):
                    file.write(bytes([chunk]) * 1000)
                    file.flush()
                    if chunk * 10 + number * 4 + piece == moment:
                        os.kill(os.getpid(), signal.SIGKILL)
        write_json(folder / "take.json", {"inputs_sha256": str(chunk)})
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("moment", [0, 3, 6, 13, 17, 25])
def test_kill_at_any_moment_leaves_whole_takes_only(
    tmp_path: Path, request_with_files: GenerationRequest, moment: int
) -> None:
    job = JobFolder.create(tmp_path / "a", request_with_files)
    done = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(job.path), str(moment)], check=False)
    assert done.returncode == -signal.SIGKILL
    for chunk in range(3):
        if chunk < moment // 10:
            assert job.finished_take(chunk, str(chunk)) is not None
            assert (job.take_dir(chunk) / "segment.mp4").stat().st_size == 4000
        else:
            assert job.finished_take(chunk, str(chunk)) is None
    with job.writing_take(moment // 10) as folder:  # the killed take is written again over its rest
        write_json(folder / "take.json", {"inputs_sha256": "again"})
    assert job.finished_take(moment // 10, "again") is not None


def test_a_folder_left_by_a_run_that_died_while_making_it_is_taken(tmp_path: Path, request_with_files) -> None:
    (tmp_path / "a" / "inputs").mkdir(parents=True)
    (tmp_path / "a" / "inputs" / "0-face.png").write_bytes(b"half")
    job = JobFolder.create(tmp_path / "a", request_with_files)
    assert Path(job.request.source).read_bytes() == b"face.png"


def test_a_take_that_lost_its_last_write_is_made_again(tmp_path: Path, request_with_files) -> None:
    job = JobFolder.create(tmp_path / "a", request_with_files)
    with job.writing_take(0) as folder:
        (folder / "segment.mp4").write_bytes(b"whole")
        write_json(folder / "take.json", {"inputs_sha256": "abc", "bytes": {"segment.mp4": 5}})
    assert job.finished_take(0, "abc")["take"] == 0
    (job.take_dir(0) / "segment.mp4").write_bytes(b"who")
    assert job.finished_take(0, "abc") is None
    (job.take_dir(0) / "segment.mp4").unlink()
    assert job.finished_take(0, "abc") is None


def test_a_project_of_a_newer_version_says_so(tmp_path: Path) -> None:
    (tmp_path / "project.json").write_text('{"format": 2, "request": {}}')
    with pytest.raises(JobError, match="newer version"):
        JobFolder.open(tmp_path)


LOOKER = """
import sys
from infinitetalk.jobs.folder import JobFolder
job = JobFolder.open(sys.argv[1])
print(flush=True)
while True:
    job.owner()
"""


def test_looking_who_holds_a_job_keeps_nobody_out(tmp_path: Path, request_with_files) -> None:
    job = JobFolder.create(tmp_path / "a", request_with_files)
    with job.locked():
        pass
    looker = subprocess.Popen([sys.executable, "-c", LOOKER, str(job.path)], stdout=subprocess.PIPE)
    looker.stdout.readline()
    try:
        for _ in range(30):
            with job.locked():
                pass
    finally:
        looker.kill()
        looker.wait()
