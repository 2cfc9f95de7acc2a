from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infinitetalk.audio.windows import WINDOW_SIZE, window_indices

spans = st.tuples(st.integers(0, 400), st.integers(1, 120)).map(lambda span: (span[0], span[0] + span[1]))


def spelled_out(start: int, stop: int, num_frames: int, mirror_tail: bool) -> list[list[int]]:
    """The rule as the reference executes it: append the reversed end, then clamp."""
    frames = list(range(num_frames))
    if mirror_tail and stop >= num_frames:
        frames += frames[-(stop - num_frames + 3) :][::-1]
    return [[frames[min(max(t + k, 0), len(frames) - 1)] for k in (-2, -1, 0, 1, 2)] for t in range(start, stop)]


@settings(deadline=None)
@given(span=spans, num_frames=st.integers(1, 400), mirror_tail=st.booleans())
def test_equals_the_reference_rule(span: tuple[int, int], num_frames: int, mirror_tail: bool) -> None:
    indices = window_indices(*span, num_frames, mirror_tail=mirror_tail)
    assert indices.tolist() == spelled_out(*span, num_frames, mirror_tail)


@settings(deadline=None)
@given(num_frames=st.integers(1, 270_000))
def test_every_audio_frame_is_heard_at_its_own_time(num_frames: int) -> None:
    indices = window_indices(0, num_frames, num_frames)
    assert indices.shape == (num_frames, WINDOW_SIZE)
    np.testing.assert_array_equal(indices[:, 2], np.arange(num_frames))
    assert indices.min() == 0
    assert indices.max() == num_frames - 1


@settings(deadline=None)
@given(cut=st.integers(1, 80), num_frames=st.integers(82, 300))
def test_spans_agree_where_they_overlap(cut: int, num_frames: int) -> None:
    whole = window_indices(0, 81, num_frames)
    np.testing.assert_array_equal(window_indices(cut, 81, num_frames), whole[cut:])


def test_impossible_spans_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[5, 5\)"):
        window_indices(5, 5, 10)
    with pytest.raises(ValueError, match="at least one"):
        window_indices(0, 5, 0)
