"""Detail moves with what moves, and is left out where something new appears."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from infinitetalk.media.detail import DetailCarrier


@pytest.fixture(scope="module")
def sharp() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    smooth = cv2.resize(noise[:12, :12], (256, 256), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    fine = cv2.resize(noise, (256, 256), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    return np.clip(0.8 * smooth + 0.2 * fine, 0, 255).astype(np.uint8)


def shrunk(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(cv2.resize(picture, (128, 128), interpolation=cv2.INTER_AREA), (0, 0), 0.8)


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.float32) - b.astype(np.float32)).mean())


def test_a_frame_like_the_rendering_becomes_the_reference(sharp):
    small = shrunk(sharp)
    (finished,) = DetailCarrier(sharp, small).carry(small[None])
    assert error(finished, sharp) < 0.5


def test_detail_follows_a_shift(sharp):
    moved = np.roll(sharp, (6, -4), axis=(0, 1))
    carrier = DetailCarrier(sharp, shrunk(sharp))
    (finished,) = carrier.carry(shrunk(moved)[None])
    enlarged = cv2.resize(shrunk(moved), (256, 256), interpolation=cv2.INTER_CUBIC)
    inner = np.s_[24:-24, 24:-24]
    assert error(finished[inner], moved[inner]) < 0.6 * error(enlarged[inner], moved[inner])


def test_new_things_stay_as_generated(sharp):
    small = shrunk(sharp)
    small[60:90, 40:90] = (20, 5, 5)
    (finished,) = DetailCarrier(sharp, shrunk(sharp)).carry(small[None])
    assert np.abs(finished[136:164, 96:164].astype(int) - (20, 5, 5)).max() < 12
