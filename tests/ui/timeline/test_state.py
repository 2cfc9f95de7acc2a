from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infinitetalk.config.request import Camera, CameraControl, GenerationRequest, SDEdit, Speaker
from infinitetalk.generation.camera_targets import followed_path
from infinitetalk.media.video import open_source
from infinitetalk.planning.chunks import plan_chunks
from infinitetalk.ui.movement import CameraChoice, camera_fields
from infinitetalk.ui.timeline.state import camera_lines, peaks, with_work
from infinitetalk.vision.camera_path import CameraPath, CameraPoint, save_path


def test_peaks_stand_where_the_sound_is() -> None:
    samples = np.zeros(32000, np.float32)
    samples[16000:17000] = 0.5
    samples[24000] = -1.0
    drawn = peaks(samples, start_seconds=1.0, duration_seconds=4.0, rate=10)
    assert len(drawn) == 40 and drawn[20] == 50 and drawn[25] == 100
    assert sum(value > 0 for value in drawn) == 2


def lines_of(camera: CameraChoice | None, seconds: float, source: str = "a.png") -> list[list[int]]:
    request = GenerationRequest(source=source, speakers=(Speaker("a.wav"),), **camera_fields(camera))
    return camera_lines(request, seconds)


def test_a_cameras_path_is_four_lines_over_the_film(tmp_path) -> None:
    lines = lines_of(Camera(path="push in"), 8.0)
    assert len(lines) == 4 and max(map(max, lines)) == 100 and lines[2][0] == 0 and abs(lines[2][-1]) == 100
    assert all(len(line) == 240 for line in lines)
    back = lines_of(CameraControl("push in", -1.0), 8.0)
    assert back[2][-1] == -lines[2][-1]
    own = save_path(CameraPath((CameraPoint(0.0), CameraPoint(1.0, yaw=4.0))), tmp_path / "mine.json")
    assert abs(lines_of(Camera(path=str(own)), 2.0)[0][-1]) == 100
    for camera in (None, SDEdit(), Camera(path="pan", amount=0.0)):
        assert lines_of(camera, 8.0) == []


def test_a_followed_camera_is_drawn_once_it_was_read(panned_film, tmp_path) -> None:
    panned_film = shutil.copy(panned_film, tmp_path / "not read yet.mp4")
    assert lines_of(Camera(path="follow"), 1.0, str(panned_film)) == []
    with open_source(panned_film) as source:
        followed_path(source, source.duration_seconds)
    assert max(map(abs, lines_of(Camera(path="follow"), 1.0, str(panned_film))[0])) == 100


def test_silence_is_flat() -> None:
    assert set(peaks(np.zeros(8000, np.float32), 0.0, 1.0, 25)) == {0}
    assert set(peaks(np.zeros(0, np.float32), 0.0, 1.0, 25)) == {0}


@given(
    num_samples=st.integers(0, 40_000),
    start_seconds=st.floats(0, 3),
    duration_seconds=st.floats(0.04, 5),
    rate=st.floats(0.5, 25),
)
def test_peaks_cover_the_film_whatever_the_lengths(
    num_samples: int, start_seconds: float, duration_seconds: float, rate: float
) -> None:
    drawn = peaks(np.ones(num_samples, np.float32), start_seconds, duration_seconds, rate)
    assert len(drawn) == max(1, np.ceil(duration_seconds * rate))
    assert set(drawn) <= {0, 100}


@pytest.mark.parametrize(
    ("finished", "running", "expected"),
    [
        ([], None, ["planned"] * 3),
        ([0], 1, ["finished", "running", "planned"]),
        ([0, 1, 2], 2, ["finished"] * 3),
    ],
)
def test_a_chunk_is_planned_running_or_finished(finished: list[int], running: int | None, expected: list[str]) -> None:
    assert with_work(plan_chunks(200), finished, running) == expected
