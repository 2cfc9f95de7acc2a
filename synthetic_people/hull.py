"""The outermost surface of a person as a height map around the neck's axis, and what light reaches a point.

Hair, headwear and clothes are laid on this map; it has two coordinates in 0..1. Across: the angle around the vertical
axis, the face's middle at 0.5. Down: from the crown (0) over the head's equator (0.5) to the chest (1); above the
equator it is the polar angle from the head's centre, below it the height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from .heads import AXIS_Y
from .render import TWO_SIDED, rasterize

ROWS, COLUMNS = 160, 192
EQUATOR_Z = 0.755  # metres
LOWEST_Z = 0.42


@dataclass(frozen=True)
class Hull:
    """`radius` [ROWS, COLUMNS] metres of the outermost skin; `smooth` the same without nose, ears and lips."""

    radius: np.ndarray
    smooth: np.ndarray

    def at(self, across: np.ndarray, down: np.ndarray, smooth: bool = False) -> np.ndarray:
        """Metres from the centre (above the equator) or from the axis (below it) at map coordinates."""
        values = self.smooth if smooth else self.radius
        grid = np.stack([np.asarray(down) * (ROWS - 1), (np.asarray(across) % 1.0) * COLUMNS])
        padded = np.concatenate([values, values[:, :1]], 1)
        return map_coordinates(padded, grid, order=1, mode="nearest")


def hull_coordinates(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points [..., 3] to (across, down, radius) of the map."""
    x, y, z = points[..., 0], points[..., 1] - AXIS_Y, points[..., 2] - EQUATOR_Z
    across = 0.5 + np.arctan2(x, -y) / (2 * np.pi)
    flat = np.hypot(x, y)
    radius = np.where(z > 0, np.sqrt(flat**2 + z**2), flat)
    upper = 0.5 * np.arctan2(flat, np.maximum(z, 1e-9)) / (np.pi / 2)
    lower = 0.5 + 0.5 * np.clip(-z / (EQUATOR_Z - LOWEST_Z), 0, 1)
    return across, np.where(z > 0, upper, lower), radius


