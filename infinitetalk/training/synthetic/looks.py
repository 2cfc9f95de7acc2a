"""How a synthetic head looks: skin, hair, brows, lips, clothes, light and background, all painted procedurally.

Colours are chosen in sRGB and kept in linear light. The head's texture is a cylinder (see
`heads.texture_coordinates`) with five channels: linear RGB, gloss, and hair strands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from infinitetalk.training.synthetic.heads import (
    AXIS_Y,
    TEXTURE_BOTTOM_Z,
    TEXTURE_TOP_Z,
    HeadBank,
    Surface,
    hairline_height,
)
from infinitetalk.training.synthetic.render import TWO_SIDED, Lighting, from_srgb, rasterize

TEXTURE_HEIGHT, TEXTURE_WIDTH = 768, 1024

# sRGB skin from light to dark; a person lies somewhere along it.
_SKIN_TONES = np.asarray(
    [(242, 206, 184), (232, 188, 160), (214, 164, 132), (190, 136, 102), (150, 100, 72), (112, 72, 52), (84, 54, 40)],
    np.float32,
) / 255  # fmt: skip
_HAIR_COLOURS = np.asarray(
    [(28, 22, 20), (44, 32, 26), (70, 46, 32), (104, 70, 44), (150, 108, 66), (190, 152, 100), (120, 58, 32),
     (150, 146, 142)], np.float32,
) / 255  # fmt: skip
_IRIS_COLOURS = np.asarray(
    [(70, 42, 24), (94, 60, 34), (110, 84, 50), (92, 110, 72), (90, 124, 150), (108, 140, 170), (50, 32, 22)],
    np.float32,
) / 255  # fmt: skip


@dataclass(frozen=True)
class Look:
    """One person's surface: `texture` [H, W, 5]; `palette` [6, 3] (see `render.shade`); `hair_thickness` metres [S].

    `rest` [V, 3] is the person's rest shape with the hair shell lifted off the scalp.
    """

    texture: np.ndarray
    palette: np.ndarray
    rest: np.ndarray


def _texel_points() -> np.ndarray:
    """Points on the template's axis cylinder for every texel: angle [H, W] radians and height z [H, W] metres."""
    angle = (np.arange(TEXTURE_WIDTH, dtype=np.float32) / TEXTURE_WIDTH - 0.5) * 2 * np.pi
    down = np.arange(TEXTURE_HEIGHT, dtype=np.float32) / TEXTURE_HEIGHT
    z = TEXTURE_TOP_Z - down * (TEXTURE_TOP_Z - TEXTURE_BOTTOM_Z)
    return np.stack(np.broadcast_arrays(angle[None, :], z[:, None]), -1)


def _noise(rng: np.random.Generator, sigma: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
    field = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode=("nearest", "wrap"))
    return field / (field.std() + 1e-9)


def _smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def surface_maps(surface: Surface) -> dict[str, np.ndarray]:
    """Per-texel maps [H, W] shared by everybody: the lips mask, and template x and y of the outermost skin."""
    size = max(TEXTURE_HEIGHT, TEXTURE_WIDTH)
    screen = np.zeros((len(surface.template), 3), np.float32)
    screen[:, 0] = surface.texture_uv[:, 0] * TEXTURE_WIDTH
    screen[:, 1] = surface.texture_uv[:, 1] * TEXTURE_HEIGHT
    radius = np.hypot(surface.template[:, 0], surface.template[:, 1] - AXIS_Y)
    screen[:, 2] = 1 - radius  # the outermost surface wins
    skin = surface.triangles[surface.materials == 0]
    extent = screen[skin, 0].max(1) - screen[skin, 0].min(1)
    skin = skin[(extent < TEXTURE_WIDTH / 3) & (surface.interior[skin].max(1) < 0.9)]
    index, weights = rasterize(screen, skin, np.full(len(skin), TWO_SIDED, np.uint8), size)
    corners = skin[np.maximum(index, 0)]
    barycentric = np.stack([1 - weights.sum(-1), weights[..., 0], weights[..., 1]], -1)

    def spread(values: np.ndarray) -> np.ndarray:
        image = (values[corners] * barycentric).sum(-1) * (index >= 0)
        return image[:TEXTURE_HEIGHT, :TEXTURE_WIDTH].astype(np.float32)

    return {"lips": spread(surface.lips), "x": spread(surface.template[:, 0]), "ears": spread(surface.ears)}


