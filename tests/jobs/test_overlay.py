"""Motion targets drawn over the film: lines that stay where the scene does, a dial, a skeleton."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from infinitetalk.config.request import Camera, Head
from infinitetalk.errors import InputError, JobError
from infinitetalk.jobs.folder import JobFolder
from infinitetalk.jobs.overlay import overlay_film, with_dial, with_grid
from infinitetalk.media.probe import probe
from infinitetalk.pipeline import generate, load_models, prepare_job
from infinitetalk.vision.camera_path import intrinsics, preset_path
from tests.test_pipeline import pictures, request_for


def lines(picture: np.ndarray) -> np.ndarray:
    """Columns of a picture that hold an upright line, where one was grey."""
    changed = np.abs(picture.astype(int) - 128).sum(axis=2) > 60
    return np.flatnonzero(changed.mean(axis=0) > 0.8)


def test_the_grid_stands_still_in_the_scene() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    still = with_grid(grey, np.eye(4))
    assert any(abs(column - 100) <= 1 for column in lines(still)), "through the middle of the picture"
    path = preset_path("pan", 0.3, 1.0)
    w2c = path.w2c(26)[-1]
    point = intrinsics(200, 200) @ (w2c @ [0, 0, 1, 1])[:3]
    column = point[0] / point[2]
    assert abs(column - 100) > 3 and any(abs(line - column) <= 1.5 for line in lines(with_grid(grey, w2c)))


def test_the_dial_says_where_the_head_was_to_look() -> None:
    grey = np.full((256, 256, 3), 128, np.uint8)

    def dot(yaw: float, pitch: float) -> np.ndarray:
        picture = with_dial(grey, yaw, pitch).astype(int)
        rows, columns = np.nonzero((picture[..., 0] > 200) & (picture[..., 2] < 120))
        return np.array([columns.mean(), rows.mean()])

    middle = dot(0, 0)
    assert dot(10, 0)[0] > middle[0] + 5 and dot(0, 10)[1] > middle[1] + 5
    far = dot(500, 0) - middle
    assert 15 < far[0] < 30, "never outside the dial"


def test_a_film_with_its_targets_over_it(tmp_path) -> None:
    request = request_for(tmp_path, 1.2, camera=Camera(path="pan"), head=Head())
    with pytest.raises(JobError, match="has no film yet"):
        overlay_film(prepare_job(request, tmp_path / "empty"))
    list(generate(request, load_models(request), tmp_path / "job"))
    job, shares = JobFolder.open(tmp_path / "job"), []
    made = overlay_film(job, shares.append)
    drawn, plain = pictures(made), pictures(job.output)
    assert drawn.shape == plain.shape and shares[-1] == 1 and probe(made).has_audio
    apart = np.abs(drawn.astype(int) - plain).mean(axis=(1, 2, 3))
    assert (apart > 2).all() and (apart < 40).all()
    assert not list((tmp_path / "job").glob(".overlay*")), "nothing half made is left"
    before = made.stat().st_mtime_ns
    assert overlay_film(job).stat().st_mtime_ns == before, "made once"
    plain_job = JobFolder(job.path, replace(job.request, camera=None, head=None))
    with pytest.raises(InputError, match="nothing to draw over it"):
        overlay_film(plain_job)
