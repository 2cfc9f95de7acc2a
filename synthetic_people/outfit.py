"""What people wear: shirts with collars, jumpers, jackets, caps, headscarves and glasses, as meshes over the hull."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter

from .heads import AXIS_Y, Surface
from .hull import Hull, hull_coordinates, hull_points
from .render import CLOTH, CUT, SKIN, SOLID, TWO_SIDED, from_srgb

CLOTH_SIDE = 256  # texels of the repeating cloth
TEXELS_PER_METRE = 900.0


@dataclass(frozen=True)
class Piece:
    """A mesh that is worn. vertices [V, 3], triangles [F, 3] (numbered from 0), `material` and `side` of all of them,
    texels [V, 2], tints [V, 3], cuts [V] (see `render.rasterize`); `lens` triangles are drawn as glass with `sheen`.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    material: int
    side: int
    texels: np.ndarray
    tints: np.ndarray
    cuts: np.ndarray
    on_head: bool


@dataclass(frozen=True)
class Lenses:
    """Spectacle glass: vertices [V, 3], triangles [F, 3], sheen [V] linear."""

    vertices: np.ndarray
    triangles: np.ndarray
    sheen: np.ndarray


def _grid_triangles(rows: int, columns: int, closed: bool) -> np.ndarray:
    number = np.arange(rows * columns).reshape(rows, columns)
    right = np.roll(number, -1, 1) if closed else number[:, 1:]
    left = number if closed else number[:, :-1]
    a, b, c, d = left[:-1], right[:-1], left[1:], right[1:]
    first, second = np.stack([a, c, b], -1), np.stack([b, c, d], -1)
    return np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)]).astype(np.int32)


def _sheet(points: np.ndarray, tint: np.ndarray, on_head: bool, closed: bool, texels: np.ndarray | None = None,
           cuts: np.ndarray | None = None, material: int = CLOTH) -> Piece:  # fmt: skip
    """A piece from a grid of points [R, C, 3]."""
    rows, columns = points.shape[:2]
    flat = points.reshape(-1, 3)
    if texels is None:
        down, across = np.mgrid[0:rows, 0:columns]
        texels = np.stack([across * 4.0, down * 4.0], -1)
    tints = np.broadcast_to(np.asarray(tint, np.float32), (rows * columns, 3)).copy()
    return Piece(
        flat.astype(np.float32), _grid_triangles(rows, columns, closed), material,
        TWO_SIDED if cuts is None else CUT, texels.reshape(-1, 2).astype(np.float32), tints,
        np.ones(len(flat), np.float32) if cuts is None else cuts.reshape(-1).astype(np.float32), on_head,
    )  # fmt: skip


