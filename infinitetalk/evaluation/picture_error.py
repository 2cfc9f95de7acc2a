"""How far generated pictures are from the true ones, pixel by pixel; meaningful only for the same reference."""

from __future__ import annotations

import cv2
import numpy as np

_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(own: np.ndarray, true: np.ndarray) -> float:
    """Peak signal to noise in dB over all pixels of two uint8 films [F,H,W,3]; infinite if they are equal."""
    total = 0.0
    for a, b in zip(own, true, strict=True):
        total += float(np.square(a.astype(np.float32) - b).mean())
    return float("inf") if total == 0 else float(10 * np.log10(255**2 * len(own) / total))


def ssim(own: np.ndarray, true: np.ndarray) -> float:
    """Mean structural similarity of luminance (Wang et al. 2004, Gaussian of 1.5 pixels) of two uint8 films."""
    return float(np.mean([_ssim(_luminance(a), _luminance(b)) for a, b in zip(own, true, strict=True)]))


def _luminance(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    def blur(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (11, 11), _SIGMA)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    ratio = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    return float((ratio / ((mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2))).mean())
