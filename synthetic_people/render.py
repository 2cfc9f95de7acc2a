"""A small software renderer for the synthetic people: numba, one core, supersampled.

Shapes: V vertices (the first Vs belong to the body's surface), F triangles, S picture side in samples.
Space: metres, x to the person's left, y backwards (the face looks along -y), z up; the camera looks along +y.
Colours are linear light until `photograph.develop`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

# What a triangle is made of; the shader branches on it.
SKIN, EYE, TEETH, TONGUE, HAIR, LASH, CLOTH, SOLID = range(8)

# How a triangle covers samples, see `rasterize`.
ONE_SIDED, TWO_SIDED, SPARSE, CUT = range(4)

SUPERSAMPLING = 2


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in front of the face.

    Attributes: `centre_x`, `centre_z` metres, the point that falls on the picture's middle; `height` metres of
    picture height at the depth of the face; `distance` metres from the camera to that depth, `face_y`.
    """

    centre_x: float
    centre_z: float
    height: float
    face_y: float
    distance: float = 0.85

    @property
    def position(self) -> np.ndarray:
        """[3] float32 metres."""
        return np.asarray([self.centre_x, self.face_y - self.distance, self.centre_z], np.float32)


def project(vertices: np.ndarray, camera: Camera, side: int, view: np.ndarray | None = None) -> np.ndarray:
    """World points [V, 3] to sample coordinates x, y (pixels, y down) and depth in metres, [V, 3] float32.

    `view` [3] is the moving camera: pan right, pan down in shares of the picture, zoom factor.
    """
    pan_right, pan_down, zoom = (0.0, 0.0, 1.0) if view is None else map(float, view)
    depth = vertices[:, 1] - (camera.face_y - camera.distance)
    scale = (zoom * side / camera.height * camera.distance) / depth
    screen = np.empty(vertices.shape, np.float32)
    screen[:, 0] = (vertices[:, 0] - camera.centre_x) * scale + (0.5 - zoom * pan_right) * side
    screen[:, 1] = (camera.centre_z - vertices[:, 2]) * scale + (0.5 - zoom * pan_down) * side
    screen[:, 2] = depth
    return screen


@numba.njit(cache=True, fastmath=True)
def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Area-weighted smooth normals [V, 3] of triangles [F, 3]."""
    normals = np.zeros_like(vertices)
    for f in range(triangles.shape[0]):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax = vertices[j, 0] - vertices[i, 0]
        ay = vertices[j, 1] - vertices[i, 1]
        az = vertices[j, 2] - vertices[i, 2]
        bx = vertices[k, 0] - vertices[i, 0]
        by = vertices[k, 1] - vertices[i, 1]
        bz = vertices[k, 2] - vertices[i, 2]
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for v in (i, j, k):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(normals.shape[0]):
        length = math.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2) + 1e-12
        for c in range(3):
            normals[v, c] /= length
    return normals


def split_triangles(triangles: np.ndarray, num_vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut every triangle into four at its edges' middles, which follow the old vertices in order.

    Returns edges [E, 2] (middle e is vertex num_vertices + e) and triangles [4 F, 3] int32.
    """
    corners = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]], axis=-1)
    edges, index = np.unique(corners.reshape(-1, 2), axis=0, return_inverse=True)
    ab, bc, ca = (num_vertices + index.reshape(-1, 3)).T
    a, b, c = triangles.T
    quarters = np.stack([[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]]).transpose(2, 0, 1)
    return edges, quarters.reshape(-1, 3).astype(np.int32)


