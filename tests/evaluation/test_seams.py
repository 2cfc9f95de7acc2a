"""Joints in films made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.evaluation.seams import border_frames, measure_seams


def film(jumps: dict[int, int], num_frames: int = 160) -> np.ndarray:
    """A film that brightens by one a frame, and by a jump more at some frames."""
    steps = np.ones(num_frames)
    steps[0] = 0
    for frame, more in jumps.items():
        steps[frame] += more
    return np.broadcast_to(np.cumsum(steps)[:, None, None, None], (num_frames, 8, 8, 3)).astype(np.uint8)


def test_borders_are_where_new_chunks_begin() -> None:
    assert border_frames(81) == []
    assert border_frames(160) == [81, 153]


def test_a_smooth_film_has_no_seams() -> None:
    found = measure_seams(film({}))
    assert found.ratios.tolist() == [1, 1] and found.visibility == 1


def test_a_jump_at_a_border_is_a_seam_and_elsewhere_is_not() -> None:
    found = measure_seams(film({81: 4, 153: 2, 40: 9}))
    assert found.ratios.tolist() == [5, 3]
    assert found.visibility == pytest.approx(4)


def test_a_film_of_one_chunk_has_no_borders() -> None:
    assert np.isnan(measure_seams(film({}, 60)).visibility)
