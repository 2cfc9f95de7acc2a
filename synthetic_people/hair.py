"""Hair as ribbons: a few thousand threads grown over the head, thick enough to be seen, with gaps to the skin.

`hairstyles.Style` says how long, which way and how curly; `grow` lets it fall over the hull. Beards are ribbons too,
but rooted in the face and carried by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from .hairstyles import Style
from .heads import AXIS_Y, Surface, hairline_height
from .hull import EQUATOR_Z, Hull, kept_close, pushed_out
from .render import SKIN


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

    def only(self, kept: np.ndarray) -> Ribbons:
        """Those threads where `kept` [N] is true."""
        return Ribbons(
            self.points[kept], self.widths[kept], self.tints[kept], self.root_triangles[kept],
            self.root_weights[kept], self.follow_face,
        )  # fmt: skip


def sample_roots(surface: Surface, allowed: np.ndarray, count: int, rng: np.random.Generator):
    """Points on the triangles whose vertices are all `allowed` [V]: numbers of triangles [N] and weights [N, 3]."""
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
        laid = np.stack(
            [
                -np.sign(style.parting) * np.where(x * np.sign(style.parting) > abs(style.parting), -0.8, 1.0),
                0.30 + 0.3 * ahead,
                0 * x,
            ],
            1,
        )
    back = np.stack([0 * x, 0.25 + 0 * x, -0.9 + 0 * x], 1)
    return laid * top[:, None] + (0.4 * down + 0.6 * back) * (1 - top[:, None])


@dataclass(frozen=True)
class _Roots:
    """Where N threads stand: triangles [N] and weights [N, 3] on the surface; `place`, `template`, `normal` [N, 3].

    inside: [N] 0 at the hairline to 1 well inside. top: [N] 0 at the sides to 1 on the crown. clump: [N] which of
    NUM_CLUMPS neighbourhoods; threads of one lie alike.
    """

    triangles: np.ndarray
    weights: np.ndarray
    place: np.ndarray
    template: np.ndarray
    normal: np.ndarray
    inside: np.ndarray
    top: np.ndarray
    clump: np.ndarray


NUM_CLUMPS = 90


def _take_root(
    style: Style, surface: Surface, rest: np.ndarray, normals: np.ndarray, rng: np.random.Generator
) -> _Roots:
    above = hairline_height(surface.template) - style.hairline * _front(surface.template)
    allowed = (above > -0.006) & (surface.ears < 0.25) & (surface.template[:, 2] > 0.63)
    triangles, weights = sample_roots(surface, allowed, style.count, rng)
    template = on_surface(surface.template, surface, triangles, weights)
    above = hairline_height(template) - style.hairline * _front(template)
    # The line itself is ragged.
    dense = rng.random(len(template)) < np.clip((above + 0.006 + rng.normal(0, 0.002, len(template))) / 0.010, 0, 1)
    triangles, weights, template, above = triangles[dense], weights[dense], template[dense], above[dense]
    normal = on_surface(normals, surface, triangles, weights)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    top = np.clip((template[:, 2] - 0.735) / 0.075, 0, 1)
    centres = template[rng.choice(len(template), min(NUM_CLUMPS, len(template)), replace=False)]
    return _Roots(
        triangles, weights, on_surface(rest, surface, triangles, weights), template, normal,
        inside=np.clip(above / 0.02, 0, 1), top=top * top * (3 - 2 * top),
        clump=((template[:, None] - centres[None]) ** 2).sum(-1).argmin(1),
    )  # fmt: skip


def grow(
    style: Style, surface: Surface, rest: np.ndarray, normals: np.ndarray, hull: Hull, colour: np.ndarray,
    rng: np.random.Generator,
) -> Ribbons:  # fmt: skip
    """The hair of one person: `rest` and `normals` [V, 3] of the skin, `colour` linear [3]."""
    roots = _take_root(style, surface, rest, normals, rng)
    count, points = len(roots.place), style.points
    length = (style.side + (style.top - style.side) * roots.top) * rng.uniform(0.75, 1.1, count)
    if style.comb not in ("parted", "tied") or style.top < 0.1:
        length *= 0.45 + 0.55 * roots.inside  # shorter at the hairline, unless it is long enough to be combed
    comb = _comb_direction(style, roots.template, roots.normal)
    fringe = np.zeros(count, bool)
    if style.fringe:
        x, y, z = roots.template.T
        fringe = (y < -0.085) & (np.abs(x) < 0.052) & (z > 0.79)
        comb[fringe] = np.stack([0.6 * x / 0.05, -np.ones(count), 0 * x], 1)[fringe]
        length[fringe] = rng.uniform(0.072, 0.092) + rng.normal(0, 0.004, fringe.sum())
    habits = rng.normal(0, 1, (NUM_CLUMPS, 3))[roots.clump]
    comb = comb / (np.linalg.norm(comb, axis=1, keepdims=True) + 1e-9)
    # At the hairline hair is combed away from the face.
    edge = np.clip(1 - roots.inside * 1.5, 0, 1) * (style.comb in ("parted", "back") and not style.fringe)
    comb[:, 1] += 0.8 * edge
    comb += style.mess * (1 - 0.7 * edge[:, None]) * (0.75 * habits + 0.5 * rng.normal(0, 1, (count, 3)))
    if style.comb != "out":
        comb -= 0.9 * (comb * roots.normal).sum(1, keepdims=True) * roots.normal
    comb /= np.linalg.norm(comb, axis=1, keepdims=True) + 1e-9
    layer = rng.random(count) ** 0.7  # how far out in the hair's thickness a thread lies
    offset = 0.0012 + style.volume * layer * (0.35 + 0.65 * roots.top) * np.clip(roots.inside, 0.15, 1)
    if style.comb == "tied":
        path = _drawn_tight(roots, points, offset, hull, rng)
    else:
        path = _fallen(style, roots, comb, length, offset, fringe, hull)
    path = gaussian_filter1d(path, 0.8, axis=1, mode="nearest")
    path[:, 0] = roots.place - 0.0005 * roots.normal
    share = np.linspace(0, 1, points)
    if style.curl:
        path = _curled(path, length, style, roots.clump, rng)
    elif style.gravity > 0.6:
        path[:, :, 0] += 0.0035 * np.sin(0.8 * np.arange(1, points + 1) + 6 * habits[:, :1]) * share * ~fringe[:, None]

    widths = style.width * rng.uniform(0.6, 1.3, (count, 1)) * (1 - 0.75 * share**3)
    triangles, weights, clump = roots.triangles, roots.weights, roots.clump
    if style.bun:
        coil = _bun(style, points, rng)
        path = np.concatenate([path, coil])
        widths = np.concatenate([widths, np.full(coil.shape[:2], style.width * 1.6)])
        again = rng.integers(0, count, len(coil))
        triangles, weights, clump = (np.concatenate([a, a[again]]) for a in (triangles, weights, clump))
    tone = np.exp(rng.normal(0, 0.16, (len(path), 1, 1)) + rng.normal(0, 0.10, NUM_CLUMPS)[clump][:, None, None])
    dark_roots = 0.62 + 0.38 * np.clip(share * 2.2, 0, 1)[None, :, None]
    warm = 1 + rng.normal(0, 0.03, (len(path), 1, 3))
    return Ribbons(path, widths, np.clip(colour * tone * dark_roots * warm, 0, 1), triangles, weights, False)


def _fallen(style: Style, roots: _Roots, comb: np.ndarray, length: np.ndarray, offset: np.ndarray, fringe: np.ndarray,
            hull: Hull) -> np.ndarray:  # fmt: skip
    """Threads [N, P, 3] that leave the scalp along `comb`, bend down with their weight and lie on the hull."""
    points = style.points
    lift = {"up": 1.2, "out": 2.0, "back": 0.5}.get(style.comb, 0.55)
    direction = comb + lift * roots.normal
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    path = np.empty((len(comb), points, 3))
    path[:, 0] = roots.place - 0.0005 * roots.normal
    step = (length / (points - 1))[:, None]
    down = np.asarray([0.0, 0.0, -1.0])
    for p in range(1, points):
        share, before = p / (points - 1), path[:, p - 1]
        if style.gravity < 0.7:
            direction = direction + 0.35 * (comb * (1 - share * 0.5) - direction)
        bend = 0.55 * style.gravity * (0.25 + 0.75 * share) * np.minimum(1.0, step / 0.012)
        direction = direction * (1 - bend) + down * bend
        if style.gravity > 0.6:
            # Long hair falls along the head and is kept out of the face.
            near_face = (before[:, 2] < 0.76) & (before[:, 1] < -0.07) & ~fringe
            outwards = np.sign(before[:, 0]) * np.clip(0.055 - np.abs(before[:, 0]), 0, 0.05) / 0.05
            direction[:, 0] += 0.9 * outwards * near_face
            direction[:, 1] += 0.5 * near_face
        direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
        following = pushed_out(hull, before + step * direction, offset * min(1.0, 0.35 + 1.2 * share) + 0.001)
        if style.comb in ("parted", "back"):
            following = kept_close(hull, following, 1.6 * offset + 0.007 + 0.25 * style.curl)
        direction = following - before
        direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
        path[:, p] = before + step * direction
    return path


_KNOT = np.asarray([0.0, 0.045, 0.86])  # metres: where tied hair meets


def _drawn_tight(roots: _Roots, points: int, offset: np.ndarray, hull: Hull, rng: np.random.Generator) -> np.ndarray:
    """Threads [N, P, 3] drawn over the head to the knot."""
    share = np.linspace(0, 1, points)[None, :, None]
    knot = _KNOT + rng.normal(0, 0.006, (len(offset), 1, 3))
    path = roots.place[:, None] + share * (knot - roots.place[:, None])
    sag = 0.010 * np.sin(np.pi * share) * rng.normal(0, 0.4, (len(offset), 1, 3))
    flat = pushed_out(hull, (path + sag)[:, 1:].reshape(-1, 3), np.repeat(offset, points - 1))
    path[:, 1:] = flat.reshape(len(offset), points - 1, 3)
    return path


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


def _bun(style: Style, points: int, rng: np.random.Generator) -> np.ndarray:
    """Threads [N, P, 3] wound into a ball on the knot."""
    count = 420
    centre = _KNOT + np.asarray([0.0, 0.0, 0.012 + 0.55 * style.bun])
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
    return coil + (ring * np.sin(angle))[..., None] * second[:, None]


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
    lay[moustache] += np.stack(
        [1.4 * np.sign(place[moustache, 0]), 0 * angle[moustache], 0.2 + 0 * angle[moustache]], 1
    )
    lay -= 0.75 * np.minimum(0.3, (lay * normal).sum(1, keepdims=True)) * normal
    lay /= np.linalg.norm(lay, axis=1, keepdims=True)
    size = length * rng.uniform(0.5, 1.1, (len(place), 1))
    size[moustache] = np.minimum(size[moustache], 0.009)
    share = np.linspace(0, 1, 4)[None, :, None]
    path = (
        root[:, None]
        + share * size[..., None] * lay[:, None]
        + (0.0003 + 0.12 * size[..., None] * share) * normal[:, None]
    )
    widths = np.broadcast_to(np.asarray([0.0009, 0.0009, 0.0008, 0.0003]), path.shape[:2])
    tints = np.broadcast_to(colour, path.shape) * np.exp(rng.normal(0, 0.2, (len(place), 1, 1)))
    return Ribbons(path, widths, np.clip(tints, 0, 1), where, weights, follow_face=True)


def ribbon_mesh(ribbons: Ribbons, first_vertex: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices and directions of growth [2 N P, 3], and triangles, of ribbons that face the camera and outwards."""
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
    return (
        vertices.astype(np.float32),
        np.repeat(tangent, 2, 1).reshape(-1, 3).astype(np.float32),
        triangles.astype(np.int32),
    )
