from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infinitetalk.streaming.plan import plan_chunks
from infinitetalk.ui.timeline.state import peaks, with_work


def test_peaks_stand_where_the_sound_is() -> None:
    samples = np.zeros(32000, np.float32)
    samples[16000:17000] = 0.5
    samples[24000] = -1.0
    drawn = peaks(samples, start_seconds=1.0, duration_seconds=4.0, rate=10)
    assert len(drawn) == 40 and drawn[20] == 50 and drawn[25] == 100
    assert sum(value > 0 for value in drawn) == 2


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
