"""Where the light comes from in a clip."""

from __future__ import annotations

import numpy as np

from .shading import Lighting


def make_lighting(rng: np.random.Generator, skin: np.ndarray, room: np.ndarray | None = None) -> Lighting:
    """A key light from some side, a fill, at times a rim from behind, and a room; `room` [3] tints its light.

    The strength suits `skin` [3], as a camera is set for the face it films.
    """
    kind = str(rng.choice(["window", "studio", "overhead", "low sun", "flat"], p=[0.32, 0.28, 0.12, 0.13, 0.15]))
    side = rng.choice([-1.0, 1.0])
    across, up, strength, softness, fill, sky = {
        "window": (rng.uniform(0.7, 1.6), rng.uniform(0.0, 0.6), rng.uniform(0.75, 1.05), 0.30, 0.16, 0.20),
        "studio": (rng.uniform(0.3, 0.8), rng.uniform(0.35, 0.8), rng.uniform(0.7, 0.95), 0.22, 0.24, 0.22),
        "overhead": (rng.uniform(0.0, 0.4), rng.uniform(0.8, 1.3), rng.uniform(0.7, 0.9), 0.30, 0.20, 0.26),
        "low sun": (rng.uniform(0.5, 1.1), rng.uniform(0.1, 0.5), rng.uniform(0.9, 1.15), 0.10, 0.20, 0.26),
        "flat": (rng.uniform(0.0, 0.5), rng.uniform(0.1, 0.5), rng.uniform(0.5, 0.65), 0.40, 0.22, 0.36),
    }[kind]
    exposure = (0.30 / max(0.06, float(skin @ [0.25, 0.6, 0.15]))) ** 0.38
    strength, fill, sky = strength * exposure, fill * exposure, sky * exposure
    key = np.asarray([side * across, -1.0, up])
    other = np.asarray([-side * rng.uniform(0.5, 1.2), -0.8, rng.uniform(-0.2, 0.3)])
    behind = np.asarray([-side * rng.uniform(0.4, 1.2), 0.9, rng.uniform(0.2, 0.9)])
    warmth = rng.normal(0.02, 0.05)
    tint, cool = np.asarray([1 + warmth, 1.0, 1 - warmth]), np.asarray([1 - 0.7 * warmth, 1.0, 1 + 0.7 * warmth])
    if room is not None:
        hue = room / (room.mean() + 1e-6)
        cool = cool * (0.75 + 0.25 * np.clip(hue, 0.6, 1.5))
    rim = rng.uniform(0.15, 0.6) if rng.random() < 0.45 else 0.0
    return Lighting(
        key_direction=key / np.linalg.norm(key),
        key=strength * tint,
        fill_direction=other / np.linalg.norm(other),
        fill=fill * rng.uniform(0.6, 1.3) * cool,
        rim_direction=behind / np.linalg.norm(behind),
        rim=rim * np.asarray([1.0, 1.0, 1.0]) * (tint if rng.random() < 0.5 else cool),
        sky=sky * rng.uniform(0.9, 1.3) * cool,
        ground=sky * rng.uniform(0.35, 0.6) * tint,
        softness=softness,
    )
