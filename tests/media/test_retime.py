"""Frame rates: the one that was meant, and at each instant the picture that was on screen."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from infinitetalk.media.retime import rate_of, retimed
from infinitetalk.media.writer import SegmentWriter


@pytest.mark.parametrize(
    ("fps", "rate"),
    [(None, 25), (25.0, 25), (29.97003, Fraction(30000, 1001)), (23.976, Fraction(24000, 1001)), (60.0, 60), (1.0, 25),
     (12.5, Fraction(25, 2)), (1000.0, 25)],
)  # fmt: skip
def test_the_rate_that_was_meant(fps, rate):
    assert rate_of(fps) == rate


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(24000, 1001), Fraction(50), Fraction(12)])
def test_pictures_of_their_instants(tmp_path: Path, rate: Fraction):
    levels = np.arange(30, dtype=np.uint8) * 8
    writer = SegmentWriter(width=32, height=32)
    for part in range(2):
        frames = np.broadcast_to(levels[part * 15 : part * 15 + 15, None, None, None], (15, 32, 32, 3))
        writer.write(tmp_path / f"{part}.mp4", np.ascontiguousarray(frames))
    count = int(30 * rate / 25)
    shown = [frame.to_ndarray(format="rgb24").mean() for frame in
             retimed([tmp_path / "0.mp4", tmp_path / "1.mp4"], rate, count + 3)]  # fmt: skip
    wanted = [8 * min(29, int(index * 25 / rate)) for index in range(count + 3)]
    assert np.abs(np.array(shown) - wanted).max() < 3
