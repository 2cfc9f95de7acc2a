"""The queue of jobs: an order that is on disk, edited by several processes, and never half written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infinitetalk.config.request import GenerationRequest, Speaker
from infinitetalk.errors import JobError, UserError
from infinitetalk.jobs.folder import JobFolder, write_json
from infinitetalk.jobs.queue import JobQueue, Waiting, job_state, list_jobs


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    for name in ("face.png", "voice.wav"):
        (tmp_path / name).write_bytes(name.encode())
    request = GenerationRequest(str(tmp_path / "face.png"), (Speaker(str(tmp_path / "voice.wav")),))
    for name in "abc":
        JobFolder.create(tmp_path / "jobs" / name, request, 2)
    return tmp_path / "jobs"


def names(queue: JobQueue) -> str:
    return "".join(path.name for path in JobQueue(queue.folder).jobs())  # as another process would read it


def test_order_survives_and_changes(jobs):
    queue = JobQueue(jobs)
    assert queue.first() is None and queue.jobs() == []
    for name in "abc":
        queue.add(jobs / name)
    assert names(queue) == "abc" and queue.first() == jobs / "a"
    queue.move(jobs / "c", 0)
    assert names(queue) == "cab"
    queue.move(jobs / "c", 1)
    assert names(queue) == "acb"
    queue.add(jobs / "a")
    assert names(queue) == "cba"
    assert queue.remove(jobs / "b") and not queue.remove(jobs / "b")
    assert names(queue) == "ca" and (jobs / "b" / "project.json").exists()


def test_a_paused_queue_gives_nothing_until_it_goes_on(jobs):
    queue = JobQueue(jobs)
    queue.add(jobs / "a")
    queue.pause()
    assert JobQueue(jobs).first() is None and names(queue) == "a"
    queue.go_on()
    assert JobQueue(jobs).first() == jobs / "a"


def test_held_jobs_are_passed_over_until_they_are_let_go(jobs):
    queue = JobQueue(jobs)
    for name in "abc":
        queue.add(jobs / name)
    queue.hold([jobs / "a", jobs / "c"])
    assert JobQueue(jobs).first() == jobs / "b" and names(queue) == "abc"
    queue.hold([jobs / "a"], False)
    assert JobQueue(jobs).first() == jobs / "a"
    assert [one.held for one in queue.state().jobs] == [False, False, True]


def test_some_jobs_exchange_their_places(jobs):
    queue = JobQueue(jobs)
    for name in "abc":
        queue.add(jobs / name)
    queue.hold([jobs / "c"])
    queue.arrange([jobs / "c", jobs / "a", jobs / "gone"])
    assert names(queue) == "cba" and queue.state().jobs[0].held


def test_a_failed_job_is_passed_over_and_can_come_back(jobs):
    queue = JobQueue(jobs)
    queue.add(jobs / "a")
    queue.add(jobs / "b")
    queue.fail(jobs / "a", "The disk is full.")
    assert queue.first() == jobs / "b" and queue.state().jobs[0] == Waiting("a", "The disk is full.")
    queue.add(jobs / "a", 0)
    assert queue.first() == jobs / "a"


def test_what_is_no_job_does_not_wait(jobs, tmp_path):
    with pytest.raises(UserError, match=r"project\.json"):
        JobQueue(jobs).add(tmp_path / "nothing")
    assert not (jobs / "queue.json").exists()


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"format": 9, "paused": false, "jobs": []}', '{"format": 1, "paused": false, "jobs": [{"jab": "a"}]}',
     '{"format": 1}'],
)  # fmt: skip
def test_a_queue_edited_wrongly_is_one_sentence(jobs, content):
    (jobs / "queue.json").write_text(content)
    with pytest.raises(UserError, match=r"queue\.json"):
        JobQueue(jobs).add(jobs / "a")
    assert (jobs / "queue.json").read_text() == content


EDITOR = """
import sys
from infinitetalk.jobs.queue import JobQueue
queue = JobQueue(sys.argv[1])
for turn in range(20):
    queue.add(f"{sys.argv[1]}/{sys.argv[2]}")
    queue.move(f"{sys.argv[1]}/{sys.argv[2]}", turn % 3)
"""


def test_several_processes_lose_no_job(jobs):
    editors = [subprocess.Popen([sys.executable, "-c", EDITOR, str(jobs), name]) for name in "abc"]
    assert [editor.wait() for editor in editors] == [0, 0, 0]
    assert sorted(names(JobQueue(jobs))) == ["a", "b", "c"]


def test_the_list_of_jobs_says_how_far_each_is(jobs):
    job = JobFolder.open(jobs / "a")
    with job.writing_take(0) as folder:
        write_json(folder / "take.json", {"inputs_sha256": "x"})
    (job.path / "chunks" / "0001" / "take-00.partial").mkdir(parents=True)
    (job.path / "chunks" / "0001" / "take-00.partial" / "take.json").touch()
    (jobs / "b" / "project.json").write_text("{")
    (jobs / "letters").mkdir()
    states = {state.path.name: state for state in list_jobs(jobs)}
    assert set(states) == {"a", "b", "c"}
    assert (states["a"].num_made, states["a"].num_chunks, states["a"].complete) == (1, 2, False)
    assert "project.json" in states["b"].fault and states["c"].fault is None
    with job.locked():
        assert "process" in job_state(jobs / "a").owner
    assert job_state(jobs / "a").owner == ""
    json.dumps(states["a"].request)


def test_a_note_left_by_a_killed_run_is_no_owner(jobs):
    assert not job_state(jobs / "a").killed
    write_json(jobs / "a" / ".owner.json", {"process": 1, "machine": "m", "since": "2020"})
    assert job_state(jobs / "a").owner == "" and job_state(jobs / "a").killed
    with JobFolder.open(jobs / "a").locked():
        assert not job_state(jobs / "a").killed
    assert not job_state(jobs / "a").killed
    with JobFolder.open(jobs / "a").locked(), pytest.raises(JobError, match="Another run"):
        with JobFolder.open(jobs / "a").locked():
            pass