def _brow_mask(x: np.ndarray, z: np.ndarray, rng: np.random.Generator, female: bool) -> np.ndarray:
    """Two brows of fine strokes, [H, W] in 0..1, at template coordinates x and z (metres)."""
    reach = np.abs(x)
    inner, outer = 0.0115 + rng.uniform(-0.001, 0.0015), 0.046 + rng.uniform(-0.003, 0.002)
    t = np.clip((reach - inner) / (outer - inner), 0, 1)
    arch = rng.uniform(0.0025, 0.006)
    centre = 0.7505 + rng.uniform(-0.001, 0.001) + arch * np.sin(np.pi * np.clip(t * 0.85, 0, 1)) - 0.0045 * t**2
    thickness = (0.0028 if female else 0.0042) * rng.uniform(0.85, 1.25) * (1 - 0.65 * t**1.5)
    body = np.exp(-(((z - centre) / thickness) ** 2) * 1.3)
    ends = _smoothstep(reach, inner - 0.003, inner + 0.004) * (1 - _smoothstep(reach, outer - 0.006, outer + 0.002))
    strokes = 0.75 + 0.22 * _noise(rng, (1.2, 0.7), x.shape)
    return np.clip(body * ends * strokes, 0, 1)


def make_look(bank: HeadBank, maps: dict[str, np.ndarray], head_id: int, seed: int) -> Look:
    """Paint one person; the same (seed, head id) always looks the same."""
    rng = np.random.default_rng([seed, head_id, 23])
    surface, traits = bank.surface, bank.traits[head_id]
    female = traits["gender"] > 0.5
    shape = (TEXTURE_HEIGHT, TEXTURE_WIDTH)
    angle, z = np.moveaxis(_texel_points(), -1, 0)
    x, lips = maps["x"], gaussian_filter(maps["lips"], 1.2)

    darkness = np.clip(0.12 + 0.85 * traits["african"] + 0.2 * traits["asian"] + rng.normal(0, 0.1), 0, 1)
    position = darkness * (len(_SKIN_TONES) - 1)
    low = min(int(position), len(_SKIN_TONES) - 2)
    skin = _SKIN_TONES[low] + (position - low) * (_SKIN_TONES[low + 1] - _SKIN_TONES[low])
    skin = np.clip(skin * (1 + rng.normal(0, 0.012, 3).astype(np.float32)), 0, 1)
    dark_person = darkness > 0.45 or traits["asian"] > 0.6
    weights = np.asarray([6, 5, 3, 1, 0.2, 0, 0.1, 0.5] if dark_person else [1, 2, 4, 4, 3, 2, 1.2, 0.8])
    hair = _HAIR_COLOURS[rng.choice(len(_HAIR_COLOURS), p=weights / weights.sum())]
    hair = np.clip(hair * rng.uniform(0.85, 1.15), 0, 1)
    grey_hair = traits["age"] > 0.8 and rng.random() < 0.5
    if grey_hair:
        hair = hair * 0.4 + 0.6 * _HAIR_COLOURS[-1]

    base = from_srgb(skin)
    colour = np.broadcast_to(base, (*shape, 3)).copy()
    mottled = 0.035 * _noise(rng, (14, 14), shape) + 0.02 * _noise(rng, (3, 3), shape)
    mottled += 0.012 * _noise(rng, (1, 1), shape)
    colour *= 1 + mottled[..., None]

    def blend(mask: np.ndarray, target: np.ndarray) -> None:
        colour[...] += mask[..., None] * (np.asarray(target, np.float32) - colour)

    def spot(x0: float, z0: float, rx: float, rz: float) -> np.ndarray:
        front = np.cos(angle) > 0.2
        return np.exp(-(((np.abs(x) - x0) / rx) ** 2) - ((z - z0) / rz) ** 2) * front

    red = base * np.asarray([1.02, 0.68, 0.64], np.float32)
    blend(rng.uniform(0.25, 0.55) * spot(0.042, 0.690, 0.018, 0.017), red)  # cheeks
    blend(rng.uniform(0.15, 0.4) * spot(0.0, 0.697, 0.012, 0.012), red)  # nose
    blend(rng.uniform(0.1, 0.35) * spot(0.032, 0.7155, 0.014, 0.006), base * np.asarray([0.72, 0.62, 0.66], np.float32))
    blend(rng.uniform(0.1, 0.3) * spot(0.0, 0.63, 0.02, 0.012), red)
    blend(rng.uniform(0.2, 0.6) * maps["ears"], red)
    lid = spot(0.031, 0.7375, 0.016, 0.0055)
    blend(rng.uniform(0.1, 0.55 if female else 0.25) * lid, base * rng.uniform(0.45, 0.75, 3).astype(np.float32))
    if rng.random() < 0.3 and darkness < 0.5:  # freckles
        speckle = _smoothstep(_noise(rng, (1.3, 1.3), shape), 1.7, 2.6) * (spot(0.025, 0.70, 0.035, 0.02) + 0.15)
        blend(np.clip(0.5 * speckle, 0, 1), base * np.asarray([0.62, 0.45, 0.36], np.float32))
    gloss = np.full(shape, rng.uniform(0.05, 0.11), np.float32) * (1 + 0.8 * spot(0.0, 0.72, 0.012, 0.07))
    if not female and rng.random() < 0.55:  # stubble or a short beard
        below = _smoothstep(-hair_distance_to_beard(angle, z), -0.004, 0.012)
        mouth_gap = 1 - np.clip(lips * 1.5, 0, 1)
        grain = np.clip(0.6 + 0.35 * _noise(rng, (1.0, 0.7), shape), 0, 1)
        blend(rng.uniform(0.15, 0.7) * below * mouth_gap * grain, from_srgb(hair) * 0.9 + base * 0.1)

    lip_colour = base * np.asarray([0.92, 0.48, 0.47], np.float32) * rng.uniform(0.75, 1.0)
    if female and rng.random() < 0.5:
        stick = from_srgb(np.asarray([rng.uniform(0.6, 0.8), rng.uniform(0.2, 0.38), rng.uniform(0.25, 0.4)]))
        lip_colour = 0.45 * lip_colour + 0.55 * stick * (1 - 0.4 * darkness)
    blend(np.clip(lips * 1.15, 0, 1) * 0.9, lip_colour)
    gloss = np.maximum(gloss, rng.uniform(0.08, 0.2) * lips)

    brow_colour = from_srgb(hair) * 0.7 if not grey_hair else from_srgb(hair) * 0.5
    brow = _brow_mask(x, z, rng, female) * (np.cos(angle) > 0.3)
    blend(np.clip(rng.uniform(0.75, 0.95) * brow, 0, 1), brow_colour)

    # Hair painted on the scalp, so that the lifted shell never shows bare skin at its edge.
    points = np.stack([np.sin(angle), -np.cos(angle) + AXIS_Y, z], -1).reshape(-1, 3)
    height = hairline_height(points).reshape(shape)
    ragged = height + 0.0035 * _noise(rng, (5, 2.0), shape)
    scalp = _smoothstep(ragged, -0.003, 0.008) * (1 - np.clip(maps["ears"] * 2, 0, 1))
    strand = np.clip(0.5 + 0.16 * _noise(rng, (26, 1.0), shape) + 0.12 * _noise(rng, (12, 4), shape), 0, 1)
    bald = not female and rng.random() < 0.1
    buzz = not female and rng.random() < 0.15
    coverage = 0.25 if bald else 0.92
    blend(coverage * scalp, from_srgb(hair) * 0.8)
    gloss *= 1 - 0.6 * scalp * coverage

    # Clothes: everything below a neckline that dips in front.
    neckline = 0.548 - rng.uniform(0.0, 0.035) * np.clip(np.cos(angle), 0, 1) ** 2 + 0.03 * (np.abs(np.sin(angle)) ** 2)
    cloth = _smoothstep(neckline - z, -0.0015, 0.0015)
    cloth_colour = from_srgb(np.clip(rng.uniform(0.08, 0.85) + rng.normal(0, 0.15, 3), 0.04, 0.93))
    weave = 1 + 0.06 * _noise(rng, (2, 2), shape) + 0.07 * _noise(rng, (10, 18), shape)
    hem = 1 - 0.35 * np.exp(-(((neckline - z) / 0.004) ** 2))
    colour = colour * (1 - cloth[..., None]) + (weave * hem * cloth)[..., None] * cloth_colour
    gloss *= 1 - cloth

    thickness = 0.0 if bald else 0.003 if buzz else rng.uniform(0.010, 0.024)
    if female:
        thickness = rng.uniform(0.014, 0.026)
    rest = bank.rest[head_id].copy()
    rest[-len(surface.shell_source) :] = _lift_hair(surface, rest, thickness, rng)

    iris_weights = np.asarray([5, 4, 1, 0.3, 0.1, 0, 4] if dark_person else [2, 3, 2, 2, 2.5, 2, 0.5])
    iris = from_srgb(_IRIS_COLOURS[rng.choice(len(_IRIS_COLOURS), p=iris_weights / iris_weights.sum())])
    palette = np.stack([
        from_srgb(hair), from_srgb(hair) * 0.12, iris, iris * 0.3,
        from_srgb(np.asarray([0.90, 0.87, 0.85])), from_srgb(np.asarray([0.90, 0.86, 0.78]) * rng.uniform(0.9, 1.02)),
    ])  # fmt: skip
    texture = np.concatenate([np.clip(colour, 0, 1), gloss[..., None], strand[..., None]], -1)
    return Look(np.ascontiguousarray(texture, np.float32), palette.astype(np.float32), rest.astype(np.float32))


