from __future__ import annotations

import threading
from pathlib import Path

import pytest

from infinitetalk.config.request import GenerationRequest, Speaker
from infinitetalk.errors import InputError, OutputError
from infinitetalk.events import ChunkFinished, Finished, Progress
from infinitetalk.ui import jobs
from infinitetalk.ui.jobs import Failed, Job, Waiting, failure, log_to
from infinitetalk.ui.studio import Studio

REQUEST = GenerationRequest(source="a.png", speakers=(Speaker("a.wav"),))


def _chunk(index: int) -> ChunkFinished:
    return ChunkFinished(index, 2, Path(f"{index}.mp4"), 0.0, 1.0, 7)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(REQUEST, tmp_path / "job")


def test_every_follower_sees_every_lasting_event_from_the_first(job: Job, tmp_path: Path) -> None:
    end = Finished(tmp_path / "output.mp4", tmp_path, True, 100)
    for event in (Progress("denoising", 0.1, 1.0), _chunk(0), Progress("denoising", 0.6, 2.0), _chunk(1), end):
        job.publish(event)
    for _ in range(2):
        assert [e for e in job.follow() if not isinstance(e, Progress)] == [_chunk(0), _chunk(1), end]


def test_events_arrive_while_the_work_goes_on(job: Job, tmp_path: Path) -> None:
    seen: list = []
    first_seen = threading.Event()

    def watch() -> None:
        for event in job.follow():
            seen.append(event)
            first_seen.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    job.publish(_chunk(0))
    assert first_seen.wait(5) and seen == [_chunk(0)]
    job.publish(Finished(None, tmp_path, False, 0))
    watcher.join(5)
    assert not watcher.is_alive() and isinstance(seen[-1], Finished)


def test_the_place_is_reported_until_the_work_begins(job: Job, tmp_path: Path) -> None:
    follower = job.follow(lambda: 2)
    assert next(follower) == Waiting(2)
    job.publish(Progress("loading", 0.0, 0.0))
    assert next(follower).stage == "loading"
    job.publish(Failed("No."))
    assert list(follower) == [Failed("No.")]


def test_a_cancel_is_noticed_at_the_next_step(job: Job) -> None:
    follower = job.follow()
    assert next(follower) == Waiting(0)
    assert not job.should_stop()
    job.cancel()
    assert job.should_stop()


def test_a_job_whose_visitor_left_stops_after_a_while(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = job.follow()
    next(follower)
    monkeypatch.setattr(jobs, "GRACE_SECONDS", -1.0)
    assert not job.should_stop(), "somebody is watching"
    follower.close()
    assert job.should_stop()
    monkeypatch.setattr(jobs, "GRACE_SECONDS", 60.0)
    assert not job.should_stop(), "a reload takes a moment"


def test_who_does_not_know_the_id_finds_nothing(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    assert studio.find("") is None and studio.find(None) is None and studio.find({"a": 1}) is None
    assert len({Job(REQUEST, tmp_path).id for _ in range(50)}) == 50
    assert len(Job(REQUEST, tmp_path).id) >= 20


def test_a_broken_request_fails_alone_and_in_a_sentence(tmp_path: Path) -> None:
    """The real engine on files that are not there: told, and the next job still gets its turn."""
    log_to(tmp_path)
    studio = Studio(tmp_path / "jobs")
    first, second = studio.submit(REQUEST), studio.submit(REQUEST)
    assert first.directory != second.directory
    for job in (first, second):
        last = list(studio.follow(job))[-1]
        assert isinstance(last, Failed) and last.reference is None, last
        assert "a.png does not exist" in last.message


def test_our_own_fault_is_an_apology_with_the_traceback_in_the_log_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = log_to(tmp_path / "new")
    try:
        raise ZeroDivisionError("secret detail")
    except ZeroDivisionError as error:
        failed = failure(error)
    assert failed.reference and failed.reference in failed.message
    assert "secret" not in failed.message and "Traceback" not in failed.message
    assert "secret detail" in log.read_text() and failed.reference in log.read_text()
    assert "secret" not in capsys.readouterr().err


def test_the_users_own_mistake_is_shown_as_it_is() -> None:
    assert failure(InputError("The seed is 'x'; give a whole number.")) == Failed(
        "The seed is 'x'; give a whole number."
    )


def test_a_jobs_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="could not be written"):
        log_to(tmp_path / "file" / "jobs")
