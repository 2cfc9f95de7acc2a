"""Hair as ribbons: a few thousand threads grown over the head, thick enough to be seen, with gaps to the skin.

A `Style` says how long, which way and how curly; `grow` lets it fall over the hull. Beards are ribbons too, but rooted in
the face and carried by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from infinitetalk.training.synthetic.heads import AXIS_Y, Surface, hairline_height
from infinitetalk.training.synthetic.hull import EQUATOR_Z, Hull, kept_close, pushed_out
from infinitetalk.training.synthetic.render import SKIN


@dataclass(frozen=True)
class Ribbons:
    """N threads of P points as flat ribbons.

    points: [N, P, 3] metres. widths: [N, P] metres. tints: [N, P, 3] linear. follow_face: whether roots move with it.
    root_triangles [N], root_weights [N, 3]: where on the surface each one stands.
    """

    points: np.ndarray
    widths: np.ndarray
    tints: np.ndarray
    root_triangles: np.ndarray
    root_weights: np.ndarray
    follow_face: bool


@dataclass(frozen=True)
class Style:
    """A hair style.

    count: threads. top, side: lengths in metres on the crown and beside the ears. volume: metres between scalp and
    hair. comb: which way it is laid on the crown: "parted", "forward", "back", "up", "out", "tied". parting: metres
    from the middle. gravity: 0 stiff to 1 hanging. mess: radians of disorder. curl: metres of a curl's radius, and
    `turn` metres of length per curl. fringe: whether it hangs onto the forehead. bun: metres of a knot's radius.
    hairline: metres it has receded.
    """

    name: str
    count: int
    top: float
    side: float
    volume: float
    comb: str
    parting: float = 0.0
    gravity: float = 0.5
    mess: float = 0.12
    curl: float = 0.0
    turn: float = 0.05
    fringe: bool = False
    bun: float = 0.0
    hairline: float = 0.0
    width: float = 0.0013
    points: int = 9


def choose_style(rng: np.random.Generator, female: bool, age: float, african: float) -> Style:
    """A style that a person may well have; every number varies a little."""
    parting = float(rng.choice([-1, 1]) * rng.uniform(0.015, 0.04))
    curly = rng.random() < 0.15 + 0.6 * african
    vary = rng.uniform(0.85, 1.2)
    if female:
        names = ["long", "bob", "wavy", "bun", "curls", "pixie", "afro", "fringe"]
        odds = [2.2, 1.6, 1.8, 1.8, 1.0, 0.9, 0.2, 1.3] if not curly else [0.5, 0.5, 0.8, 1.6, 3.0, 0.5, 2.2, 0.3]
    else:
        names = ["short", "sidepart", "quiff", "buzz", "back", "crop", "curls-short", "bald", "receding", "mid"]
        odds = [2, 2, 1.6, 1.0, 1.2, 1.6, 0.4, 0.4, 0.7 * (age > 0.72), 0.7]
        if curly:
            odds = [1.0, 0.3, 0.6, 2.2, 0.2, 1.6, 2.4, 0.7, 0.5 * (age > 0.72), 0.1]
    name = str(rng.choice(names, p=np.asarray(odds) / np.sum(odds)))
    line = float(rng.uniform(-0.011, 0.001))
    styles = {
        "long": Style(name, 1500, 0.36, 0.36, 0.012, "parted", parting * rng.choice([0, 1]), 0.85, 0.06, points=14),
        "bob": Style(name, 1500, 0.22 * vary, 0.17 * vary, 0.014, "parted", parting, 0.85, 0.06, points=12),
        "wavy": Style(name, 1500, 0.33, 0.33, 0.016, "parted", parting, 0.8, 0.10, 0.008, 0.11, points=18, width=0.0015),
        "fringe": Style(name, 1700, 0.30 * vary, 0.30, 0.012, "parted", 0.0, 0.85, 0.05, fringe=True, points=13),
        "bun": Style(name, 1500, 0.15, 0.13, 0.005, "tied", parting, 0.0, 0.04, bun=0.036 * vary, points=10),
        "curls": Style(name, 1300, 0.20 * vary, 0.19 * vary, 0.02, "parted", parting, 0.6, 0.3, 0.010, 0.040, points=26,
                       width=0.0020),
        "pixie": Style(name, 1900, 0.075, 0.035, 0.010, "parted", parting, 0.5, 0.14),
        "afro": Style(name, 2400, 0.065 * vary, 0.055 * vary, 0.0, "out", 0, 0.05, 0.5, 0.005, 0.016, points=14,
                      width=0.0016),
        "short": Style(name, 2300, 0.040 * vary, 0.014, 0.008, "forward", 0, 0.25, 0.28, points=7),
        "sidepart": Style(name, 2000, 0.075 * vary, 0.020, 0.010, "parted", parting, 0.30, 0.10),
        "quiff": Style(name, 2100, 0.060 * vary, 0.013, 0.018, "up", parting, 0.15, 0.16),
        "back": Style(name, 1900, 0.085 * vary, 0.035, 0.009, "back", 0, 0.2, 0.07),
        "crop": Style(name, 2500, 0.020 * vary, 0.008, 0.005, "forward", 0, 0.1, 0.35, points=5),
        "buzz": Style(name, 2600, 0.0055, 0.0045, 0.001, "forward", 0, 0.0, 0.4, points=3, width=0.0010),
        "curls-short": Style(name, 2000, 0.045 * vary, 0.018, 0.006, "out", 0, 0.15, 0.5, 0.005, 0.018, points=14),
        "mid": Style(name, 1700, 0.13 * vary, 0.09, 0.014, "parted", parting, 0.65, 0.10, 0.004, 0.10, points=12),
        "receding": Style(name, 1900, 0.03, 0.013, 0.005, "back", 0, 0.1, 0.2, hairline=0.030, points=6),
        "bald": Style(name, 700, 0.004, 0.0035, 0.0, "forward", 0, 0.0, 0.4, hairline=0.085, points=3, width=0.0008),
    }  # fmt: skip
    style = styles[name]
    return Style(**{**style.__dict__, "hairline": style.hairline + line})


def sample_roots(surface: Surface, allowed: np.ndarray, count: int, rng: np.random.Generator):
    """Points spread over the triangles whose vertices are all `allowed` [V]: triangle numbers [N] and weights [N, 3]."""
    triangles = np.flatnonzero((surface.materials == SKIN) & allowed[surface.triangles].all(1))
    corners = surface.template[surface.triangles[triangles]]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = triangles[np.searchsorted(np.cumsum(area) / area.sum(), rng.random(count))]
    pair = np.sort(rng.random((count, 2)), axis=1)
    weights = np.stack([pair[:, 0], pair[:, 1] - pair[:, 0], 1 - pair[:, 1]], 1)
    return chosen, weights.astype(np.float32)


def on_surface(values: np.ndarray, surface: Surface, triangles: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values [V, C] of the surface's vertices at sampled roots, [N, C]."""
    return np.einsum("nkc,nk->nc", values[surface.triangles[triangles]], weights)


