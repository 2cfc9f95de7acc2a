"""A film's camera: what it is asked for, what it may not be, and films that are made with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infinitetalk.config.request import Camera
from infinitetalk.errors import InputError
from infinitetalk.events import ChunkFinished, Finished, Progress
from infinitetalk.generation import camera_targets
from infinitetalk.generation.camera_targets import FilmCamera, followed_path
from infinitetalk.jobs.folder import JobFolder
from infinitetalk.jobs.relink import missing_media
from infinitetalk.media.video import open_source
from infinitetalk.pipeline import generate, load_models, plan, resume
from infinitetalk.vision.camera_path import CameraPath, CameraPoint, save_path
from tests.test_pipeline import pictures, request_for
from tests.vision.conftest import PHOTO


@pytest.mark.parametrize(
    "values, words",
    [
        ({"path": "sideways"}, "path is 'sideways'; give push in"),
        ({"path": ""}, "path is ''"),
        ({"amount": 4}, "amount is 4; give a number from -3 to 3"),
        ({"amount": float("nan")}, "amount is nan"),
        ({"speed": 2}, "unknown key 'speed'"),
    ],
)
def test_what_is_wrong_with_a_camera_is_said(tmp_path, values, words) -> None:
    with pytest.raises(InputError) as raised:
        request_for(tmp_path, 1.0, camera=values)
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_what_a_camera_cannot_do_with_this_source_is_said_before_the_film(tmp_path) -> None:
    broken = tmp_path / "path.json"
    broken.write_text("{")
    for camera, words in (
        (Camera(path="follow"), "whose camera rests"),
        (Camera(path=str(tmp_path / "none.json")), "There is no camera path"),
        (Camera(path=str(broken)), "path.json is not a camera path"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            plan(request_for(tmp_path, 1.0, camera=camera))


def test_a_followed_film_is_seen_from_its_references_own_place(panned_film) -> None:
    """A chunk whose reference was taken at its own beginning starts as that reference is."""
    with open_source(panned_film) as source:
        camera = FilmCamera(Camera(path="follow"), source, 2.4)
    w2c = camera.w2c(25, 10, 1.0)
    assert np.allclose(w2c[0], np.eye(4), atol=1e-6)
    still = camera.path.at([0.0, 2.0])
    moved = still[1] - still[0]
    assert abs(moved[3]) > 1 or abs(moved[0]) > 0.02, f"the film pans: {moved}"
    ready_made = FilmCamera(Camera(path="pan"), source, 2.4).w2c(25, 10, 1.0)
    assert not np.allclose(ready_made[0], np.eye(4)), "a ready-made movement counts from the film's beginning"


def test_a_followed_path_that_was_edited_still_counts_from_its_references(panned_film, tmp_path) -> None:
    with open_source(panned_film) as source:
        read = FilmCamera(Camera(path="follow"), source, 2.4)
        file = save_path(replace(read.path, name="mine"), tmp_path / "edited.json")
        edited = FilmCamera(Camera(path=str(file)), source, 2.4)
        assert np.array_equal(edited.w2c(25, 10, 1.0), read.w2c(25, 10, 1.0))
        assert not np.allclose(edited.w2c(25, 10, None)[0], np.eye(4)), "a picture of one's own did not move along"
    with open_source(PHOTO) as other:
        path = FilmCamera(Camera(path=str(file)), other, 2.4)
    assert np.array_equal(path.w2c(25, 10, 1.0), path.w2c(25, 10, None)), "another source did not move along either"


def test_the_same_stretch_of_a_camera_is_read_once(panned_film) -> None:
    with open_source(panned_film) as source:
        first = followed_path(source, 1.2)
        told: list[float] = []
        assert followed_path(source, 1.2, told.append) is first and not told
        assert followed_path(source, 0.8) is not first, "how a path ends depends on its length"


@pytest.mark.parametrize("movement", ["push in", "pan"])
def test_a_film_follows_its_camera_and_is_resumed_to_the_same_pictures(tmp_path, movement) -> None:
    request = request_for(tmp_path, 4.0, camera=Camera(path=movement))
    models = load_models(request)
    events = list(generate(request, models, tmp_path / "job"))
    told = [event for event in events if isinstance(event, ChunkFinished)]
    assert len(told) == 2 and all(event.tracking["camera"].value > 0.8 for event in told)
    record = json.loads((tmp_path / "job/chunks/0001/take-00/take.json").read_text())
    assert record["tracking"]["camera"]["value"] == pytest.approx(told[1].tracking["camera"].value)

    made = pictures(tmp_path / "job/output.mp4")
    still = list(generate(replace(request, camera=None), models, tmp_path / "still"))
    assert all(not event.tracking for event in still if isinstance(event, ChunkFinished))
    apart = np.abs(made.astype(int) - pictures(tmp_path / "still/output.mp4")).mean(axis=(1, 2, 3))
    assert apart[0] < 1 < apart[-1], "the camera begins at the reference and moves away from it"

    # The last chunk is lost and made again.
    import shutil

    shutil.rmtree(tmp_path / "job/chunks/0001")
    again = [event for event in resume(tmp_path / "job", models) if isinstance(event, ChunkFinished)]
    assert again[0].tracking == told[0].tracking, "kept with the take"
    assert np.array_equal(pictures(tmp_path / "job/output.mp4"), made)


def test_reading_a_camera_says_how_long_and_can_be_cancelled(tmp_path, panned_film, monkeypatch) -> None:
    request = request_for(tmp_path, 2.0, source=str(panned_film), camera=Camera(path="follow"))
    models = load_models(request)
    told = [event for event in generate(request, models, tmp_path / "job") if isinstance(event, Progress)]
    reading = [event for event in told if event.stage == "following"]
    assert len(reading) > 5 and all(event.seconds_left is not None for event in reading[1:])
    monkeypatch.setattr(camera_targets, "_READ", {})  # what was read once is known
    seen: list = []
    for event in generate(request, models, tmp_path / "stopped", should_stop=lambda: bool(seen)):
        if isinstance(event, Progress) and event.stage == "following":
            seen.append(event)
    assert isinstance(event, Finished) and event.output is None and not event.complete and len(seen) < len(reading)
    assert isinstance(list(resume(tmp_path / "stopped", models))[-1], Finished)
    assert np.array_equal(pictures(tmp_path / "stopped/output.mp4"), pictures(tmp_path / "job/output.mp4"))


def test_a_path_of_ones_own_belongs_to_the_job(tmp_path) -> None:
    file = save_path(CameraPath((CameraPoint(0.0), CameraPoint(1.0, yaw=4.0))), tmp_path / "mine.json")
    job = JobFolder.create(tmp_path / "job", request_for(tmp_path, 1.0, camera=Camera(path=str(file))))
    assert job.request.camera.file != str(file) and Path(job.request.camera.file).is_relative_to(tmp_path / "job")
    assert json.loads((tmp_path / "job/project.json").read_text())["request"]["camera"]["path"].startswith("inputs/")
    Path(job.request.camera.file).unlink()
    assert missing_media(JobFolder.open(tmp_path / "job")) == ["inputs/2-mine.json"]
