"""From light to picture as a camera does it, so that a real photograph looks like more of the same.

White balance, tone curve, vignette, lens blur, sensor noise fixed to the camera and JPEG, all constant over a clip.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numba
import numpy as np

from .render import SUPERSAMPLING


@dataclass(frozen=True)
class Development:
    """curves: [3, 2048] linear light 0..2 → 0..255. vignette, grain: [S, S]. blur: [3] kernel. jpeg: quality or 0."""

    curves: np.ndarray
    vignette: np.ndarray
    grain: np.ndarray
    blur: np.ndarray
    jpeg: int


def choose_development(rng: np.random.Generator, side: int, plain: bool = False) -> Development:
    """A camera of its own; `plain` is a good one in good hands."""
    strength = 0.25 if plain else 1.0
    gain = np.exp(rng.normal(0, 0.035 * strength, 3) + rng.normal(0.0, 0.10 * strength))
    light = np.linspace(0, 2, 2048)
    contrast, gamma = rng.normal(0, 0.12) * strength, np.exp(rng.normal(0, 0.07 * strength))
    black = max(0.0, rng.normal(0, 0.012) * strength)
    curves = []
    for c in range(3):
        x = light * gain[c]
        x = x / (1 + np.maximum(x - 0.6, 0) * 0.75)  # highlights roll off
        x = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-6) ** (1 / 2.4) - 0.055)
        x = np.clip(x, 0, 1) ** gamma
        x = x + contrast * 0.9 * x * (1 - x) * (2 * x - 1) * 2
        curves.append(255 * (black + (1 - black) * np.clip(x, 0, 1)))
    row, column = np.mgrid[0:side, 0:side] / side - 0.5
    vignette = 1 - rng.uniform(0, 0.45) * strength * (row**2 + column**2)
    noise = rng.standard_normal((side, side))
    if rng.random() < 0.5:
        noise = 0.6 * noise + 0.4 * (np.roll(noise, 1, 0) + np.roll(noise, 1, 1))
    amount = rng.uniform(0, 1.6) ** 1.5 * strength
    sigma = rng.uniform(0.0, 0.55) * strength
    edge = np.exp(-0.5 / sigma**2) if sigma > 0.2 else 0.0
    blur = np.asarray([edge, 1, edge]) / (1 + 2 * edge)
    jpeg = int(rng.uniform(70, 96)) if rng.random() < 0.4 * strength else 0
    return Development(
        np.stack(curves).astype(np.float32), vignette.astype(np.float32), (amount * noise).astype(np.float32),
        blur.astype(np.float32), jpeg,
    )  # fmt: skip


@numba.njit(cache=True, fastmath=True)
def _expose(linear, factor, curves, vignette, grain, blur):
    side = linear.shape[0] // factor
    light = np.empty((side, side, 3), np.float32)
    for row in range(side):
        for column in range(side):
            for c in range(3):
                total = np.float32(0)
                for i in range(factor):
                    for j in range(factor):
                        total += min(np.float32(2), linear[row * factor + i, column * factor + j, c])
                light[row, column, c] = total / (factor * factor) * vignette[row, column]
    encoded = np.empty((side, side, 3), np.uint8)
    across = np.empty((side, side, 3), np.float32)
    for row in range(side):
        for column in range(side):
            left, right = max(0, column - 1), min(side - 1, column + 1)
            for c in range(3):
                across[row, column, c] = (
                    blur[0] * light[row, left, c] + blur[1] * light[row, column, c] + blur[2] * light[row, right, c]
                )
    for row in range(side):
        above, below = max(0, row - 1), min(side - 1, row + 1)
        for column in range(side):
            for c in range(3):
                x = (
                    blur[0] * across[above, column, c]
                    + blur[1] * across[row, column, c]
                    + blur[2] * across[below, column, c]
                )
                place = min(2046.999, max(0.0, x * 1023.5))
                low = int(place)
                value = curves[c, low] + (place - low) * (curves[c, low + 1] - curves[c, low])
                encoded[row, column, c] = np.uint8(min(255.0, max(0.0, value + grain[row, column] + 0.5)))
    return encoded


def develop(linear: np.ndarray, development: Development, factor: int = SUPERSAMPLING) -> np.ndarray:
    """Linear light [S factor, S factor, 3] to a picture [S, S, 3] uint8."""
    picture = _expose(linear, factor, development.curves, development.vignette, development.grain, development.blur)
    if development.jpeg:
        from PIL import Image

        stored = io.BytesIO()
        Image.fromarray(picture).save(stored, "JPEG", quality=development.jpeg)
        picture = np.asarray(Image.open(stored))
    return picture
