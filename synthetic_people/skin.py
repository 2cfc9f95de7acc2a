"""A person's skin as a texture: tone, blush, freckles, pores, wrinkles, lips, make-up, stubble, shaven scalp.

Colours are chosen in sRGB and kept in linear light. The texture is a cylinder around the neck's axis (see
`heads.texture_coordinates`) with six channels: linear RGB, gloss, and the bumps' slopes to the right and down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from .heads import (
    AXIS_Y,
    TEXTURE_BOTTOM_Z,
    TEXTURE_TOP_Z,
    Surface,
    hairline_height,
)
from .render import SKIN, TWO_SIDED, from_srgb, rasterize

TEXTURE_HEIGHT, TEXTURE_WIDTH = 768, 1024

# sRGB skin from light to dark; a person lies somewhere along it.
_SKIN_TONES = np.asarray(
    [(240, 205, 184), (230, 187, 160), (213, 163, 132), (188, 136, 104), (150, 102, 75), (114, 75, 55), (86, 56, 42)],
    np.float32,
) / 255  # fmt: skip
_HAIR_COLOURS = np.asarray(
    [(30, 24, 22), (46, 34, 28), (72, 48, 34), (106, 72, 46), (152, 112, 70), (196, 160, 110), (126, 62, 34),
     (168, 164, 160)], np.float32,
) / 255  # fmt: skip
_IRIS_COLOURS = np.asarray(
    [(84, 52, 30), (108, 70, 40), (122, 94, 56), (104, 122, 80), (98, 134, 162), (118, 152, 182), (62, 40, 28)],
    np.float32,
) / 255  # fmt: skip


@dataclass(frozen=True)
class Complexion:
    """Colours of one person, linear [3] each; `darkness` 0..1 of the skin; `beard` kind of beard or ""."""

    skin: np.ndarray
    hair: np.ndarray
    brow: np.ndarray
    iris: np.ndarray
    darkness: float
    beard: str
    age: float
    female: bool


def choose_complexion(traits: dict[str, float], rng: np.random.Generator) -> Complexion:
    """Skin, hair and eyes that go together for these traits (see `heads.HeadBank`)."""
    female = traits["gender"] > 0.5
    darkness = np.clip(0.10 + 0.85 * traits["african"] + 0.18 * traits["asian"] + rng.normal(0, 0.1), 0, 1)
    position = darkness * (len(_SKIN_TONES) - 1)
    low = min(int(position), len(_SKIN_TONES) - 2)
    skin = _SKIN_TONES[low] + (position - low) * (_SKIN_TONES[low + 1] - _SKIN_TONES[low])
    skin = np.clip(skin * (1 + rng.normal(0, 0.012, 3)), 0, 1)
    dark_person = darkness > 0.45 or traits["asian"] > 0.6
    odds = np.asarray([6, 5, 3, 1, 0.2, 0, 0.1, 0.3] if dark_person else [1, 2, 4, 4, 3, 2, 1.2, 0.5])
    hair = _HAIR_COLOURS[rng.choice(len(_HAIR_COLOURS), p=odds / odds.sum())] * rng.uniform(0.9, 1.15)
    if traits["age"] > 0.76 and rng.random() < 0.55:
        hair = hair + rng.uniform(0.4, 1.0) * (_HAIR_COLOURS[-1] * rng.uniform(0.9, 1.25) - hair)
    hair = from_srgb(np.clip(hair, 0, 1))
    odds = np.asarray([5, 4, 1, 0.3, 0.1, 0, 4] if dark_person else [2, 3, 2, 2, 2.5, 2, 0.5])
    iris = from_srgb(_IRIS_COLOURS[rng.choice(len(_IRIS_COLOURS), p=odds / odds.sum())])
    beard = "" if female else str(rng.choice(["", "stubble", "full", "goatee", "moustache", "short"],
                                             p=[0.34, 0.24, 0.13, 0.08, 0.06, 0.15]))  # fmt: skip
    brow = np.minimum(hair * 0.5, 0.085) * np.asarray([1.05, 0.95, 0.85])
    return Complexion(from_srgb(skin), hair, brow, iris, float(darkness), beard, traits["age"], female)


def _texel_points() -> tuple[np.ndarray, np.ndarray]:
    """Angle (radians) and height z (metres, template) of every texel, [H, W] each."""
    angle = (np.arange(TEXTURE_WIDTH, dtype=np.float32) / TEXTURE_WIDTH - 0.5) * 2 * np.pi
    z = TEXTURE_TOP_Z - np.arange(TEXTURE_HEIGHT, dtype=np.float32) / TEXTURE_HEIGHT * (
        TEXTURE_TOP_Z - TEXTURE_BOTTOM_Z
    )
    return np.broadcast_to(angle[None, :], (TEXTURE_HEIGHT, TEXTURE_WIDTH)), np.broadcast_to(
        z[:, None], (TEXTURE_HEIGHT, TEXTURE_WIDTH)
    )


def noise(rng: np.random.Generator, sigma: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
    """Smooth random field [H, W] of unit deviation that closes around the cylinder."""
    field = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode=("nearest", "wrap"))
    return field / (field.std() + 1e-9)


def smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def surface_maps(surface: Surface) -> dict[str, np.ndarray]:
    """Per-texel maps [H, W] shared by everybody: lips, ears, and template x of the outermost skin."""
    size = max(TEXTURE_HEIGHT, TEXTURE_WIDTH)
    screen = np.zeros((len(surface.template), 3), np.float32)
    screen[:, 0] = surface.texture_uv[:, 0] * TEXTURE_WIDTH
    screen[:, 1] = surface.texture_uv[:, 1] * TEXTURE_HEIGHT
    screen[:, 2] = 1 - np.hypot(surface.template[:, 0], surface.template[:, 1] - AXIS_Y)  # the outermost wins
    skin = surface.triangles[surface.materials == SKIN]
    extent = screen[skin, 0].max(1) - screen[skin, 0].min(1)
    skin = skin[(extent < TEXTURE_WIDTH / 3) & (surface.interior[skin].max(1) < 0.9)]
    sides = np.full(len(skin), TWO_SIDED, np.uint8)
    index, weights, _ = rasterize(screen, skin, sides, np.zeros(len(screen), np.float32), size)
    corners = skin[np.maximum(index, 0)]
    barycentric = np.stack([1 - weights.sum(-1), weights[..., 0], weights[..., 1]], -1)

    def spread(values: np.ndarray) -> np.ndarray:
        image = (values[corners] * barycentric).sum(-1) * (index >= 0)
        return image[:TEXTURE_HEIGHT, :TEXTURE_WIDTH].astype(np.float32)

    return {"lips": spread(surface.lips), "x": spread(surface.template[:, 0]), "ears": spread(surface.ears)}


def beard_cover(kind: str, angle: np.ndarray, z: np.ndarray) -> np.ndarray:
    """How densely a beard of this kind grows at template angle and height, 0..1."""
    reach = np.abs(angle)
    knots = np.radians([0, 8, 20, 30, 45, 60, 72, 90])
    line = np.interp(reach, knots, [0.684, 0.683, 0.676, 0.662, 0.662, 0.676, 0.725, 0.4])
    under = np.interp(reach, np.radians([0, 30, 70, 90]), [0.606, 0.610, 0.635, 0.9])
    full = smoothstep(line - z, -0.002, 0.007) * smoothstep(z - under, -0.003, 0.010)
    # The bare islands beside the lower lip and the groove under the nose.
    full = full * (1 - 0.85 * np.exp(-(((reach - 0.34) / 0.09) ** 2) - ((z - 0.6535) / 0.006) ** 2))
    moustache = smoothstep(z, 0.6655, 0.6690) * (reach < 0.52) * full
    around_chin = (reach < 0.40) * full
    return {"": 0 * full, "stubble": full, "full": full, "short": full, "moustache": moustache,
            "goatee": np.maximum(around_chin, moustache)}[kind]  # fmt: skip


def paint(maps: dict[str, np.ndarray], who: Complexion, shaven: float, hairline: float,
          rng: np.random.Generator) -> np.ndarray:  # fmt: skip
    """The texture [H, W, 6] float32. `shaven`: how much of the hair's colour the scalp shows (0 bald, 1 covered)."""
    shape = (TEXTURE_HEIGHT, TEXTURE_WIDTH)
    angle, z = _texel_points()
    x, lips = maps["x"], gaussian_filter(maps["lips"], 1.2)
    base, old = who.skin, float(np.clip((who.age - 0.64) / 0.22, 0, 1))
    colour = np.broadcast_to(base, (*shape, 3)).astype(np.float32).copy()
    fine, middle = noise(rng, (0.8, 0.8), shape), noise(rng, (3, 3), shape)
    mottled = 0.045 * noise(rng, (16, 16), shape) + 0.028 * middle + 0.022 * fine
    colour *= 1 + mottled[..., None] * np.asarray([0.8, 1.0, 1.1], np.float32)

    def blend(mask: np.ndarray, target: np.ndarray) -> None:
        colour[...] += mask[..., None] * (np.asarray(target, np.float32) - colour)

    def spot(x0: float, z0: float, rx: float, rz: float) -> np.ndarray:
        return np.exp(-(((np.abs(x) - x0) / rx) ** 2) - ((z - z0) / rz) ** 2) * (np.cos(angle) > 0.2)

    red = base * np.asarray([1.03, 0.70, 0.66], np.float32)
    shadow = base * np.asarray([0.70, 0.58, 0.60], np.float32)
    patchy = 1 + 0.25 * noise(rng, (7, 7), shape)
    blend(np.clip(rng.uniform(0.25, 0.6) * spot(0.042, 0.690, 0.018, 0.017) * patchy, 0, 1), red)  # cheeks
    blend(np.clip(rng.uniform(0.2, 0.5) * spot(0.0, 0.697, 0.013, 0.012) * patchy, 0, 1), red)  # nose
    blend(rng.uniform(0.15, 0.35 + 0.2 * old) * spot(0.030, 0.7155, 0.013, 0.005), shadow)  # under the eyes
    blend(rng.uniform(0.1, 0.3) * spot(0.0, 0.63, 0.02, 0.012), red)
    blend(rng.uniform(0.2, 0.55) * maps["ears"], red)
    lid = spot(0.031, 0.7375, 0.016, 0.0055)
    if who.female and rng.random() < 0.45:
        shadow_colour = base * rng.uniform(0.35, 0.75, 3).astype(np.float32)
        blend(rng.uniform(0.25, 0.6) * lid, shadow_colour)
    else:
        blend(rng.uniform(0.05, 0.2) * lid, shadow)
    if rng.random() < 0.3 and who.darkness < 0.5:  # freckles
        speckle = smoothstep(noise(rng, (1.2, 1.2), shape), 1.5, 2.4) * (spot(0.025, 0.70, 0.038, 0.022) + 0.12)
        blend(np.clip(0.6 * speckle, 0, 1), base * np.asarray([0.62, 0.44, 0.34], np.float32))
    for _ in range(rng.integers(0, 5)):  # moles
        mole = np.exp(
            -(((angle - rng.uniform(-0.8, 0.8)) / 0.012) ** 2) - ((z - rng.uniform(0.60, 0.78)) / 0.0012) ** 2
        )
        blend(0.75 * mole, base * np.asarray([0.35, 0.24, 0.2], np.float32))

    _paint_brows(blend, x, z, np.cos(angle) > 0.3, who, rng)

    bumps = 0.30 * fine + 0.22 * middle
    creases = _creases(x, z, angle, old, rng)
    bumps = bumps - 5.0 * creases
    blend(np.clip(0.16 * creases, 0, 0.5), shadow)
    gloss = np.full(shape, rng.uniform(0.035, 0.085), np.float32)
    gloss *= 1 + 1.2 * spot(0.0, 0.715, 0.012, 0.06) + 0.5 * spot(0.0, 0.79, 0.045, 0.02) + 0.4 * fine.clip(-1, 1)

    if who.beard:
        density = {"stubble": rng.uniform(0.25, 0.5), "short": 0.6, "full": 0.7}.get(who.beard, 0.6)
        cover = beard_cover(who.beard, angle, z) * (1 - np.clip(lips * 1.5, 0, 1)) * (np.cos(angle) > -0.2)
        grain = np.clip(0.65 + 0.40 * noise(rng, (0.8, 0.6), shape), 0, 1)
        blend(density * cover * grain, who.hair * 0.55 + base * 0.08)
        gloss *= 1 - 0.6 * cover

    lip_colour = base * np.asarray([0.95, 0.52, 0.51], np.float32) * rng.uniform(0.78, 0.98)
    made_up = who.female and rng.random() < 0.5
    if made_up:
        stick = from_srgb(np.asarray([rng.uniform(0.62, 0.82), rng.uniform(0.22, 0.42), rng.uniform(0.26, 0.42)]))
        lip_colour = 0.5 * lip_colour + 0.5 * stick * (1 - 0.4 * who.darkness)
    folds = noise(rng, (6, 0.9), shape)
    blend(np.clip(lips * 1.15, 0, 1) * 0.85, lip_colour)
    colour *= 1 + (0.06 * folds * lips)[..., None]
    bumps = bumps * (1 - lips) + 0.5 * folds * lips
    gloss = np.maximum(gloss, rng.uniform(0.12, 0.22 if not made_up else 0.4) * lips)

    # The scalp shows the hair's colour between its threads.
    points = np.stack([np.sin(angle), -np.cos(angle) + AXIS_Y, z], -1).reshape(-1, 3)
    height = hairline_height(points).reshape(shape) - hairline * np.clip(np.cos(angle) + 0.35, 0, 1)
    ragged = height + 0.004 * noise(rng, (5, 2.0), shape)
    scalp = smoothstep(ragged, -0.002, 0.016) * (1 - np.clip(maps["ears"] * 2, 0, 1))
    blend(shaven * scalp, who.hair * 0.50)
    gloss *= 1 - 0.7 * scalp * shaven
    smooth = gaussian_filter(bumps, 0.7)
    right, down = np.gradient(smooth, axis=1) * 0.16, np.gradient(smooth, axis=0) * 0.16
    return np.concatenate([np.clip(colour, 0, 1), np.stack([gloss, right, down], -1)], -1, dtype=np.float32)


