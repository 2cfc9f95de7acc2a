"""A small software renderer for the synthetic heads: numba, one core, supersampled.

Shapes: V vertices, F triangles, S picture side in samples (2 × the output side).
Space: metres, x to the person's left, y backwards (the face looks along -y), z up; the camera looks along +y.
Colours are linear light in 0..1 until `to_srgb`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

# What a triangle is made of; the shader branches on it.
SKIN, EYE, TEETH, TONGUE, HAIR, LASH = range(6)

# How a triangle covers samples, see `rasterize`.
ONE_SIDED, TWO_SIDED, SPARSE = range(3)

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


@dataclass(frozen=True)
class Lighting:
    """Key and fill light directions (unit vectors towards the light) and linear RGB strengths."""

    key_direction: np.ndarray
    key: np.ndarray
    fill_direction: np.ndarray
    fill: np.ndarray
    sky: np.ndarray
    ground: np.ndarray


def project(vertices: np.ndarray, camera: Camera, side: int) -> np.ndarray:
    """World points [V, 3] to sample coordinates x, y (pixels, y down) and depth in metres, [V, 3] float32."""
    depth = vertices[:, 1] - (camera.face_y - camera.distance)
    scale = side / camera.height * camera.distance / depth
    screen = np.empty_like(vertices)
    screen[:, 0] = side / 2 + (vertices[:, 0] - camera.centre_x) * scale
    screen[:, 1] = side / 2 - (vertices[:, 2] - camera.centre_z) * scale
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
def rasterize(screen: np.ndarray, triangles: np.ndarray, sides: np.ndarray, side: int):
    """Nearest triangle of every sample.

    Returns triangle index [S, S] int32 (-1 where nothing) and barycentric weights of corners 1 and 2, [S, S, 2].
    `sides` [F] uint8: ONE_SIDED triangles are skipped when they face away, TWO_SIDED are not, SPARSE ones are two-sided
    and leave one sample in four open, which averages to slightly transparent.
    """
    depth = np.full((side, side), np.float32(1e9))
    index = np.full((side, side), np.int32(-1))
    weights = np.zeros((side, side, 2), np.float32)
    for f in range(triangles.shape[0]):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        x0, y0, x1, y1, x2, y2 = screen[i, 0], screen[i, 1], screen[j, 0], screen[j, 1], screen[k, 0], screen[k, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        # y points down on the screen, so a front face has negative area.
        if area > -1e-9 and not (sides[f] != ONE_SIDED and area > 1e-9):
            continue
        left = max(0, int(math.ceil(min(x0, x1, x2) - 0.5)))
        right = min(side - 1, int(math.floor(max(x0, x1, x2) - 0.5)))
        top = max(0, int(math.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(side - 1, int(math.floor(max(y0, y1, y2) - 0.5)))
        if left > right or top > bottom:
            continue
        inverse = 1.0 / area
        z0, z1, z2 = screen[i, 2], screen[j, 2], screen[k, 2]
        for row in range(top, bottom + 1):
            py = row + 0.5
            for column in range(left, right + 1):
                if sides[f] == SPARSE and row & 1 and column & 1:
                    continue
                px = column + 0.5
                b1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * inverse
                b2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * inverse
                if b1 < -1e-5 or b2 < -1e-5 or b1 + b2 > 1.00001:
                    continue
                z = z0 + b1 * (z1 - z0) + b2 * (z2 - z0)
                if z < depth[row, column]:
                    depth[row, column] = z
                    index[row, column] = f
                    weights[row, column, 0] = b1
                    weights[row, column, 1] = b2
    return index, weights


@numba.njit(cache=True, fastmath=True, inline="always")
def _smoothstep(x, low, high):
    t = min(1.0, max(0.0, (x - low) / (high - low)))
    return t * t * (3 - 2 * t)


@numba.njit(cache=True, fastmath=True)
def shade(
    index,  # [S, S] int32
    weights,  # [S, S, 2]
    triangles,  # [F, 3]
    materials,  # [F] SKIN ...
    positions,  # [V, 3] world
    normals,  # [V, 3]
    texture_uv,  # [V, 2] in texels
    interior,  # [V] 1 inside the mouth
    occlusion,  # [V] 1 open to the sky, 0 hidden
    eye_directions,  # [V, 3] from the eye's centre, turned by the gaze; zero elsewhere
    texture,  # [H, W, 5] linear albedo, gloss, strand
    palette,  # [6, 3] hair, lash, iris, iris rim, sclera, teeth
    mouth_y,  # metres: depth of the front teeth
    camera_position,  # [3]
    key_direction,
    key,
    fill_direction,
    fill,
    sky,
    ground,
    background,  # [S, S, 3] linear
):
    """Colour of every sample, linear, [S, S, 3] float32."""
    side = index.shape[0]
    height, width = texture.shape[0], texture.shape[1]
    picture = background.copy()
    albedo = np.zeros(3, np.float32)
    for row in range(side):
        for column in range(side):
            f = index[row, column]
            if f < 0:
                continue
            w1, w2 = weights[row, column, 0], weights[row, column, 1]
            w0 = 1 - w1 - w2
            i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
            material = materials[f]
            nx = w0 * normals[i, 0] + w1 * normals[j, 0] + w2 * normals[k, 0]
            ny = w0 * normals[i, 1] + w1 * normals[j, 1] + w2 * normals[k, 1]
            nz = w0 * normals[i, 2] + w1 * normals[j, 2] + w2 * normals[k, 2]
            length = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
            nx, ny, nz = nx / length, ny / length, nz / length
            px = w0 * positions[i, 0] + w1 * positions[j, 0] + w2 * positions[k, 0]
            py = w0 * positions[i, 1] + w1 * positions[j, 1] + w2 * positions[k, 1]
            pz = w0 * positions[i, 2] + w1 * positions[j, 2] + w2 * positions[k, 2]
            vx, vy, vz = camera_position[0] - px, camera_position[1] - py, camera_position[2] - pz
            length = math.sqrt(vx * vx + vy * vy + vz * vz)
            vx, vy, vz = vx / length, vy / length, vz / length
            facing = nx * vx + ny * vy + nz * vz
            if facing < 0:
                nx, ny, nz, facing = -nx, -ny, -nz, -facing
            inside = w0 * interior[i] + w1 * interior[j] + w2 * interior[k]
            open_sky = w0 * occlusion[i] + w1 * occlusion[j] + w2 * occlusion[k]
            gloss, strength, exponent, wrap = 0.25, 0.0, 20.0, 0.25

            if material == EYE:
                dx = w0 * eye_directions[i, 0] + w1 * eye_directions[j, 0] + w2 * eye_directions[k, 0]
                dy = w0 * eye_directions[i, 1] + w1 * eye_directions[j, 1] + w2 * eye_directions[k, 1]
                dz = w0 * eye_directions[i, 2] + w1 * eye_directions[j, 2] + w2 * eye_directions[k, 2]
                length = math.sqrt(dx * dx + dy * dy + dz * dz) + 1e-9
                angle = math.acos(min(1.0, max(-1.0, -dy / length)))
                iris = 1 - _smoothstep(angle, 0.40, 0.46)
                rim = _smoothstep(angle, 0.28, 0.43)
                pupil = 1 - _smoothstep(angle, 0.15, 0.20)
                spoke = 0.85 + 0.3 * math.sin(17 * math.atan2(dz, dx)) * math.sin(5.3 * math.atan2(dz, dx) + 1)
                for c in range(3):
                    tint = (palette[2, c] * (1 - rim) + palette[3, c] * rim) * spoke
                    albedo[c] = (palette[4, c] * (1 - iris) + tint * iris) * (1 - pupil * 0.97)
                # Lids shade the ball from above and at the corners.
                open_sky = 0.45 + 0.55 * _smoothstep(-dz / length, -0.75, 0.1)
                open_sky *= 1 - 0.45 * _smoothstep(abs(dx / length), 0.35, 0.9)
                strength, exponent, wrap = 0.55, 180.0, 0.4
            elif material == TEETH:
                for c in range(3):
                    albedo[c] = palette[5, c]
                open_sky = 0.25 + 0.6 * (1 - _smoothstep(py - mouth_y, 0.004, 0.03))
                strength, exponent = 0.15, 40.0
            elif material == TONGUE:
                albedo[0], albedo[1], albedo[2] = 0.32, 0.09, 0.08
                open_sky = 0.55 * (1 - _smoothstep(py - mouth_y, 0.0, 0.04))
                strength, exponent = 0.1, 30.0
            else:
                u = w0 * texture_uv[i, 0] + w1 * texture_uv[j, 0] + w2 * texture_uv[k, 0]
                v = w0 * texture_uv[i, 1] + w1 * texture_uv[j, 1] + w2 * texture_uv[k, 1]
                u = min(width - 1.001, max(0.0, u))
                v = min(height - 1.001, max(0.0, v))
                x0, y0 = int(u), int(v)
                fu, fv = u - x0, v - y0
                a, b, c_, d = (1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv
                for c in range(3):
                    albedo[c] = (
                        a * texture[y0, x0, c] + b * texture[y0, x0 + 1, c]
                        + c_ * texture[y0 + 1, x0, c] + d * texture[y0 + 1, x0 + 1, c]
                    )
                gloss = (
                    a * texture[y0, x0, 3] + b * texture[y0, x0 + 1, 3]
                    + c_ * texture[y0 + 1, x0, 3] + d * texture[y0 + 1, x0 + 1, 3]
                )
                strand = (
                    a * texture[y0, x0, 4] + b * texture[y0, x0 + 1, 4]
                    + c_ * texture[y0 + 1, x0, 4] + d * texture[y0 + 1, x0 + 1, 4]
                )
                if material == HAIR:
                    for c in range(3):
                        albedo[c] = palette[0, c] * (0.45 + 1.1 * strand)
                    strength, exponent, wrap = 0.10 * (0.3 + strand), 14.0, 0.4
                elif material == LASH:
                    for c in range(3):
                        albedo[c] = palette[1, c]
                else:
                    strength, exponent = gloss, 16.0
                    dark = _smoothstep(inside, 0.15, 0.8)
                    for c in range(3):
                        albedo[c] = albedo[c] * (1 - dark) + dark * (0.10 if c == 0 else 0.025)
                    open_sky *= 1 - 0.8 * dark
                    strength *= 1 - dark

            up = 0.5 + 0.5 * nz
            key_cosine = nx * key_direction[0] + ny * key_direction[1] + nz * key_direction[2]
            fill_cosine = nx * fill_direction[0] + ny * fill_direction[1] + nz * fill_direction[2]
            fill_lit = max(0.0, (fill_cosine + 0.5) / 1.5)
            # Half vector highlight of the key light.
            hx, hy, hz = vx + key_direction[0], vy + key_direction[1], vz + key_direction[2]
            length = math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
            highlight = max(0.0, (nx * hx + ny * hy + nz * hz) / length) ** exponent
            fresnel = (1 - facing) ** 4
            for c in range(3):
                # Skin scatters red light further past the terminator than blue.
                reach = wrap + (0.12 if c == 0 else 0.0) * (material == SKIN)
                key_lit = max(0.0, (key_cosine + reach) / (1 + reach))
                light = key[c] * key_lit + fill[c] * fill_lit + sky[c] * up + ground[c] * (1 - up)
                picture[row, column, c] = open_sky * (
                    albedo[c] * light
                    + strength * highlight * key[c] * (key_cosine > 0)
                    + 0.25 * fresnel * gloss * sky[c]
                )
    return picture


@numba.njit(cache=True, fastmath=True)
def to_srgb(linear: np.ndarray, factor: int) -> np.ndarray:
    """Average factor × factor samples and encode: linear [S, S, 3] to uint8 sRGB [S / factor, S / factor, 3]."""
    side = linear.shape[0] // factor
    encoded = np.empty((side, side, 3), np.uint8)
    for row in range(side):
        for column in range(side):
            for c in range(3):
                total = 0.0
                for i in range(factor):
                    for j in range(factor):
                        total += linear[row * factor + i, column * factor + j, c]
                x = min(1.0, max(0.0, total / (factor * factor)))
                x = 12.92 * x if x <= 0.0031308 else 1.055 * x ** (1 / 2.4) - 0.055
                encoded[row, column, c] = np.uint8(x * 255 + 0.5)
    return encoded


def from_srgb(colour: np.ndarray) -> np.ndarray:
    """sRGB values in 0..1 (any shape) to linear light, float32."""
    colour = np.asarray(colour, np.float32)
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4).astype(np.float32)
