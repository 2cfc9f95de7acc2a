"""Do the colours stay? Difference of colour between two stretches of a film, in CIEDE2000.

Both stretches are averaged over time and into cells of a 16th of the picture's edge, so that a small motion of the
head counts for little and a cast, a fading or a growing stain counts in full. Cells of the face and of the background
are told apart, because a model may hold the one and lose the other. About 1 is the smallest difference an eye sees
side by side, 3 is visible at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .landmarks import FACE_OVAL

CELLS = 16  # per edge
_HAIR, _SIDES = 0.45, 0.35  # of the face's height and width, kept clear of the background around the face


@dataclass(frozen=True)
class ColorDrift:
    """Mean colour difference over the cells of the face, of the background, and over both kinds in equal shares."""

    face: float
    background: float

    @property
    def both(self) -> float:
        return float(np.nanmean([self.face, self.background]))


@dataclass(frozen=True)
class Regions:
    """bool [16,16]: cells that lie wholly in the face, and in the background beside and above the head."""

    face: np.ndarray
    background: np.ndarray


def regions(points: np.ndarray, height: int, width: int) -> Regions:
    """Cells by the face's points [F,478,3] over a stretch of a film of this size; cells between the two are neither."""
    seen = points[np.isfinite(points[:, 0, 0])][:, :, :2]
    face, clear = np.zeros((height, width), np.uint8), np.ones((height, width), np.uint8)
    if len(seen):
        oval = np.nanmean(seen, axis=0)[list(FACE_OVAL)]
        cv2.fillConvexPoly(face, oval.round().astype(np.int32), 1)
        (left, top), (right, bottom) = oval.min(axis=0), oval.max(axis=0)
        side, hair = _SIDES * (right - left), _HAIR * (bottom - top)
        clear[max(0, round(top - hair)) :, max(0, round(left - side)) : max(0, round(right + side))] = 0
        clear[max(0, round((top + bottom) / 2)) :] = 0  # shoulders begin below the chin; nod and shrug reach higher
    return Regions(_cells(face) > 0.99, _cells(clear) > 0.99)


def cell_colors(frames: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) [16,16,3] of uint8 frames [F,H,W,3] sRGB, averaged over time in light, not in gamma."""
    light = np.zeros((CELLS, CELLS, 3))
    for frame in frames:
        light += _cells(_LINEAR[frame])
    return _lab(light / len(frames))


def color_drift(before: np.ndarray, after: np.ndarray, where: Regions) -> ColorDrift:
    """Between two `cell_colors` [16,16,3]; NaN for a region without cells."""
    difference = delta_e_2000(before, after)

    def mean(cells: np.ndarray) -> float:
        return float(difference[cells].mean()) if cells.any() else float("nan")

    return ColorDrift(mean(where.face), mean(where.background))


def _cells(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)


_CODES = np.arange(256) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)  # IEC 61966


def _lab(light: np.ndarray) -> np.ndarray:
    """Linear sRGB [...,3] 0..1 to L*a*b* under D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = light @ to_xyz.T / to_xyz.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def delta_e_2000(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """CIEDE2000 [...] between L*a*b* colours [...,3], by Sharma, Wu and Dalal (2005), all weights 1."""
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    mean_chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1 + 0.5 * (1 - np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25.0**7)))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    grey = c1 * c2 == 0
    turn = np.where(grey, 0, (h2 - h1 + 180) % 360 - 180)
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    around = np.where(np.abs(h1 - h2) > 180, np.where(h1 + h2 < 360, 360, -360), 0)
    hue = np.radians(np.where(grey, h1 + h2, (h1 + h2 + around) / 2))
    d_hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    blend = (
        1
        - 0.17 * np.cos(hue - np.radians(30))
        + 0.24 * np.cos(2 * hue)
        + 0.32 * np.cos(3 * hue + np.radians(6))
        - 0.20 * np.cos(4 * hue - np.radians(63))
    )
    s_l = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * blend
    bend = np.radians(30) * np.exp(-(((np.degrees(hue) - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(2 * bend)
    dl, dc, dh = (l2 - l1) / s_l, (c2 - c1) / s_c, d_hue / s_h
    return np.sqrt(np.maximum(0, dl**2 + dc**2 + dh**2 + rotation * dc * dh))