def round_middles(vertices: np.ndarray, normals: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Edge middles [E, 3] moved towards the tangent planes of both ends, so that silhouettes are round."""
    ends, directions = vertices[edges], normals[edges]
    middle = ends.mean(1)
    above = np.einsum("eij,eij->ei", middle[:, None] - ends, directions)
    return middle - 0.75 * np.einsum("ei,eij->ej", above, directions) / 2


@numba.njit(cache=True, fastmath=True)
def rasterize(screen: np.ndarray, triangles: np.ndarray, sides: np.ndarray, cuts: np.ndarray, side: int):
    """Nearest triangle of every sample.

    Returns triangle index [S, S] int32 (-1 where nothing), barycentric weights of corners 1 and 2, [S, S, 2], and
    depth [S, S]. `sides` [F] uint8: ONE_SIDED triangles are skipped when they face away, the others are not; SPARSE
    ones leave one sample in four open, which averages to slightly transparent; CUT ones exist only where `cuts` [V],
    interpolated, is positive.
    """
    depth = np.full((side, side), np.float32(1e9))
    index = np.full((side, side), np.int32(-1))
    weights = np.zeros((side, side, 2), np.float32)
    for f in range(triangles.shape[0]):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        x0, y0, x1, y1, x2, y2 = screen[i, 0], screen[i, 1], screen[j, 0], screen[j, 1], screen[k, 0], screen[k, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        kind = sides[f]
        # y points down on the screen, so a front face has negative area.
        if area > -1e-9 and not (kind != ONE_SIDED and area > 1e-9):
            continue
        left = max(0, int(math.ceil(min(x0, x1, x2) - 0.5)))
        right = min(side - 1, int(math.floor(max(x0, x1, x2) - 0.5)))
        top = max(0, int(math.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(side - 1, int(math.floor(max(y0, y1, y2) - 0.5)))
        if left > right or top > bottom:
            continue
        inverse = 1.0 / area
        z0, z1, z2 = screen[i, 2], screen[j, 2], screen[k, 2]
        step1, step2 = (y2 - y0) * inverse, -(y1 - y0) * inverse
        for row in range(top, bottom + 1):
            py = row + 0.5
            px = left + 0.5
            b1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * inverse
            b2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * inverse
            for column in range(left, right + 1):
                if b1 >= -1e-5 and b2 >= -1e-5 and b1 + b2 <= 1.00001:
                    z = z0 + b1 * (z1 - z0) + b2 * (z2 - z0)
                    visible = z < depth[row, column]
                    if visible and kind >= SPARSE:
                        if kind == SPARSE:
                            visible = not (row & 1 and column & 1)
                        else:
                            visible = (1 - b1 - b2) * cuts[i] + b1 * cuts[j] + b2 * cuts[k] > 0
                    if visible:
                        depth[row, column] = z
                        index[row, column] = f
                        weights[row, column, 0] = b1
                        weights[row, column, 1] = b2
                b1 += step1
                b2 += step2
    return index, weights, depth


@numba.njit(cache=True, fastmath=True)
def sample_background(picture: np.ndarray, side: int, left: float, top: float, extent: float) -> np.ndarray:
    """The square of `picture` [P, P, 3] at (left, top), `extent` of its pixels wide, as [side, side, 3], bilinear."""
    size = picture.shape[0]
    result = np.empty((side, side, 3), np.float32)
    for row in range(side):
        v = min(size - 1.001, max(0.0, top + (row + 0.5) * extent / side - 0.5))
        y = int(v)
        fy = np.float32(v - y)
        for column in range(side):
            u = min(size - 1.001, max(0.0, left + (column + 0.5) * extent / side - 0.5))
            x = int(u)
            fx = np.float32(u - x)
            for c in range(3):
                above = picture[y, x, c] + fx * (picture[y, x + 1, c] - picture[y, x, c])
                below = picture[y + 1, x, c] + fx * (picture[y + 1, x + 1, c] - picture[y + 1, x, c])
                result[row, column, c] = above + fy * (below - above)
    return result


@numba.njit(cache=True, fastmath=True)
def add_lenses(picture, depth, screen, triangles, sheen):
    """Spectacle glass over `picture` in place: a soft reflection of the window, from `sheen` [V] per vertex."""
    side = picture.shape[0]
    for f in range(triangles.shape[0]):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        x0, y0, x1, y1, x2, y2 = screen[i, 0], screen[i, 1], screen[j, 0], screen[j, 1], screen[k, 0], screen[k, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        for row in range(max(0, int(min(y0, y1, y2))), min(side - 1, int(max(y0, y1, y2)) + 1) + 1):
            for column in range(max(0, int(min(x0, x1, x2))), min(side - 1, int(max(x0, x1, x2)) + 1) + 1):
                px, py = column + 0.5, row + 0.5
                b1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) / area
                b2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) / area
                if b1 < 0 or b2 < 0 or b1 + b2 >= 1:
                    continue
                b0 = 1 - b1 - b2
                if b0 * screen[i, 2] + b1 * screen[j, 2] + b2 * screen[k, 2] < depth[row, column]:
                    glow = max(0.0, b0 * sheen[i] + b1 * sheen[j] + b2 * sheen[k])
                    for c in range(3):
                        picture[row, column, c] = 0.95 * picture[row, column, c] + glow


def from_srgb(colour: np.ndarray) -> np.ndarray:
    """sRGB values in 0..1 (any shape) to linear light, float32."""
    colour = np.asarray(colour, np.float32)
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4).astype(np.float32)
