"""Pixel errors of pictures made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.evaluation.picture_error import psnr, ssim


def film(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(20, 200, (3, 32, 32, 3), dtype=np.uint8)


def test_equal_films() -> None:
    assert psnr(film(0), film(0)) == float("inf")
    assert ssim(film(0), film(0)) == pytest.approx(1)


def test_known_error() -> None:
    assert psnr(film(0) + 5, film(0)) == pytest.approx(20 * np.log10(255 / 5), abs=1e-4)


def test_structure_counts_more_than_brightness() -> None:
    assert ssim(film(0) + 5, film(0)) > 0.95
    assert ssim(film(1), film(0)) < 0.2
