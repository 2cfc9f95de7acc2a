"""Whose films are seen, what is taken away and put back, and a queue that is read again after a restart."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infinitetalk.config.request import GenerationRequest, Speaker
from infinitetalk.errors import InputError, JobError
from infinitetalk.events import Finished
from infinitetalk.jobs.folder import JobFolder
from infinitetalk.jobs.queue import JobQueue
from infinitetalk.pipeline import plan, prepare_job
from infinitetalk.ui import studio as studio_module
from infinitetalk.ui.studio import REMOVED, Studio

ONE, TWO = "20260101-120000-0123456789abcdef", "20260102-120000-fedcba9876543210"


def _film(studio: Studio, name: str, picture: Path, voice: Path) -> Path:
    return prepare_job(GenerationRequest(str(picture), (Speaker(str(voice)),)), studio.jobs_dir / name).path


def test_a_visitor_sees_the_films_of_its_own_browser(tmp_path: Path, picture: Path, voice: Path) -> None:
    studio = Studio(tmp_path / "jobs")
    one, two = _film(studio, ONE, picture, voice), _film(studio, TWO, picture, voice)
    assert studio.folders([]) == [] and studio.folders(None) == [] and studio.folders("all") == []
    assert studio.folders([ONE]) == [one]
    assert studio.folders([ONE, TWO, ONE, "gone", 7, "../" + ONE]) == [two, one], "newest first, each once"
    alone = Studio(tmp_path / "jobs", shared=False)
    assert alone.folders([]) == [two, one], "served to one person: all of them"


@pytest.mark.parametrize("name", ["", "..", ".", "../secret", "/etc", "a/b", ONE + "/..", ONE + "\n", None, 7, "gone"])
def test_no_name_leads_out_of_the_jobs_folder(tmp_path: Path, picture: Path, voice: Path, name: object) -> None:
    for shared in (True, False):
        studio = Studio(tmp_path / "jobs", shared=shared)
        _film(Studio(tmp_path), "secret", picture, voice) if not (tmp_path / "secret").exists() else None
        assert studio.folder(name) is None
        assert studio.put_back(name) is None


def test_a_removed_film_comes_back_or_is_deleted(tmp_path: Path, picture: Path, voice: Path) -> None:
    studio = Studio(tmp_path / "jobs")
    one, two = _film(studio, ONE, picture, voice), _film(studio, TWO, picture, voice)
    studio.remove(one)
    assert studio.folders([ONE, TWO]) == [two]
    assert studio.put_back(ONE) == one and studio.folders([ONE, TWO]) == [two, one]
    studio.remove(one)
    long_ago = time.time() - 7200
    os.utime(studio.jobs_dir / REMOVED / ONE, (long_ago, long_ago))
    studio.tidy()
    assert studio.put_back(ONE) is None and two.exists()


def test_old_films_go_where_they_are_kept_for_hours(tmp_path: Path, picture: Path, voice: Path) -> None:
    studio = Studio(tmp_path / "jobs", keep_hours=2)
    old, new = _film(studio, ONE, picture, voice), _film(studio, TWO, picture, voice)
    (studio.jobs_dir / "mine").mkdir()
    long_ago = time.time() - 3 * 3600
    for path in [*old.rglob("*"), old, studio.jobs_dir / "mine"]:
        os.utime(path, (long_ago, long_ago))
    studio.tidy()
    assert not old.exists() and new.exists()
    assert (studio.jobs_dir / "mine").exists(), "no film of the studio's"


def test_the_queue_is_kept_on_disk_in_its_order(tmp_path: Path, picture: Path, voice: Path) -> None:
    studio = Studio(tmp_path / "jobs", shared=False)
    studio.pause(True, [])
    request = GenerationRequest(str(picture), (Speaker(str(voice)),))
    first, second, third = (studio.submit_later(request) for _ in range(3))
    studio.move(third.directory, -1, [])
    studio.move(third.directory, -1, [])
    studio.move(third.directory, -1, [])  # it is the first already
    expected = [third.directory.name, first.directory.name, second.directory.name]
    assert [job["job"] for job in json.loads(studio.queue.path.read_text())["jobs"]] == expected
    assert [studio.place(job) for job in (third, first, second)] == [0, 1, 2]
    studio.cancel(first)
    assert isinstance(list(studio.follow(first))[-1], Finished)

    again = Studio(tmp_path / "jobs")  # as after a restart
    again.wake()
    waiting = again.in_order(again.folders(expected))
    assert [path.name for path in waiting[:2]] == [expected[0], expected[2]]
    assert again.working_on(waiting[0]).queued and again.working_on(waiting[2]) is None


def test_a_queued_film_is_made_with_nobody_looking_on(
    tmp_path: Path, picture: Path, voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infinitetalk.ui import jobs

    monkeypatch.setattr(jobs, "GRACE_SECONDS", -1.0)
    studio = Studio(tmp_path / "jobs")
    job = studio.submit_later(GenerationRequest(str(picture), (Speaker(str(voice)),), max_seconds=0.2))
    deadline = time.monotonic() + 120
    while not job.ended and time.monotonic() < deadline:
        time.sleep(0.1)
    assert job.ended and (job.directory / "output.mp4").is_file()
    assert studio.queue.jobs() == []
    opened = studio.opened(job.directory)
    assert opened.ended and list(opened.follow())[-1].complete


def test_a_film_without_pictures_cannot_be_opened(tmp_path: Path, picture: Path, voice: Path) -> None:
    studio = Studio(tmp_path / "jobs")
    with pytest.raises(InputError, match="press Resume"):
        studio.opened(_film(studio, ONE, picture, voice))


def test_a_broken_film_in_the_queue_is_passed_over_and_named(tmp_path: Path, picture: Path, voice: Path) -> None:
    studio = Studio(tmp_path / "jobs", shared=False)
    studio.pause(True, [])
    path = studio.submit_later(GenerationRequest(str(picture), (Speaker(str(voice)),))).directory
    (path / "project.json").write_text("{}")
    again = Studio(tmp_path / "jobs")
    again.wake()
    assert "format" in again.queue.state().jobs[0].failed
    third = Studio(tmp_path / "jobs")
    third.wake()
    assert third.working_on(path) is None, "a film that failed is not begun at every start"


def test_visitors_move_and_pause_only_their_own_films(tmp_path: Path, picture: Path, voice: Path) -> None:
    studio = Studio(tmp_path / "jobs")
    studio.queue.pause()
    request = GenerationRequest(str(picture), (Speaker(str(voice)),), max_seconds=0.2)
    films = [studio.submit_later(request).directory for _ in range(4)]
    ann, ben = [films[0].name, films[2].name], [films[1].name, films[3].name]
    studio.move(films[2], -1, ann)
    assert studio.queue.jobs() == [films[2], films[1], films[0], films[3]], "Ben's keep their places"
    studio.move(films[2], -1, ann)
    studio.move(films[3], -1, ann)
    assert studio.queue.jobs() == [films[2], films[1], films[0], films[3]]

    studio.pause(True, ann)
    studio.queue.go_on()
    studio.pause(False, ben)  # and the worker looks again
    deadline = time.monotonic() + 120
    while any(studio.working_on(films[index]) for index in (1, 3)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert all((films[index] / "output.mp4").is_file() for index in (1, 3))
    assert studio.passed_over() == {films[0], films[2]}
    again = Studio(tmp_path / "jobs")
    again.wake()
    assert again.passed_over() == {films[0], films[2]}, "after a restart too"


def test_what_another_program_does_to_the_queue_counts_at_once(
    tmp_path: Path, picture: Path, voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `infinitetalk queue` does beside a studio that is up."""
    monkeypatch.setattr(studio_module, "WATCH_SECONDS", 0.05)
    studio = Studio(tmp_path / "jobs", shared=False)
    studio.pause(True, [])
    request = GenerationRequest(str(picture), (Speaker(str(voice)),), max_seconds=0.2)
    first, second = studio.submit_later(request), studio.submit_later(request)
    studio.watch_queue()
    beside = JobQueue(studio.jobs_dir)
    added = prepare_job(request, studio.jobs_dir / ONE)
    beside.add(added)
    beside.move(second.directory, 0)
    beside.remove(first.directory)

    def line() -> list[Path]:
        return studio.queued([])

    _until(lambda: line() == [second.directory, added.path])
    assert isinstance(list(studio.follow(first))[-1], Finished), "whoever waits for it gets the end"
    beside.go_on()
    _until(lambda: (added.path / "output.mp4").exists() and not beside.jobs())
    assert line() == [] and (second.directory / "output.mp4").exists() and not (first.directory / "output.mp4").exists()