def hull_points(across: np.ndarray, down: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """The inverse of `hull_coordinates`: [..., 3] metres."""
    angle = (across - 0.5) * 2 * np.pi
    polar = np.minimum(down, 0.5) * np.pi
    flat = np.where(down < 0.5, radius * np.sin(polar), radius)
    z = np.where(down < 0.5, radius * np.cos(polar), -(down - 0.5) * 2 * (EQUATOR_Z - LOWEST_Z))
    return np.stack([flat * np.sin(angle), AXIS_Y - flat * np.cos(angle), EQUATOR_Z + z], -1)


def make_hull(vertices: np.ndarray, triangles: np.ndarray) -> Hull:
    """The hull of a person's skin: vertices [V, 3], triangles [F, 3] (without the inside of the mouth)."""
    across, down, radius = hull_coordinates(vertices)
    screen = np.stack([across * COLUMNS, down * (ROWS - 1) + 0.5, 1 - radius], 1).astype(np.float32)
    extent = screen[triangles, 0].max(1) - screen[triangles, 0].min(1)
    kept = triangles[extent < COLUMNS / 3]
    side = max(ROWS, COLUMNS)
    index, weights, depth = rasterize(
        screen, kept, np.full(len(kept), TWO_SIDED, np.uint8), np.zeros(len(vertices), np.float32), side
    )
    values, known = 1 - depth[:ROWS, :COLUMNS], index[:ROWS, :COLUMNS] >= 0
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    values = values[tuple(nearest)]
    values[:4] = values[:4].mean()
    gentle = gaussian_filter(values, (5, 6), mode=("nearest", "wrap"))
    return Hull(values.astype(np.float32), np.maximum(gentle, 0.02).astype(np.float32))


def pushed_out(hull: Hull, points: np.ndarray, distance: np.ndarray | float) -> np.ndarray:
    """Points [N, 3] moved outwards until they are `distance` metres off the hull."""
    across, down, radius = hull_coordinates(points)
    needed = hull.at(across, down) + distance
    inside = radius < needed
    if not inside.any():
        return points
    moved = points.copy()
    moved[inside] = hull_points(across[inside], down[inside], np.broadcast_to(needed, radius.shape)[inside])
    return moved


def kept_close(hull: Hull, points: np.ndarray, distance: np.ndarray | float) -> np.ndarray:
    """Points [N, 3] moved inwards until they are at most `distance` metres off the head, or off the column below it."""
    across, down, radius = hull_coordinates(points)
    head = hull.smooth[ROWS // 2 : int(ROWS * 0.62)].max(0)
    column = np.interp(across % 1.0, np.arange(COLUMNS) / COLUMNS, head)
    limit = np.where(down < 0.5, hull.at(across, down, smooth=True), column) + distance
    outside = radius > limit
    if not outside.any():
        return points
    moved = points.copy()
    moved[outside] = hull_points(across[outside], down[outside], limit[outside])
    return moved


_MAP_SIDE = 176  # samples across the 0.56 m that shadow pictures show


def light_seen(
    points: np.ndarray,
    normals: np.ndarray,
    vertices: np.ndarray,
    triangles: np.ndarray,
    sides: np.ndarray,
    cuts: np.ndarray,
    directions: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """Share of the light from `directions` [D, 3] (towards it, with `weights` [D]) that reaches points [P, 3].

    Where `normals` [P, 3] are not zero each direction also counts by its cosine, as for the sky over a surface. Shadows
    are cast by the mesh (vertices, triangles, sides, cuts), drawn once as seen from each direction.
    """
    sides = np.where(sides == 0, TWO_SIDED, sides).astype(np.uint8)
    middle = np.asarray([0, AXIS_Y, 0.70])
    surface = normals.any(1)
    got, possible = np.zeros(len(points)), np.full(len(points), 1e-6)
    for direction, weight in zip(directions, weights, strict=True):
        helper = np.asarray([0.0, 0.0, 1.0]) if abs(direction[2]) < 0.9 else np.asarray([1.0, 0.0, 0.0])
        right = np.cross(helper, direction)
        right /= np.linalg.norm(right)
        basis = np.stack([right, np.cross(direction, right), -direction], 1)

        def onto(place: np.ndarray, basis: np.ndarray = basis) -> np.ndarray:
            flat = ((place - middle) @ basis).astype(np.float32)
            flat[:, :2] = (flat[:, :2] / 0.56 + 0.5) * _MAP_SIDE
            return flat

        depth = rasterize(onto(vertices), triangles, sides, cuts, _MAP_SIDE)[2]
        lifted = points + 0.0025 * normals + 0.0025 * direction
        place = onto(lifted)
        column = np.clip(place[:, 0].astype(int), 0, _MAP_SIDE - 1)
        row = np.clip(place[:, 1].astype(int), 0, _MAP_SIDE - 1)
        seen = place[:, 2] < depth[row, column] + 0.004
        share = weight * np.where(surface, np.clip(normals @ direction, 0, 1), 1.0)
        got += share * seen
        possible += share
    return (got / possible).astype(np.float32)


def sky_directions(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions [count, 3] spread evenly over the sphere, and weights: more from above and in front than below."""
    step = np.arange(count) + 0.5
    z = 1 - 2 * step / count
    angle = step * np.pi * (3 - np.sqrt(5))
    flat = np.sqrt(1 - z**2)
    directions = np.stack([flat * np.cos(angle), flat * np.sin(angle), z], 1)
    weights = np.clip(0.55 + 0.45 * directions[:, 2] - 0.15 * directions[:, 1], 0.05, None)
    return directions, weights


def cone_directions(direction: np.ndarray, radius: float, count: int) -> np.ndarray:
    """Directions [count, 3] within `radius` radians of one: a large lamp instead of a point."""
    step = np.arange(count) + 0.5
    reach, angle = radius * np.sqrt(step / count), step * np.pi * (3 - np.sqrt(5))
    helper = np.cross(direction, [0.0, 0.3, 1.0])
    helper /= np.linalg.norm(helper)
    other = np.cross(direction, helper)
    around = np.cos(angle)[:, None] * helper + np.sin(angle)[:, None] * other
    spread = direction + np.tan(reach)[:, None] * around
    return spread / np.linalg.norm(spread, axis=1, keepdims=True)
