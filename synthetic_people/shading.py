"""What every sample of a picture looks like: skin, eyes, mouth, hair, cloth under three lights and a room."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

from .render import CLOTH, EYE, HAIR, LASH, SKIN, TEETH, TONGUE

# Rows of the palette.
IRIS, IRIS_RIM, SCLERA, TOOTH, GUM = range(5)


@dataclass(frozen=True)
class Lighting:
    """Three lights (unit vectors towards the light, linear RGB strengths) and a room above and below.

    `softness` radians: how large the key light is, which is how soft its shadows are.
    """

    key_direction: np.ndarray
    key: np.ndarray
    fill_direction: np.ndarray
    fill: np.ndarray
    rim_direction: np.ndarray
    rim: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    softness: float

    def packed(self) -> np.ndarray:
        """[8, 3] float32 as `shade` reads it."""
        rows = (self.key_direction, self.key, self.fill_direction, self.fill, self.rim_direction, self.rim, self.sky,
                self.ground)  # fmt: skip
        return np.stack(rows).astype(np.float32)


@numba.njit(cache=True, fastmath=True, inline="always")
def _smoothstep(x, low, high):
    t = min(1.0, max(0.0, (x - low) / (high - low)))
    return t * t * (3 - 2 * t)


@numba.njit(cache=True, fastmath=True)
def _eye_colour(dx, dy, dz, palette, albedo):
    """Paint the ball at direction (dx, dy, dz) of unit length; returns how much of the sky lids and lashes leave."""
    angle = math.acos(min(1.0, max(-1.0, -dy)))
    around = math.atan2(dz, dx)
    iris = 1 - _smoothstep(angle, 0.41, 0.46)
    ring = _smoothstep(angle, 0.33, 0.43)
    pupil = 1 - _smoothstep(angle, 0.155, 0.185)
    fibre = 0.80 + 0.22 * math.sin(23 * around + 5 * angle) * math.sin(7.3 * around + 1) + 0.12 * math.sin(41 * around)
    glow = 1 + 0.9 * max(0.0, -dz / 0.42 + 0.1)  # light from above gathers in the lower half of the iris
    vein = _smoothstep(abs(dx), 0.45, 0.95)
    for c in range(3):
        tint = (palette[IRIS, c] * (1 - ring) + palette[IRIS_RIM, c] * ring) * fibre * glow
        white = palette[SCLERA, c] * (1.0 - (0.0 if c == 0 else 0.25) * vein)
        albedo[c] = (white * (1 - iris) + tint * iris) * (1 - 0.985 * pupil)
    shade = 0.36 + 0.64 * _smoothstep(-dz, -0.50, 0.12)
    return shade * (1 - 0.45 * _smoothstep(abs(dx), 0.35, 0.9))


@numba.njit(cache=True, fastmath=True)
def shade(
    index,  # [S, S] int32
    weights,  # [S, S, 2]
    triangles,  # [F, 3]
    materials,  # [F] SKIN ...
    positions,  # [V, 3] world
    normals,  # [V, 3]; of hair: the direction it grows
    texels,  # [V, 2] texture coordinates in texels (of the skin's or of the cloth's texture)
    traits,  # [V, 4] inside the mouth, sky seen, key light seen, of hair: 0 root to 1 tip
    tints,  # [V, 3] linear colour of hair and solid things
    local,  # [Vs, 3] eyes: direction turned by the gaze; teeth and tongue: metres from the mouth's middle at rest
    texture,  # [H, W, 6] skin: linear albedo, gloss, slope right, slope down
    cloth,  # [C, C, 4] tiled: linear albedo, slope
    palette,  # [5, 3]
    mouth,  # [4] metres: y of the lips, z of the upper inner lip, z of the lower, how far they are apart
    camera,  # [3]
    lights,  # [8, 3] see `Lighting.packed`
    picture,  # [S, S, 3] linear: the background, drawn over in place
):
    """Draw every covered sample into `picture`."""
    side = index.shape[0]
    height, width = texture.shape[0], texture.shape[1]
    cloth_side = cloth.shape[0]
    albedo = np.zeros(3, np.float32)
    for row in range(side):
        for column in range(side):
            f = index[row, column]
            if f < 0:
                continue
            w1, w2 = weights[row, column, 0], weights[row, column, 1]
            w0 = np.float32(1) - w1 - w2
            i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
            material = materials[f]
            nx = w0 * normals[i, 0] + w1 * normals[j, 0] + w2 * normals[k, 0]
            ny = w0 * normals[i, 1] + w1 * normals[j, 1] + w2 * normals[k, 1]
            nz = w0 * normals[i, 2] + w1 * normals[j, 2] + w2 * normals[k, 2]
            scale = 1 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
            nx, ny, nz = nx * scale, ny * scale, nz * scale
            px = w0 * positions[i, 0] + w1 * positions[j, 0] + w2 * positions[k, 0]
            py = w0 * positions[i, 1] + w1 * positions[j, 1] + w2 * positions[k, 1]
            pz = w0 * positions[i, 2] + w1 * positions[j, 2] + w2 * positions[k, 2]
            vx, vy, vz = camera[0] - px, camera[1] - py, camera[2] - pz
            scale = 1 / math.sqrt(vx * vx + vy * vy + vz * vz)
            vx, vy, vz = vx * scale, vy * scale, vz * scale
            open_sky = w0 * traits[i, 1] + w1 * traits[j, 1] + w2 * traits[k, 1]
            open_key = w0 * traits[i, 2] + w1 * traits[j, 2] + w2 * traits[k, 2]

            if material == HAIR:
                # Kajiya and Kay: a thread is lit by how far the light is from its direction.
                for c in range(3):
                    albedo[c] = w0 * tints[i, c] + w1 * tints[j, c] + w2 * tints[k, c]
                key_along = nx * lights[0, 0] + ny * lights[0, 1] + nz * lights[0, 2]
                rim_along = nx * lights[4, 0] + ny * lights[4, 1] + nz * lights[4, 2]
                view_along = nx * vx + ny * vy + nz * vz
                view_across = math.sqrt(max(0.0, 1 - view_along * view_along))
                key_across = math.sqrt(max(0.0, 1 - key_along * key_along))
                rim_across = math.sqrt(max(0.0, 1 - rim_along * rim_along))
                shift = 0.10
                spread = max(0.0, key_across * view_across - (key_along + shift) * (view_along + shift))
                second = max(0.0, key_across * view_across - (key_along - shift) * (view_along - shift))
                shine = 0.055 * spread**60
                glow = 0.5 * second**14
                for c in range(3):
                    room = 0.5 * (lights[6, c] + lights[7, c])
                    light = open_key * lights[1, c] * (0.15 + 0.55 * key_across)
                    light += open_sky * (room + 0.35 * lights[3, c]) + 0.8 * lights[5, c] * rim_across * open_sky
                    picture[row, column, c] = albedo[c] * light + open_key * lights[1, c] * (shine + glow * albedo[c])
                continue

            facing = nx * vx + ny * vy + nz * vz
            if facing < 0:
                nx, ny, nz, facing = -nx, -ny, -nz, -facing
            inside = np.float32(0)
            gloss, strength, exponent, wrap, scatter = 0.25, 0.0, 20.0, 0.25, 0.0
            if material == EYE:
                dx = w0 * local[i, 0] + w1 * local[j, 0] + w2 * local[k, 0]
                dy = w0 * local[i, 1] + w1 * local[j, 1] + w2 * local[k, 1]
                dz = w0 * local[i, 2] + w1 * local[j, 2] + w2 * local[k, 2]
                scale = 1 / (math.sqrt(dx * dx + dy * dy + dz * dz) + 1e-9)
                lid = _eye_colour(dx * scale, dy * scale, dz * scale, palette, albedo)
                open_sky = lid * (0.55 + 0.45 * open_sky)
                open_key = lid * (0.45 + 0.55 * open_key)
                strength, exponent, wrap = 1.1, 320.0, 0.45
            elif material == TEETH:
                dx = w0 * local[i, 0] + w1 * local[j, 0] + w2 * local[k, 0]
                dy = w0 * local[i, 1] + w1 * local[j, 1] + w2 * local[k, 1]
                dz = w0 * local[i, 2] + w1 * local[j, 2] + w2 * local[k, 2]
                # Front teeth about 8 mm wide, narrower to the sides, with a thin dark line between them.
                arc = abs(dx) / 0.0078 if abs(dx) < 0.0078 else 1 + (abs(dx) - 0.0078) / 0.0064
                gap = abs(arc - math.floor(arc + 0.5))
                line = 1 - 0.40 * (1 - _smoothstep(gap, 0.02, 0.13))
                gum = _smoothstep(abs(dz), 0.0085, 0.0115)
                for c in range(3):
                    albedo[c] = (palette[TOOTH, c] * (1 - gum) + palette[GUM, c] * gum) * line
                back = 1 - _smoothstep(dy, 0.008, 0.034)
                upper = 1 - 0.65 * (1 - _smoothstep(mouth[1] - pz, 0.0, 0.0045))
                open_sky = (0.22 + 0.62 * back) * upper * min(1.0, 0.55 + mouth[3] * 30)
                open_key = 0.85 * open_sky
                strength, exponent = 0.30, 60.0
            elif material == TONGUE:
                for c in range(3):
                    albedo[c] = 0.40 if c == 0 else 0.13
                depth = py - mouth[0]
                open_sky = (0.10 + 0.62 * (1 - _smoothstep(depth, 0.004, 0.040))) * min(1.0, mouth[3] * 60)
                open_key = 0.75 * open_sky
                strength, exponent = 0.22, 30.0
            elif material == CLOTH:
                u = w0 * texels[i, 0] + w1 * texels[j, 0] + w2 * texels[k, 0]
                v = w0 * texels[i, 1] + w1 * texels[j, 1] + w2 * texels[k, 1]
                x0, y0 = int(math.floor(u)) % cloth_side, int(math.floor(v)) % cloth_side
                for c in range(3):
                    albedo[c] = cloth[y0, x0, c] * (w0 * tints[i, c] + w1 * tints[j, c] + w2 * tints[k, c])
                slope = cloth[y0, x0, 3]
                nz -= slope * math.sqrt(max(0.0, 1 - nz * nz))
                gloss, strength, exponent, wrap = 0.15, 0.01, 8.0, 0.35
            elif material == SKIN:
                inside = w0 * traits[i, 0] + w1 * traits[j, 0] + w2 * traits[k, 0]
                u = w0 * texels[i, 0] + w1 * texels[j, 0] + w2 * texels[k, 0]
                v = w0 * texels[i, 1] + w1 * texels[j, 1] + w2 * texels[k, 1]
                u = min(width - 1.001, max(0.0, u))
                v = min(height - 1.001, max(0.0, v))
                x0, y0 = int(u), int(v)
                fu, fv = np.float32(u - x0), np.float32(v - y0)
                a, b, c_, d = (1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv
                for c in range(3):
                    albedo[c] = (
                        a * texture[y0, x0, c]
                        + b * texture[y0, x0 + 1, c]
                        + c_ * texture[y0 + 1, x0, c]
                        + d * texture[y0 + 1, x0 + 1, c]
                    )
                gloss = (
                    a * texture[y0, x0, 3]
                    + b * texture[y0, x0 + 1, 3]
                    + c_ * texture[y0 + 1, x0, 3]
                    + d * texture[y0 + 1, x0 + 1, 3]
                )
                right = (
                    a * texture[y0, x0, 4]
                    + b * texture[y0, x0 + 1, 4]
                    + c_ * texture[y0 + 1, x0, 4]
                    + d * texture[y0 + 1, x0 + 1, 4]
                )
                down = (
                    a * texture[y0, x0, 5]
                    + b * texture[y0, x0 + 1, 5]
                    + c_ * texture[y0 + 1, x0, 5]
                    + d * texture[y0 + 1, x0 + 1, 5]
                )
                # Across: z × n. Down: roughly -z in the surface.
                nx, ny = nx + right * ny, ny - right * nx
                nz += down
                scale = 1 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
                nx, ny, nz = nx * scale, ny * scale, nz * scale
                strength, exponent, wrap, scatter = gloss, 15.0, 0.22, 0.16
                dark = _smoothstep(inside, 0.15, 0.8)
                if dark > 0:
                    # The inside of the mouth: red, darker with depth, lit through the open lips.
                    depth = max(0.0, py - mouth[0])
                    for c in range(3):
                        albedo[c] = albedo[c] * (1 - dark) + dark * (0.30 if c == 0 else 0.085)
                    lit = (0.07 + 0.40 * math.exp(-depth / 0.014)) * min(1.0, mouth[3] * 45)
                    open_sky = open_sky * (1 - dark) + dark * lit
                    open_key = open_key * (1 - dark) + dark * lit * 0.5
                    strength *= 1 - 0.8 * dark
            else:
                for c in range(3):
                    albedo[c] = w0 * tints[i, c] + w1 * tints[j, c] + w2 * tints[k, c]
                if material == LASH:
                    strength = 0.0
                else:
                    gloss, strength, exponent = 0.6, 0.35, 60.0

            up = 0.5 + 0.5 * nz
            key_cosine = nx * lights[0, 0] + ny * lights[0, 1] + nz * lights[0, 2]
            fill_cosine = nx * lights[2, 0] + ny * lights[2, 1] + nz * lights[2, 2]
            rim_cosine = nx * lights[4, 0] + ny * lights[4, 1] + nz * lights[4, 2]
            fill_lit = max(0.0, (fill_cosine + 0.5) / 1.5)
            rim_lit = max(0.0, rim_cosine)
            hx, hy, hz = vx + lights[0, 0], vy + lights[0, 1], vz + lights[0, 2]
            scale = 1 / (math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9)
            half = max(0.0, (nx * hx + ny * hy + nz * hz) * scale)
            highlight = half**exponent
            if material == SKIN:
                highlight = 0.6 * highlight + 0.9 * half**55
            fresnel = (1 - facing) ** 4
            for c in range(3):
                # Skin scatters red light further past the terminator and into shadows than blue.
                bleed = scatter if c == 0 else (0.3 * scatter if c == 1 else 0.0)
                reach = wrap + bleed
                key_lit = max(0.0, (key_cosine + reach) / (1 + reach)) * (open_key + bleed * (1 - open_key))
                room = lights[6, c] * up + lights[7, c] * (1 - up) + lights[3, c] * fill_lit
                light = lights[1, c] * key_lit + open_sky * room + lights[5, c] * rim_lit * open_sky
                shine = strength * highlight * lights[1, c] * open_key * (key_cosine > 0)
                picture[row, column, c] = (
                    albedo[c] * light + shine + open_sky * fresnel * gloss * (0.30 * lights[6, c] + 0.3 * lights[5, c])
                )