def make_cloth(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A repeating texture [C, C, 4] (linear colour over its mean, slope) and the mean colour linear [3]."""
    row, column = np.mgrid[0:CLOTH_SIDE, 0:CLOTH_SIDE].astype(np.float32)
    hue = rng.uniform(0, 2 * np.pi)
    value = rng.choice([rng.uniform(0.08, 0.25), rng.uniform(0.3, 0.6), rng.uniform(0.75, 0.95)])
    chroma = rng.uniform(0.0, 0.22) * (1 - 0.5 * (value > 0.7))
    colour = value + chroma * np.cos(hue + np.asarray([0, 2.1, 4.2]))
    mean = from_srgb(np.clip(colour, 0.03, 0.95))
    pattern = np.ones((CLOTH_SIDE, CLOTH_SIDE, 3), np.float32)
    slope = 0.06 * rng.standard_normal((CLOTH_SIDE, CLOTH_SIDE)).astype(np.float32)
    kind = str(rng.choice(["plain", "knit", "stripes", "checks", "melange", "dots"],
                          p=[0.38, 0.2, 0.14, 0.12, 0.1, 0.06]))  # fmt: skip
    second = from_srgb(np.clip(colour * rng.choice([0.45, 1.6]) + rng.normal(0, 0.06, 3), 0.03, 0.95)) / (mean + 0.01)
    if kind == "knit":
        slope = slope + 0.35 * np.sin(2 * np.pi * column / 8 + 0.9 * np.sin(2 * np.pi * row / 8))
    elif kind == "stripes":
        period = rng.choice([16, 32, 64])
        band = ((row if rng.random() < 0.5 else column) % period) < period * rng.uniform(0.2, 0.5)
        pattern[band] = second
    elif kind == "checks":
        period = rng.choice([16, 32, 64])
        amount = 0.5 * ((row % period) < period / 2) + 0.5 * ((column % period) < period / 2)
        pattern = pattern + amount[..., None] * (second - 1)
    elif kind == "melange":
        pattern *= (1 + 0.22 * gaussian_filter(rng.standard_normal(row.shape), (1, 3), mode="wrap") * 3)[..., None]
    elif kind == "dots":
        pattern[np.hypot(row % 32 - 16, column % 32 - 16) < rng.uniform(3, 6)] = second
    pattern *= (1 + 0.05 * rng.standard_normal(row.shape))[..., None]
    return np.concatenate([np.clip(pattern, 0, 6), slope[..., None]], -1).astype(np.float32), mean


def make_clothes(surface: Surface, rest: np.ndarray, normals: np.ndarray, hull: Hull, colour: np.ndarray,
                 rng: np.random.Generator, female: bool) -> list[Piece]:  # fmt: skip
    """A top and its collar over a body: `rest`, `normals` [V, 3] of the skin, `colour` linear [3]."""
    odds = [0.28, 0.14, 0.12, 0.2, 0.14, 0.12] if not female else [0.2, 0.28, 0.14, 0.12, 0.08, 0.18]
    kind = str(rng.choice(["crew", "scoop", "v", "shirt", "hoodie", "turtleneck"], p=odds))
    base = {"crew": 0.563, "scoop": 0.552, "v": 0.560, "shirt": 0.566, "hoodie": 0.560, "turtleneck": 0.572}[kind]
    dip = {"crew": 0.008, "scoop": 0.032, "v": 0.055, "shirt": 0.012, "hoodie": 0.02, "turtleneck": 0.0}[kind]
    dip *= rng.uniform(0.8, 1.2)
    power = {"v": 7, "shirt": 9}.get(kind, 2.2)
    thick = {"hoodie": 0.012, "shirt": 0.006}.get(kind, 0.0075)

    def neckline(angle: np.ndarray) -> np.ndarray:
        front = np.clip(np.cos(angle), 0, 1) ** power
        return base - dip * front + 0.012 * np.sin(angle) ** 2

    below = (surface.template[:, 2] < 0.64) & (surface.interior < 0.1)
    used = (surface.materials == SKIN) & below[surface.triangles].all(1)
    numbers, triangles = np.unique(surface.triangles[used], return_inverse=True)
    spread = normals[numbers] * thick
    place = rest[numbers] + spread
    angle = np.arctan2(place[:, 0], -(place[:, 1] - AXIS_Y))
    cuts = (neckline(angle) - rest[numbers][:, 2]) * 200
    across, down, _ = hull_coordinates(place)
    texels = np.stack([place[:, 0] * TEXELS_PER_METRE + 5000, place[:, 2] * TEXELS_PER_METRE + 5000], 1)
    fold = 1 + 0.10 * np.sin(9 * angle + 40 * place[:, 2] + rng.uniform(0, 6))
    tints = (np.asarray(colour) * fold[:, None]).astype(np.float32)
    pieces = [
        Piece(place.astype(np.float32), triangles.reshape(-1, 3).astype(np.int32), CLOTH, CUT,
              texels.astype(np.float32), tints, cuts.astype(np.float32), on_head=False)
    ]  # fmt: skip

    turns = 72
    angle = (np.arange(turns) / turns - 0.5) * 2 * np.pi
    across = 0.5 + angle / (2 * np.pi)

    def ring(z: np.ndarray, gap: float) -> np.ndarray:
        _, down, _ = hull_coordinates(np.stack([0 * z, 0 * z - 1, z], -1))
        return hull_points(across, down, hull.at(across, down, smooth=False) + gap)

    line = neckline(angle)
    steps = np.linspace(0, 1, 6)[:, None]
    if kind in ("crew", "scoop", "v"):
        band = 0.010 if kind != "crew" else 0.014
        rows = [
            ring(line - band * (1 - s) + 0.002 * s, thick + 0.0015 + 0.002 * np.sin(np.pi * s)) for s in steps[:, 0]
        ]
        pieces.append(_sheet(np.stack(rows), colour * 0.92, False, True))
    elif kind == "turtleneck":
        high = rng.uniform(0.025, 0.045)
        rows = [
            ring(line - 0.012 + (high + 0.012) * s, 0.006 + 0.003 * np.sin(np.pi * s)) for s in np.linspace(0, 1, 10)
        ]
        pieces.append(_sheet(np.stack(rows), colour, False, True))
    elif kind == "hoodie":
        rows = []
        for s in np.linspace(0, 1, 10):
            back = 0.5 - 0.5 * np.cos(angle)
            turn = np.pi * (s * 1.25 - 0.1)
            rows.append(ring(line - 0.012 + 0.030 * np.sin(turn) * (0.5 + 0.8 * back),
                             0.012 + (0.020 + 0.018 * back) * (1 - np.cos(turn)) / 2))  # fmt: skip
        pieces.append(_sheet(np.stack(rows), colour * 0.95, False, True))
    else:
        # A shirt's collar: a stand around the neck, then a leaf folded outwards with two points in front.
        opened = rng.uniform(0.06, 0.22)
        span = np.linspace(-np.pi + opened, np.pi - opened, 64)
        leaf_angle = span + np.pi
        angle = (leaf_angle + np.pi) % (2 * np.pi) - np.pi
        across = 0.5 + angle / (2 * np.pi)
        line = base - 0.004 + 0.010 * np.sin(angle) ** 2 - 0.016 * np.clip(np.cos(angle), 0, 1) ** 3
        point = np.exp(-(((np.abs(angle) - opened) / 0.30) ** 2))
        top = 0.030 - 0.008 * point
        rows = [ring(line + top * s, 0.0035 + 0.002 * s) for s in np.linspace(0, 1, 4)]
        leaf = 0.034 + 0.020 * point
        rows += [ring(line + top - leaf * s, 0.0065 + 0.009 * s) for s in np.linspace(0.03, 1, 6)]
        pieces.append(_sheet(np.stack(rows), colour * 1.05, False, False))
    return pieces


def make_beanie(hull: Hull, colour: np.ndarray, rng: np.random.Generator) -> list[Piece]:
    """A knitted cap over the crown."""
    columns = 72
    across = np.arange(columns) / columns
    angle = (across - 0.5) * 2 * np.pi
    brim = 0.400 + 0.045 * (1 - np.cos(angle)) + rng.uniform(-0.015, 0.01)
    rows = []
    thick = 0.010
    for s in np.linspace(0.012, 1, 22):
        down = brim * s
        radius = np.maximum(hull.at(across, down, smooth=True), hull.at(across, down)) + thick
        flat = np.clip(1 - s / 0.35, 0, 1)
        radius = radius + flat * (radius.mean() - 0.002 - radius)
        rows.append(hull_points(across, down, radius))
    rib = 1 + 0.16 * np.cos(36 * angle)
    body = _sheet(np.stack(rows), colour, True, True)
    cuff_rows = []
    for s in np.linspace(0, 1, 6):
        down = brim - 0.085 + 0.09 * s
        radius = np.maximum(hull.at(across, down, smooth=True), hull.at(across, down))
        cuff_rows.append(hull_points(across, down, radius + thick + 0.005 * np.sin(np.pi * min(1.0, s + 0.15))))
    cuff = _sheet(np.stack(cuff_rows), colour * 0.95, True, True)
    for piece in (body, cuff):
        piece.tints[:] *= np.tile(rib, len(piece.tints) // columns)[:, None]
    return [body, cuff]


def make_headscarf(hull: Hull, colour: np.ndarray, rng: np.random.Generator) -> list[Piece]:
    """A scarf around head and neck that leaves the face free."""
    columns = 120
    across = np.arange(columns) / columns
    angle = (across - 0.5) * 2 * np.pi
    rows = []
    downs = np.concatenate([np.linspace(0.01, 0.5, 26), np.linspace(0.515, 0.86, 26)])
    phase = rng.uniform(0, 6, 3)
    # Cloth spans from ridge to ridge: the widest radius nearby, smoothed.
    tight = gaussian_filter(
        maximum_filter(hull.radius, (17, 21), mode=("nearest", "wrap")), (7, 8), mode=("nearest", "wrap")
    )
    draped = Hull(np.maximum(tight, hull.radius * (hull.radius < 0.12)), tight)
    for down in downs:
        radius = draped.at(across, np.full(columns, down), smooth=True)
        low = np.clip((down - 0.60) / 0.15, 0, 1)
        # Below the chin cloth hangs straight instead of following the throat.
        radius = np.maximum(radius, (0.086 - 0.008 * np.abs(np.sin(angle))) * low)
        folds = 0.0035 * low * np.sin(3 * angle + 26 * down + phase[0]) + 0.002 * np.sin(
            16 * down + 2 * angle + phase[1]
        )
        rows.append(hull_points(across, np.full(columns, down), radius + 0.004 + folds))
    points = np.stack(rows)
    x, z = points[..., 0], points[..., 2]
    oval = (x / 0.064) ** 2 + ((z - 0.718) / np.where(z > 0.718, 0.083, 0.084)) ** 2 - 1
    cuts = np.where(np.cos(angle)[None] > 0.05, oval, 1.0)
    light = 1 + 0.10 * np.sin(26 * downs[:, None] + 3 * angle[None] + phase[2])
    sheet = _sheet(points, colour, True, True, cuts=cuts)
    sheet.tints[:] *= light.reshape(-1, 1)
    # Cloth under the chin rests on the chest.
    return [sheet]


def make_glasses(rest: np.ndarray, surface: Surface, rng: np.random.Generator) -> tuple[list[Piece], Lenses]:
    """Spectacles on a nose: two rims, a bridge, temples, and glass."""
    eyes = [rest[start:end] for start, end in surface.eyes]
    centres = np.stack([eye.mean(0) for eye in eyes])
    front = min(eye[:, 1].min() for eye in eyes) - 0.0125
    shape = str(rng.choice(["round", "rectangle", "oval", "wayfarer"]))
    width, height, squareness = {
        "round": (0.0225, 0.0225, 2.0), "rectangle": (0.0255, 0.0165, 4.5), "oval": (0.0245, 0.0185, 2.3),
        "wayfarer": (0.0260, 0.0205, 3.2),
    }[shape]  # fmt: skip
    width, height = width * rng.uniform(0.95, 1.08), height * rng.uniform(0.95, 1.1)
    tube = rng.choice([0.0007, 0.0014, 0.0020])
    metal = tube < 0.001
    colours = ["black", "brown", "gold", "silver", "red", "clear"]
    colour = str(rng.choice(colours, p=[0.4, 0.22, 0.12, 0.14, 0.06, 0.06]))
    tint = {"black": (0.012, 0.012, 0.014), "brown": (0.07, 0.035, 0.018), "gold": (0.50, 0.36, 0.14),
            "silver": (0.45, 0.45, 0.47), "red": (0.25, 0.03, 0.03), "clear": (0.45, 0.42, 0.38)}[colour]  # fmt: skip
    if metal and colour in ("red", "clear"):
        tint = (0.45, 0.45, 0.47)
    angles = np.arange(48) / 48 * 2 * np.pi
    cosine, sine = np.cos(angles), np.sin(angles)
    outline = np.stack([np.sign(cosine) * np.abs(cosine) ** (2 / squareness),
                        np.sign(sine) * np.abs(sine) ** (2 / squareness)], 1)  # fmt: skip
    if shape == "wayfarer":
        outline[:, 0] *= 1 + 0.10 * outline[:, 1]
    pieces, lens_points, lens_triangles, sheen = [], [], [], []
    slant = rng.uniform(-1, 1)
    strength = rng.choice([0.0, 0.008, 0.02])
    for centre in centres:
        middle = np.asarray([centre[0] * 1.03, front, centre[2] - 0.0035])
        rim = np.stack([middle[0] + outline[:, 0] * width, 0 * angles, middle[2] + outline[:, 1] * height], 1)
        rim[:, 1] = front + 2.2 * np.abs(rim[:, 0] - 0) ** 2 * 2.0 + 0.10 * (middle[2] - rim[:, 2])
        pieces.append(_tube(np.concatenate([rim, rim[:1]]), tube, tint))
        start = len(np.concatenate(lens_points)) if lens_points else 0
        lens_points.append(np.concatenate([rim.mean(0, keepdims=True), rim]))
        ring = start + 1 + np.arange(48)
        lens_triangles.append(np.stack([np.full(48, start), ring, np.roll(ring, -1)], 1))
        place = lens_points[-1] - middle
        sheen.append(strength * np.clip((slant * place[:, 0] + place[:, 2]) / 0.02 - 0.1, 0, 1.6))
    inner = [centres[:, 0].max() * 1.03 - width, centres[:, 0].min() * 1.03 + width]
    z = centres[:, 2].mean() - 0.0035 + 0.25 * height
    t = np.linspace(0, 1, 8)
    bridge = np.stack([inner[0] + (inner[1] - inner[0]) * t, front - 0.001 + 0 * t, z + 0.003 * np.sin(np.pi * t)], 1)
    pieces.append(_tube(bridge, tube, tint))
    for side in (-1, 1):
        outer = side * (np.abs(centres[:, 0]).mean() * 1.03 + width)
        begin = np.asarray([outer, front + 4.4 * outer**2, z + 0.15 * height])
        end = np.asarray([side * 0.078, AXIS_Y + 0.005, z + 0.006])
        t = np.linspace(0, 1, 10)[:, None]
        path = begin + (end - begin) * t
        path[:, 0] += side * 0.006 * np.sin(np.pi * t[:, 0] ** 0.7)
        pieces.append(_tube(path, max(tube, 0.0010), tint))
    lenses = Lenses(np.concatenate(lens_points).astype(np.float32), np.concatenate(lens_triangles).astype(np.int32),
                    np.concatenate(sheen).astype(np.float32))  # fmt: skip
    return pieces, lenses


def _tube(path: np.ndarray, radius: float, tint: tuple[float, float, float]) -> Piece:
    """A bent wire of `radius` metres along points [P, 3]."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    first = np.cross(tangent, np.asarray([0.05, 1.0, 0.08]))
    first /= np.linalg.norm(first, axis=1, keepdims=True) + 1e-9
    second = np.cross(tangent, first)
    around = np.arange(6) / 6 * 2 * np.pi
    ring = np.cos(around)[None, :, None] * first[:, None] + np.sin(around)[None, :, None] * second[:, None]
    return _sheet(path[:, None] + radius * ring, np.asarray(tint), True, True, material=SOLID)