def _comb_direction(style: Style, template: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Where hair is laid at each root, [N, 3], not yet in the surface."""
    x, y, z = template.T
    top = np.clip((z - 0.74) / 0.10, 0, 1)
    away = np.sign(x - style.parting) * np.clip(np.abs(x - style.parting) / 0.006, 0.2, 1)
    down = np.stack([0 * x, 0 * x, -np.ones_like(x)], 1)
    ahead = np.clip((-(y - AXIS_Y) - 0.02) / 0.07, 0, 1)
    laid = {
        "parted": np.stack([away, 0.15 + 0.75 * ahead, 0 * x], 1),
        "forward": np.stack([0.25 * np.sign(x), -np.ones_like(x), -0.1 + 0 * x], 1),
        "back": np.stack([0.25 * np.sign(x), np.ones_like(x), 0 * x], 1),
        "up": np.stack([0.5 * away, 0.75 - 0.4 * ahead, 0.9 + 0 * x], 1),
        "out": normal,
        "tied": np.asarray([0.0, 0.045, 0.86]) - template,
    }[style.comb]
    if style.comb in ("out", "tied"):
        return laid
    if style.comb == "parted" and style.side < 0.05:  # a short side parting: everything on top goes one way
        laid = np.stack([-np.sign(style.parting) * np.where(x * np.sign(style.parting) > abs(style.parting), -0.8, 1.0), 0.30 + 0.3 * ahead, 0 * x], 1)
    back = np.stack([0 * x, 0.25 + 0 * x, -0.9 + 0 * x], 1)
    return laid * top[:, None] + (0.4 * down + 0.6 * back) * (1 - top[:, None])


def grow(
    style: Style, surface: Surface, rest: np.ndarray, normals: np.ndarray, hull: Hull, colour: np.ndarray,
    rng: np.random.Generator,
) -> Ribbons:  # fmt: skip
    """The hair of one person: `rest` and `normals` [V, 3] of the skin, `colour` linear [3]."""
    height = hairline_height(surface.template) - style.hairline * _front(surface.template)
    allowed = (height > -0.006) & (surface.ears < 0.25) & (surface.template[:, 2] > 0.63)
    where, weights = sample_roots(surface, allowed, style.count, rng)
    root = on_surface(rest, surface, where, weights)
    template = on_surface(surface.template, surface, where, weights)
    normal = on_surface(normals, surface, where, weights)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    edge = hairline_height(template) - style.hairline * _front(template)
    dense = rng.random(len(root)) < np.clip((edge + 0.006 + rng.normal(0, 0.002, len(root))) / 0.010, 0, 1)
    where, weights, root, template, normal = (a[dense] for a in (where, weights, root, template, normal))

    count, points = len(root), style.points
    top = np.clip((template[:, 2] - 0.735) / 0.075, 0, 1)
    top = top * top * (3 - 2 * top)
    length = (style.side + (style.top - style.side) * top) * rng.uniform(0.75, 1.1, count)
    # Near the hairline threads are finer and shorter, unless they are long enough to be combed.
    depth_in = np.clip((hairline_height(template) - style.hairline * _front(template)) / 0.02, 0.0, 1)
    if style.comb not in ("parted", "tied") or style.top < 0.1:
        length *= 0.45 + 0.55 * depth_in
    comb = _comb_direction(style, template, normal)
    fringe = np.zeros(count, bool)
    if style.fringe:
        fringe = (template[:, 1] < -0.085) & (np.abs(template[:, 0]) < 0.052) & (template[:, 2] > 0.79)
        comb[fringe] = np.stack([0.6 * template[fringe, 0] / 0.05, -np.ones(fringe.sum()), 0 * comb[fringe, 0]], 1)
        length[fringe] = rng.uniform(0.072, 0.092) + rng.normal(0, 0.004, fringe.sum())
    if style.comb == "tied":
        length = np.linalg.norm(comb, axis=1) * rng.uniform(0.95, 1.05, count)
    clumps = rng.normal(0, 1, (90, 3))
    clump = rng.integers(0, 90, count)
    near = np.argmin(((template[:, None] - template[rng.choice(count, min(90, count), replace=False)][None]) ** 2).sum(-1), 1)
    clump = near
    comb = comb / (np.linalg.norm(comb, axis=1, keepdims=True) + 1e-9)
    # At the hairline hair is combed away from the face.
    edge_in = np.clip(1 - depth_in * 1.5, 0, 1) * (style.comb in ("parted", "back") and not style.fringe)
    comb[:, 1] += 0.8 * edge_in
    comb += style.mess * (1 - 0.7 * edge_in[:, None]) * (0.75 * clumps[clump] + 0.5 * rng.normal(0, 1, (count, 3)))
    comb -= 0.9 * (comb * normal).sum(1, keepdims=True) * normal * (style.comb != "out")
    comb /= np.linalg.norm(comb, axis=1, keepdims=True) + 1e-9

    lift = {"up": 1.2, "out": 2.0, "tied": 0.15, "back": 0.5}.get(style.comb, 0.55)
    direction = comb + lift * normal
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    layer = rng.random(count) ** 0.7  # how far out in the hair's thickness a thread lies
    offset = 0.0012 + style.volume * layer * (0.35 + 0.65 * top) * np.clip(depth_in, 0.15, 1)
    path = np.empty((count, points, 3))
    path[:, 0] = root - 0.0005 * normal
    step = (length / (points - 1))[:, None]
    down = np.asarray([0.0, 0.0, -1.0])
    for p in range(1, points):
        share = p / (points - 1)
        bend = style.gravity * (0.25 + 0.75 * share) * np.minimum(1.0, step / 0.012)
        aim = comb * (1 - share * 0.5) + down * 0.0
        direction = direction + 0.35 * (aim - direction) * (style.gravity < 0.7)
        direction = direction * (1 - 0.55 * bend) + down * 0.55 * bend
        if style.gravity > 0.6:
            # Long hair falls along the head and is kept out of the face.
            falling = path[:, p - 1, 2] < 0.76
            outwards = np.sign(path[:, p - 1, 0]) * np.clip(0.055 - np.abs(path[:, p - 1, 0]), 0, 0.05) / 0.05
            front = path[:, p - 1, 1] < -0.07
            direction[:, 0] += 0.9 * outwards * falling * front * ~fringe
            direction[:, 1] += 0.5 * falling * front * ~fringe
        direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
        following = path[:, p - 1] + step * direction
        following = pushed_out(hull, following, offset * min(1.0, 0.35 + 1.2 * share) + 0.001)
        if style.comb in ("parted", "back"):
            following = kept_close(hull, following, 1.6 * offset + 0.007 + 0.25 * style.curl)
        direction = following - path[:, p - 1]
        direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
        path[:, p] = path[:, p - 1] + step * direction
    if style.comb == "tied":
        # Drawn tight over the head to where it is tied.
        share = np.linspace(0, 1, points)[None, :, None]
        knot = np.asarray([0.0, 0.045, 0.86]) + rng.normal(0, 0.006, (count, 1, 3))
        path = root[:, None] + share * (knot - root[:, None])
        sag = 0.010 * np.sin(np.pi * share) * rng.normal(0, 0.4, (count, 1, 3))
        flat = pushed_out(hull, (path + sag)[:, 1:].reshape(-1, 3), np.repeat(offset, points - 1))
        path[:, 1:] = flat.reshape(count, points - 1, 3)
    path = gaussian_filter1d(path, 0.8, axis=1, mode="nearest")
    path[:, 0] = root - 0.0005 * normal
    if style.curl:
        path = _curled(path, length, style, clump, rng)
    if style.gravity > 0.6 and not style.curl:
        wave = 0.0035 * np.sin(np.cumsum(np.full((count, points), 1.0), 1) * 0.8 + 6 * clumps[clump, :1])
        path[:, :, 0] += wave * np.linspace(0, 1, points) * ~fringe[:, None]

    share = np.linspace(0, 1, points)
    taper = 1 - 0.75 * share**3
    widths = style.width * rng.uniform(0.6, 1.3, (count, 1)) * taper
    if style.bun:
        path, widths, where, weights, near = _with_bun(style, path, widths, where, weights, near, rng)
    tone = np.exp(rng.normal(0, 0.16, (len(path), 1, 1)) + rng.normal(0, 0.10, 90)[near % 90][:, None, None])
    root_dark = 0.62 + 0.38 * np.clip(share * 2.2, 0, 1)[None, :, None]
    warm = 1 + rng.normal(0, 0.03, (len(path), 1, 3))
    tints = np.clip(colour * tone * root_dark * warm, 0, 1)
    return Ribbons(path, widths, tints, where, weights, follow_face=False)


def _front(template: np.ndarray) -> np.ndarray:
    """1 at the forehead and temples to 0 behind the ears: where hairlines recede."""
    return np.clip((-(template[:, 1] - AXIS_Y) + 0.035) / 0.06, 0, 1) * np.clip((template[:, 2] - 0.70) / 0.06, 0, 1)


def _curled(path: np.ndarray, length: np.ndarray, style: Style, clump: np.ndarray, rng: np.random.Generator):
    """Threads [N, P, 3] wound around themselves, neighbours together."""
    count, points = path.shape[:2]
    tangent = np.gradient(path, axis=1)
    tangent /= np.linalg.norm(tangent, axis=2, keepdims=True) + 1e-9
    side = np.cross(tangent, np.asarray([0.3, 0.5, 0.8]))
    side /= np.linalg.norm(side, axis=2, keepdims=True) + 1e-9
    other = np.cross(tangent, side)
    along = length[:, None] * np.linspace(0, 1, points)
    phases = rng.uniform(0, 2 * np.pi, clump.max() + 1)[clump] + rng.normal(0, 0.6, count)
    phase = 2 * np.pi * along / (style.turn * rng.uniform(0.85, 1.2, (count, 1))) + phases[:, None]
    size = style.curl * np.minimum(1, along / 0.02) * rng.uniform(0.7, 1.3, (count, 1))
    return path + size[..., None] * (np.cos(phase)[..., None] * side + np.sin(phase)[..., None] * other)


def _with_bun(style, path, widths, where, weights, near, rng):
    """A knot of wound hair where tied hair ends."""
    count, points = 420, path.shape[1]
    centre = np.asarray([0.0, 0.045, 0.872 + 0.55 * style.bun])
    axis = rng.normal(0, 1, (count, 3)) * 0.35 + np.asarray([0, 0.35, 1.0])
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    first = np.cross(axis, np.asarray([0.2, 1.0, 0.1]))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(axis, first)
    start, sweep = rng.uniform(0, 2 * np.pi, (count, 1)), rng.uniform(1.5, 3.0, (count, 1))
    angle = start + sweep * np.linspace(0, 1, points)
    tilt = rng.uniform(-0.95, 0.95, (count, 1)) * style.bun
    ring = np.sqrt(np.maximum(style.bun**2 - tilt**2, 1e-6)) * rng.uniform(0.88, 1.05, (count, 1))
    coil = centre + tilt[..., None] * axis[:, None] + (ring * np.cos(angle))[..., None] * first[:, None]
    coil = coil + (ring * np.sin(angle))[..., None] * second[:, None]
    pick = rng.integers(0, len(path), count)
    return (np.concatenate([path, coil]), np.concatenate([widths, np.full((count, points), style.width * 1.6)]),
            np.concatenate([where, where[pick]]), np.concatenate([weights, weights[pick]]),
            np.concatenate([near, near[pick]]))  # fmt: skip


def grow_beard(surface: Surface, rest: np.ndarray, normals: np.ndarray, colour: np.ndarray, kind: str, length: float,
               coverage, rng: np.random.Generator) -> Ribbons:  # fmt: skip
    """A beard of `length` metres; `coverage(angle, z)` → 0..1 says where it grows (see `skin.beard_cover`)."""
    template = surface.template
    allowed = (template[:, 2] > 0.59) & (template[:, 2] < 0.74) & (template[:, 1] < 0.02) & (surface.interior < 0.1)
    allowed &= surface.lips < 0.35
    where, weights = sample_roots(surface, allowed, 6500, rng)
    place = on_surface(template, surface, where, weights)
    angle = np.arctan2(place[:, 0], -(place[:, 1] - AXIS_Y))
    kept = np.flatnonzero(rng.random(len(place)) < 0.8 * coverage(kind, angle, place[:, 2]))[:2200]
    where, weights, place, angle = where[kept], weights[kept], place[kept], angle[kept]
    root = on_surface(rest, surface, where, weights)
    normal = on_surface(normals, surface, where, weights)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    lay = np.stack([0.3 * np.sin(angle), -0.15 * np.cos(angle), -np.ones_like(angle)], 1) + 0.25 * normal
    lay += rng.normal(0, 0.25, lay.shape)
    # A moustache is parted under the nose.
    moustache = (place[:, 2] > 0.668) & (np.abs(angle) < 0.42)
    lay[moustache] += np.stack([1.4 * np.sign(place[moustache, 0]), 0 * angle[moustache], 0.2 + 0 * angle[moustache]], 1)
    lay -= 0.75 * np.minimum(0.3, (lay * normal).sum(1, keepdims=True)) * normal
    lay /= np.linalg.norm(lay, axis=1, keepdims=True)
    size = length * rng.uniform(0.5, 1.1, (len(place), 1))
    size[moustache] = np.minimum(size[moustache], 0.009)
    share = np.linspace(0, 1, 4)[None, :, None]
    path = root[:, None] + share * size[..., None] * lay[:, None] + (0.0003 + 0.12 * size[..., None] * share) * normal[:, None]
    widths = np.broadcast_to(np.asarray([0.0009, 0.0009, 0.0008, 0.0003]), path.shape[:2])
    tints = np.broadcast_to(colour, path.shape) * np.exp(rng.normal(0, 0.2, (len(place), 1, 1)))
    return Ribbons(path, widths, np.clip(tints, 0, 1), where, weights, follow_face=True)


def ribbon_mesh(ribbons: Ribbons, first_vertex: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices [N P 2, 3], directions of growth [N P 2, 3] and triangles of ribbons that face the camera and outwards."""
    path = ribbons.points
    count, points = path.shape[:2]
    tangent = np.gradient(path, axis=1)
    tangent /= np.linalg.norm(tangent, axis=2, keepdims=True) + 1e-9
    outward = path - np.asarray([0.0, AXIS_Y, EQUATOR_Z - 0.02])
    outward /= np.linalg.norm(outward, axis=2, keepdims=True) + 1e-9
    across = np.cross(tangent, outward * 0.5 + np.asarray([0.0, -1.0, 0.0]))
    across /= np.linalg.norm(across, axis=2, keepdims=True) + 1e-9
    half = 0.5 * ribbons.widths[..., None] * across
    vertices = np.stack([path - half, path + half], 2).reshape(-1, 3)
    number = first_vertex + np.arange(count * points * 2).reshape(count, points, 2)
    a, b, c, d = number[:, :-1, 0], number[:, :-1, 1], number[:, 1:, 0], number[:, 1:, 1]
    triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    return vertices.astype(np.float32), np.repeat(tangent, 2, 1).reshape(-1, 3).astype(np.float32), triangles.astype(np.int32)