def hair_distance_to_beard(angle: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Metres above the line where a beard ends (negative inside it), for template angle and height."""
    reach = np.abs(angle)
    knots = np.radians([0, 8, 20, 30, 45, 60, 72, 90])
    line = np.interp(reach, knots, [0.682, 0.681, 0.672, 0.662, 0.664, 0.676, 0.72, 0.4])
    under = np.interp(reach, np.radians([0, 30, 70, 90]), [0.600, 0.605, 0.63, 0.9])
    return np.maximum(z - line, under - z)


def _lift_hair(surface: Surface, rest: np.ndarray, thickness: float, rng: np.random.Generator) -> np.ndarray:
    """Vertices [S, 3] of the hair shell: the scalp moved outwards, thicker on top, with gentle locks."""
    from infinitetalk.training.synthetic.render import SKIN, vertex_normals

    skin = surface.triangles[surface.materials == SKIN]
    normals = vertex_normals(rest, skin)[surface.shell_source]
    source = surface.template[surface.shell_source]
    angle = np.arctan2(source[:, 0], -(source[:, 1] - AXIS_Y))
    top = _smoothstep(source[:, 2], 0.72, 0.84)
    parting = rng.uniform(-0.6, 0.6)
    locks = 1 + 0.10 * np.sin(9 * angle + rng.uniform(0, 6)) + 0.08 * np.sin(17 * angle + 40 * source[:, 2])
    locks -= 0.30 * np.exp(-(((angle - parting) / 0.14) ** 2)) * top
    lift = thickness * surface.shell_height * (0.55 + 0.75 * top) * locks - 0.0012 * (1 - surface.shell_height)
    return rest[surface.shell_source] + normals * lift[:, None]


def make_lighting(rng: np.random.Generator) -> Lighting:
    """A soft key light from the front and above, somewhere left or right, with a fill and a bright room."""
    side = rng.uniform(-0.9, 0.9)
    key = np.asarray([side, -1.0, rng.uniform(0.15, 0.75)])
    fill = np.asarray([-np.sign(side) * rng.uniform(0.4, 1.2), -0.8, rng.uniform(-0.3, 0.3)])
    warmth = rng.normal(0, 0.05)
    tint = np.asarray([1 + warmth, 1.0, 1 - warmth])
    cool = np.asarray([1 - warmth, 1.0, 1 + warmth])
    strength = rng.uniform(0.62, 0.85)
    return Lighting(
        key_direction=(key / np.linalg.norm(key)).astype(np.float32),
        key=(strength * tint).astype(np.float32),
        fill_direction=(fill / np.linalg.norm(fill)).astype(np.float32),
        fill=(rng.uniform(0.12, 0.3) * cool).astype(np.float32),
        sky=(rng.uniform(0.25, 0.38) * cool).astype(np.float32),
        ground=(rng.uniform(0.10, 0.2) * tint).astype(np.float32),
    )


def make_background(rng: np.random.Generator, side: int) -> np.ndarray:
    """A blurred room, street or studio wall, linear [side, side, 3] float32: nothing in it looks like a person."""
    row, column = np.mgrid[0:side, 0:side].astype(np.float32) / side
    tone = rng.uniform(0.15, 0.8)
    first = np.clip(tone + rng.normal(0, 0.055, 3), 0.03, 0.97)
    second = np.clip(tone * rng.uniform(0.5, 1.3) + rng.normal(0, 0.055, 3), 0.03, 0.97)
    direction = rng.uniform(0, 2 * np.pi)
    ramp = np.cos(direction) * (row - 0.5) + np.sin(direction) * (column - 0.5)
    ramp = _smoothstep(ramp, -rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.8))[..., None]
    picture = first * (1 - ramp) + second * ramp
    kind = rng.choice(["studio", "room", "bokeh", "street"], p=[0.3, 0.3, 0.2, 0.2])
    if kind == "studio":
        centre = rng.uniform(0.2, 0.8, 2)
        glow = np.exp(-(((row - centre[0]) ** 2 + (column - centre[1]) ** 2) / rng.uniform(0.1, 0.4)))
        picture = picture + glow[..., None] * rng.uniform(0.05, 0.25)
    elif kind == "room":
        for _ in range(rng.integers(4, 12)):  # furniture, frames, windows
            top, left = rng.uniform(-0.2, 0.9, 2)
            inside = (row > top) & (row < top + rng.uniform(0.1, 0.7))
            inside &= (column > left) & (column < left + rng.uniform(0.05, 0.4))
            paint = np.clip(tone + rng.normal(0, 0.17) + rng.normal(0, 0.06, 3), 0.03, 0.97)
            picture[inside] = picture[inside] * 0.25 + 0.75 * paint
    elif kind == "street":
        columns = gaussian_filter(rng.standard_normal((1, side)).astype(np.float32), (0, side / 24), mode="nearest")
        columns = columns / columns.std()
        horizon = rng.uniform(0.45, 0.8)
        upper = _smoothstep(horizon - row, -0.02, 0.02)
        picture = picture + (0.10 * columns * upper)[..., None] - ((1 - upper) * 0.12)[..., None]
        for _ in range(rng.integers(3, 9)):
            centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.03, 0.16)
            leaf = np.exp(-((((row - centre[0]) ** 2 + (column - centre[1]) ** 2) / radius**2) ** 2))
            green = np.clip(np.asarray([0.25, 0.4, 0.2]) + rng.normal(0, 0.07, 3), 0, 1)
            picture += 0.7 * leaf[..., None] * (green - picture)
    picture = np.stack([gaussian_filter(picture[..., c], side * rng.uniform(0.008, 0.03)) for c in range(3)], -1)
    if kind == "bokeh":
        for _ in range(rng.integers(10, 30)):
            centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.02, 0.07)
            disc = 1 - _smoothstep(np.hypot(row - centre[0], column - centre[1]), radius * 0.85, radius * 1.05)
            warm = np.asarray([1.0, 0.88, 0.7])
            light = np.clip(warm * rng.uniform(0.5, 1.0) + rng.normal(0, 0.08, 3), 0, 1)
            picture += (rng.uniform(0.15, 0.5) * disc)[..., None] * (light - picture)
    grain = gaussian_filter(rng.standard_normal((side, side)).astype(np.float32), 0.6)
    picture = picture * (1 + 0.02 * rng.random() * (grain / grain.std())[..., None])
    return from_srgb(np.clip(picture, 0, 1))


def enlarge(picture: np.ndarray, factor: int) -> np.ndarray:
    """Bilinear enlargement of [S, S, 3] to sample resolution."""
    side = picture.shape[0] * factor
    place = (np.arange(side, dtype=np.float32) + 0.5) / factor - 0.5
    grid = np.meshgrid(place, place, indexing="ij")
    return np.stack([map_coordinates(picture[..., c], grid, order=1, mode="nearest") for c in range(3)], -1)
