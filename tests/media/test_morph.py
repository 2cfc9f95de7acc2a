"""A fade along the flow: it begins and ends where it should and shows nothing twice."""

from __future__ import annotations

import cv2
import numpy as np

from infinitetalk.media.morph import morph


def disk(column: float) -> np.ndarray:
    picture = np.full((128, 128, 3), 40, np.uint8)
    picture[::7] = 70  # something for the flow to hold on to
    return cv2.GaussianBlur(cv2.circle(picture, (round(column), 64), 20, (220, 180, 60), -1), (0, 0), 1.0)


def test_what_stands_elsewhere_moves_over():
    before, after = np.stack([disk(60)] * 9), np.stack([disk(66)] * 9)
    mixed = morph(before, after)
    centres = []
    for picture in mixed:
        bright = picture[..., 0].astype(int) > 150
        centres.append(np.nonzero(bright)[1].mean())
        width = np.ptp(np.nonzero(bright[64])[0])
        assert 36 <= width <= 42, "two disks beside each other would be 46 wide"
    steps = np.diff([60, *centres, 66])
    assert (steps > -0.3).all() and steps.max() < 2.0, centres


def test_equal_pictures_stay():
    frames = np.stack([disk(50), disk(52), disk(54)])
    assert np.abs(morph(frames, frames).astype(int) - frames).max() <= 2