def _until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_queue_file_that_cannot_be_read_stops_nothing_else(tmp_path: Path, picture: Path, voice: Path) -> None:
    studio = Studio(tmp_path / "jobs")
    studio.queue.pause()
    request = GenerationRequest(str(picture), (Speaker(str(voice)),), max_seconds=0.2)
    waiting = studio.submit_later(request)
    studio.queue.path.write_text("{")
    made = studio.submit(request, plan(request))
    assert list(studio.follow(made))[-1].complete
    assert studio.passed_over() == {waiting.directory}


def test_a_removed_film_waits_again(tmp_path: Path, picture: Path, voice: Path) -> None:
    studio = Studio(tmp_path / "jobs", shared=False)
    studio.pause(True, [])
    path = studio.submit_later(GenerationRequest(str(picture), (Speaker(str(voice)),))).directory
    assert studio.remove(path) and studio.queue.jobs() == []
    assert studio.put_back(path.name, queued=True) == path
    assert studio.queue.jobs() == studio.queued([]) == [path]


def test_a_film_that_another_program_makes_is_not_removed(tmp_path: Path, picture: Path, voice: Path) -> None:
    studio = Studio(tmp_path / "jobs")
    path = _film(studio, ONE, picture, voice)
    with JobFolder.open(path).locked(), pytest.raises(JobError, match="Another run"):
        studio.remove(path)
    assert path.exists()


def test_a_failed_film_is_resumed_and_forgotten_by_the_queue(tmp_path: Path, picture: Path, voice: Path) -> None:
    studio = Studio(tmp_path / "jobs")
    path = prepare_job(
        GenerationRequest(str(picture), (Speaker(str(voice)),), max_seconds=0.2), studio.jobs_dir / ONE
    ).path
    studio.queue.add(path)
    studio.queue.fail(path, "The disk was full.")
    job = studio.resume(path)
    assert list(studio.follow(job))[-1].complete
    assert studio.queue.jobs() == []
