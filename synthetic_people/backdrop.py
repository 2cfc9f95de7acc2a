"""What is behind a person: crops of a few licensed photographs out of focus, rooms, streets, lights, studio walls.

The photographs come with packages and are read from where these are installed; none is part of this project:
  scikit-learn   china.jpg, flower.jpg      CC BY 2.0, danielbuechele and vultilion (sklearn/datasets/images/README.txt)
  scikit-image   coffee.png                 CC0, Rachel Michetti
                 rocket.jpg                 public domain, SpaceX
                 grass.png                  CC0, DeviantArt, linolafett
                 gravel.png, brick.png      CC0, CC0Textures
Without these packages the painted backgrounds are used alone.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from .render import from_srgb
from .skin import smoothstep

MARGIN = 1.7  # a backdrop is this many times wider than the picture, so that the camera can move
_PHOTOGRAPHS = {
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
    "skimage": ("data/coffee.png", "data/rocket.jpg", "data/grass.png", "data/gravel.png", "data/brick.png"),
}  # fmt: skip


def photograph_paths() -> list[Path]:
    """The photographs that are installed, in a fixed order."""
    found = []
    for package, names in _PHOTOGRAPHS.items():
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            found += [path for name in names if (path := Path(spec.submodule_search_locations[0]) / name).exists()]
    return found


@functools.lru_cache(maxsize=16)
def _photograph(path: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))


def make_backdrop(rng: np.random.Generator, side: int) -> np.ndarray:
    """Linear light [P, P, 3] float32 with P = MARGIN × side pixels; nothing in it looks like a person."""
    size = round(side * MARGIN)
    paths = photograph_paths()
    kind = str(rng.choice(["photo", "studio", "room", "bokeh", "street"], p=[0.5, 0.16, 0.14, 0.1, 0.1]))
    if kind == "photo" and paths:
        odds = np.asarray([1.0 if path.suffix == ".jpg" or "coffee" in path.name else 0.35 for path in paths])
        picture = _photographic(rng, size, _photograph(paths[rng.choice(len(paths), p=odds / odds.sum())]))
    else:
        picture = _painted(rng, size, "studio" if kind == "photo" else kind)
    grain = gaussian_filter(rng.standard_normal((size, size)).astype(np.float32), 0.6)
    picture = picture * (1 + 0.015 * rng.random() * (grain / grain.std())[..., None])
    return from_srgb(np.clip(picture, 0, 1))


def _photographic(rng: np.random.Generator, size: int, photograph: np.ndarray) -> np.ndarray:
    from PIL import Image

    height, width = photograph.shape[:2]
    extent = int(rng.uniform(0.45, 1.0) * min(height, width))
    top, left = rng.integers(0, height - extent + 1), rng.integers(0, width - extent + 1)
    crop = Image.fromarray(photograph[top : top + extent, left : left + extent]).resize((size, size), Image.BICUBIC)
    picture = np.asarray(crop, np.float32) / 255
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    # A wide opening: highlights grow, so blur in linear light.
    light = from_srgb(picture)
    flat = bool(np.ptp(photograph[:64, :64].astype(int), axis=-1).max() == 0)  # a grey texture: blur it further
    sigma = size / MARGIN * (rng.uniform(0.03, 0.07) if flat else rng.uniform(0.010, 0.045))
    light = np.stack([gaussian_filter(light[..., c], sigma, mode="nearest") for c in range(3)], -1)
    picture = np.clip(light, 0, 1) ** (1 / 2.2)
    grey = picture.mean(-1, keepdims=True)
    picture = grey + rng.uniform(0.5, 1.1) * (picture - grey)
    tint = rng.uniform(0.85, 1.15, 3) if not flat else rng.uniform(0.65, 1.2, 3)
    level = rng.uniform(0.25, 0.7)
    return np.clip(picture * tint * (0.6 + 0.4 * level / (picture.mean() + 0.05)), 0, 1)


def _painted(rng: np.random.Generator, side: int, kind: str) -> np.ndarray:
    row, column = np.mgrid[0:side, 0:side].astype(np.float32) / side
    tone = rng.uniform(0.15, 0.8)
    first = np.clip(tone + rng.normal(0, 0.055, 3), 0.03, 0.97)
    second = np.clip(tone * rng.uniform(0.5, 1.3) + rng.normal(0, 0.055, 3), 0.03, 0.97)
    direction = rng.uniform(0, 2 * np.pi)
    ramp = np.cos(direction) * (row - 0.5) + np.sin(direction) * (column - 0.5)
    ramp = smoothstep(ramp, -rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.8))[..., None]
    picture = first * (1 - ramp) + second * ramp
    if kind == "studio":
        centre = rng.uniform(0.3, 0.7, 2)
        glow = np.exp(-(((row - centre[0]) ** 2 + (column - centre[1]) ** 2) / rng.uniform(0.05, 0.2)))
        picture = picture + glow[..., None] * rng.uniform(0.05, 0.3)
        cloudy = gaussian_filter(rng.standard_normal((side, side)).astype(np.float32), side / 18)
        picture = picture * (1 + rng.uniform(0, 0.10) * (cloudy / cloudy.std())[..., None])
    elif kind == "room":
        for _ in range(rng.integers(6, 18)):  # furniture, frames, windows, books
            top, left = rng.uniform(-0.2, 0.9, 2)
            inside = (row > top) & (row < top + rng.uniform(0.08, 0.6))
            inside &= (column > left) & (column < left + rng.uniform(0.03, 0.35))
            paint = np.clip(tone + rng.normal(0, 0.2) + rng.normal(0, 0.06, 3), 0.03, 0.97)
            picture[inside] = picture[inside] * 0.25 + 0.75 * paint
        if rng.random() < 0.5:  # a window
            left = rng.choice([-0.05, 0.75]) + rng.uniform(-0.1, 0.1)
            inside = (row > 0.05) & (row < 0.6) & (column > left) & (column < left + 0.3)
            picture[inside] = np.clip(np.asarray([0.95, 0.97, 1.0]) * rng.uniform(0.85, 1.0), 0, 1)
    elif kind == "street":
        columns = gaussian_filter(rng.standard_normal((1, side)).astype(np.float32), (0, side / 24), mode="nearest")
        horizon = rng.uniform(0.45, 0.8)
        upper = smoothstep(horizon - row, -0.02, 0.02)
        picture = picture + (0.10 * columns / columns.std() * upper)[..., None] - ((1 - upper) * 0.12)[..., None]
        for _ in range(rng.integers(10, 40)):
            centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.02, 0.10)
            leaf = np.exp(-((((row - centre[0]) ** 2 + (column - centre[1]) ** 2) / radius**2) ** 2))
            green = np.clip(np.asarray([0.32, 0.42, 0.24]) * rng.uniform(0.5, 1.8) + rng.normal(0, 0.04, 3), 0, 1)
            picture += 0.6 * leaf[..., None] * (green - picture)
    sigma = side * rng.uniform(0.006, 0.022)
    picture = np.stack([gaussian_filter(picture[..., c], sigma, mode="nearest") for c in range(3)], -1)
    if kind == "bokeh":
        picture = picture * 0.6
        warm = np.asarray([1.0, 0.88, 0.7]) if rng.random() < 0.7 else np.asarray([0.8, 0.9, 1.0])
        for _ in range(rng.integers(15, 45)):
            centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.012, 0.045)
            distance = np.hypot(row - centre[0], column - centre[1]) / radius
            disc = (1 - smoothstep(distance, 0.85, 1.05)) * (0.75 + 0.25 * np.clip(distance, 0, 1) ** 4)
            light = np.clip(warm * rng.uniform(0.5, 1.0) + rng.normal(0, 0.08, 3), 0, 1)
            picture += (rng.uniform(0.12, 0.55) * disc)[..., None] * (light - picture)
    return picture