def _paint_brows(
    blend, x: np.ndarray, z: np.ndarray, front: np.ndarray, who: Complexion, rng: np.random.Generator
) -> None:
    """Two brows of fine strokes; painted, because threads of half a millimetre would flicker at 256 pixels."""
    reach = np.abs(x)
    inner, outer = 0.0105 + rng.uniform(-0.001, 0.002), 0.047 + rng.uniform(-0.003, 0.002)
    t = np.clip((reach - inner) / (outer - inner), 0, 1)
    arch = rng.uniform(0.002, 0.006)
    middle = 0.7495 + rng.uniform(-0.001, 0.001) + arch * np.sin(np.pi * np.clip(t * 0.85, 0, 1)) - 0.0045 * t**2
    thick = (0.0024 if who.female else 0.0034) * rng.uniform(0.8, 1.3) * (1 - 0.65 * t**1.5)
    ragged = (z - middle) / thick + 0.16 * noise(rng, (0.9, 0.7), x.shape)
    body = 1 - smoothstep(np.abs(ragged), 0.55, 1.45)
    ends = smoothstep(reach, inner - 0.003, inner + 0.004) * (1 - smoothstep(reach, outer - 0.007, outer + 0.002))
    strokes = np.clip(0.85 + 0.20 * noise(rng, (1.1, 0.7), x.shape), 0, 1)
    blend(rng.uniform(0.7, 0.95) * body * ends * strokes * front, who.brow)


