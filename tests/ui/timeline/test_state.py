from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infinitetalk.control.camera_path import CameraPath, CameraPoint, save_path
from infinitetalk.request import Camera
from infinitetalk.streaming.plan import plan_chunks
from infinitetalk.ui.timeline.state import camera_lines, peaks, with_work


def test_peaks_stand_where_the_sound_is() -> None:
    samples = np.zeros(32000, np.float32)
    samples[16000:17000] = 0.5
    samples[24000] = -1.0
    drawn = peaks(samples, start_seconds=1.0, duration_seconds=4.0, rate=10)
    assert len(drawn) == 40 and drawn[20] == 50 and drawn[25] == 100
    assert sum(value > 0 for value in drawn) == 2


def test_a_cameras_path_is_four_lines_over_the_film(tmp_path) -> None:
    lines = camera_lines(Camera(path="push in"), 8.0, 7)
    assert len(lines) == 4 and max(map(max, lines)) == 100 and lines[2][0] == 0 and abs(lines[2][-1]) == 100
    assert all(len(line) == 240 for line in lines)
    back = camera_lines(Camera("uni3c", "push in", -1.0), 8.0, 7)
    assert back[2][-1] == -lines[2][-1]
    own = save_path(CameraPath((CameraPoint(0.0), CameraPoint(1.0, yaw=4.0))), tmp_path / "mine.json")
    assert abs(camera_lines(Camera(path=str(own)), 2.0, 7)[0][-1]) == 100
    for camera in (None, Camera("sdedit"), Camera(path="follow"), Camera(path="pan", amount=0.0)):
        assert camera_lines(camera, 8.0, 7) == []


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
