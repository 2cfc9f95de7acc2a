"""Chunk jobs: a take's overrides applied once, and digests that change with what pictures follow from alone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from infinitetalk.errors import JobError
from infinitetalk.jobs.folder import JobFolder, write_json
from infinitetalk.jobs.resolve import resolve_jobs
from infinitetalk.jobs.retakes import ChunkTakes, TakeOverrides, write_takes
from infinitetalk.pipeline import prepare_job
from infinitetalk.stages import prepare_film
from tests.test_pipeline import request_for


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A job of three chunks with nothing made yet."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare_job(request_for(folder, 6.5), folder / "job")
    return folder / "job"


@pytest.fixture
def folder(prepared, tmp_path) -> JobFolder:
    return JobFolder.open(shutil.copytree(prepared, tmp_path / "job"))


def jobs_with(folder: JobFolder, takes: dict[int, ChunkTakes] | None = None, **changes) -> tuple:
    write_takes(folder, takes or {})
    film = prepare_film(replace(folder.request, **changes))
    with film.source:
        return resolve_jobs(folder, film)


def mark_made(folder: JobFolder, chunk: int, take: int, digest: str) -> None:
    path = folder.take_dir(chunk, take)
    path.mkdir(parents=True)
    write_json(path / "take.json", {"inputs_sha256": digest, "bytes": {}})


def digests(jobs) -> list[str]:
    return [job.digest for job in jobs]


def test_a_job_without_takes_is_the_films_own(folder) -> None:
    jobs = jobs_with(folder)
    assert [job.chunk.index for job in jobs] == [0, 1, 2] and len(set(digests(jobs))) == 3
    assert all(job.seed == folder.request.seed and job.noise_number == 0 and job.overrides is None for job in jobs)
    assert [job.ends_film for job in jobs] == [False, False, True]
    assert digests(jobs) == digests(jobs_with(folder)), "nothing of a run is in a digest"


def test_what_pictures_follow_from_changes_all_digests_from_there_on(folder) -> None:
    before = digests(jobs_with(folder))
    assert all(a != b for a, b in zip(before, digests(jobs_with(folder, seed=8)), strict=True))
    assert all(a != b for a, b in zip(before, digests(jobs_with(folder, guidance_scale=2.0)), strict=True))


def test_a_take_that_ripples_changes_what_follows(folder) -> None:
    before = digests(jobs_with(folder))
    ripple = ChunkTakes(1, (TakeOverrides(seed=3, audio_guidance_scale=2.0, join="ripple"),))
    jobs = jobs_with(folder, {1: ripple})
    assert digests(jobs)[0] == before[0] and digests(jobs)[1] != before[1] and digests(jobs)[2] != before[2]
    assert (jobs[1].seed, jobs[1].noise_number, jobs[1].settings.audio_guidance_scale) == (3, 0, 2.0)
    assert jobs[1].fades_into is None and jobs[0].settings.audio_guidance_scale == 1.0


def test_a_take_that_blends_leaves_what_follows(folder) -> None:
    before = digests(jobs_with(folder))
    mark_made(folder, 1, 0, before[1])
    jobs = jobs_with(folder, {1: ChunkTakes(1, (TakeOverrides(reference_seconds=1.5),))})
    assert digests(jobs)[1] != before[1] and digests(jobs)[2] == before[2]
    assert jobs[1].fades_into == 0 and jobs[1].noise_number == 1
    assert jobs[1].chunk.reference.source_seconds == 1.5
    mark_made(folder, 2, 0, before[2])
    last = jobs_with(folder, {2: ChunkTakes(1, (TakeOverrides(),))})[2]
    assert last.fades_into is None, "nothing follows the film's last chunk"


def test_a_take_that_fades_into_one_that_is_gone_is_named(folder) -> None:
    with pytest.raises(JobError, match="Take 1 of chunk 1 fades into take 0, which is not there any more"):
        jobs_with(folder, {1: ChunkTakes(1, (TakeOverrides(),))})


def test_going_back_to_the_first_take_finds_its_digest(folder) -> None:
    before = digests(jobs_with(folder))
    ripple = TakeOverrides(seed=3, join="ripple")
    assert digests(jobs_with(folder, {0: ChunkTakes(0, (ripple,))})) == before