def _creases(x: np.ndarray, z: np.ndarray, angle: np.ndarray, old: float, rng: np.random.Generator) -> np.ndarray:
    """Lines of a face, 0 smooth to 1 deep, [H, W]: forehead, crow's feet, nasolabial folds, under the eyes."""
    reach, front = np.abs(x), np.cos(angle) > 0.25
    lines = np.zeros_like(x)
    wobble = 0.0012 * noise(rng, (12, 12), x.shape)
    for z0 in (0.772, 0.781, 0.790):
        line = np.exp(-(((z - z0 - wobble - rng.normal(0, 0.001) + 1.2 * reach**2) / 0.0009) ** 2))
        lines += old * rng.uniform(0.2, 0.8) * line * (reach < 0.042)
    for slope in (-0.35, 0.0, 0.35):
        start = reach - 0.0475
        line = np.exp(-(((z - 0.731 - slope * start - wobble) / 0.0007) ** 2))
        lines += old * rng.uniform(0.3, 0.9) * line * (start > 0) * (start < 0.014)
    # From the nose's wing to beside the mouth.
    t = np.clip((0.694 - z) / 0.034, 0, 1)
    fold = 0.0185 + 0.0125 * t**1.2
    lines += (
        (0.18 + 0.65 * old)
        * np.exp(-(((reach - fold - wobble) / 0.0013) ** 2))
        * (t > 0)
        * (t < 1)
        * np.sin(np.pi * np.clip(t * 0.9 + 0.1, 0, 1))
    )
    under = 0.7125 - 8.0 * (reach - 0.030) ** 2
    lines += old * rng.uniform(0.2, 0.6) * np.exp(-(((z - under) / 0.0009) ** 2)) * (np.abs(reach - 0.029) < 0.012)
    return np.clip(gaussian_filter(lines * front, 0.7), 0, 1).astype(np.float32)
