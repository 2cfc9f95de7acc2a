"""One synthetic person in front of a camera: face weights and head pose in, pictures and exact truth out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infinitetalk.training.synthetic.heads import ACTIONS, AXIS_Y, HeadBank
from infinitetalk.training.synthetic.looks import enlarge, make_background, make_lighting, make_look
from infinitetalk.training.synthetic.render import (
    LASH,
    ONE_SIDED,
    SPARSE,
    SUPERSAMPLING,
    TWO_SIDED,
    Camera,
    project,
    rasterize,
    round_middles,
    shade,
    split_triangles,
    to_srgb,
    vertex_normals,
)

NECK_PIVOT_Z_BELOW_CHIN = 0.02  # metres
FACE_SHARE = 0.62  # chin to hairline as a part of picture height
MOUTH_DOWN = 0.70  # where the closed mouth sits, as a part of picture height


@dataclass(frozen=True)
class Frame:
    """A picture [side, side, 3] uint8 with its truth.

    `mouth_box`: row and column of the first and last corner around the lips, pixels. `openness`: inner lip distance
    divided by mouth width.
    """

    picture: np.ndarray
    mouth_box: np.ndarray
    openness: float


class Person:
    """A head of the bank with its look, light, background and framing, ready to be drawn.

    `head_id` decides who it is; `take_seed` decides light, background and framing of this clip; `smooth` rounds the
    mesh, for stills so large that its edges show.
    """

    def __init__(self, bank: HeadBank, maps: dict[str, np.ndarray], head_id: int, seed: int, take_seed: int, side: int,
                 smooth: bool = False):  # fmt: skip
        rng = np.random.default_rng([seed, head_id, take_seed, 31])
        self.surface, self.actions, self.side = bank.surface, bank.actions, side
        look = make_look(bank, maps, head_id, seed)
        self.rest, self.texture, self.palette = look.rest, look.texture, look.palette
        self.lighting = make_lighting(rng)
        self.background = enlarge(make_background(rng, side), SUPERSAMPLING).astype(np.float32)
        chin, hairline, corner_left, corner_right = self.rest[self.surface.landmarks]
        mouth = self.rest[self.surface.inner_lips].mean(0)
        height = (hairline[2] - chin[2]) / (FACE_SHARE * rng.uniform(0.95, 1.04))
        self.camera = Camera(
            centre_x=float(mouth[0] + height * rng.normal(0, 0.012)),
            centre_z=float(mouth[2] + height * (MOUTH_DOWN - 0.5 + rng.normal(0, 0.010))),
            height=float(height),
            face_y=float(mouth[1]),
        )
        self.mouth_y = float(mouth[1])
        self.mouth_width = float(np.linalg.norm(corner_left - corner_right))
        self.pivot = np.asarray([0.0, AXIS_Y + 0.02, chin[2] - NECK_PIVOT_Z_BELOW_CHIN], np.float32)
        # The neck bends: nothing turns at the shoulders, everything turns above the jaw.
        along = np.clip((self.rest[:, 2] - (self.pivot[2] - 0.06)) / 0.09, 0, 1)
        self.follows = (along * along * (3 - 2 * along))[:, None].astype(np.float32)
        self.eye_slices = [slice(int(start), int(end)) for start, end in self.surface.eyes]
        self.eye_centres = [self.rest[part].mean(0) for part in self.eye_slices]
        self.lip_vertices = np.flatnonzero(self.surface.lips > 0.5)
        self._build_mesh(smooth)

    def _build_mesh(self, smooth: bool) -> None:
        """What is drawn: the surface's triangles, or each cut into four, and what the shader knows of each vertex."""
        surface = self.surface
        self.triangles, self.materials = surface.triangles, surface.materials
        sides = np.where(surface.double_sided, TWO_SIDED, ONE_SIDED)
        self.sides = np.where(surface.materials == LASH, SPARSE, sides).astype(np.uint8)
        self.texels = surface.texture_uv * np.asarray(self.texture.shape[1::-1], np.float32)
        self.interior, self.occlusion = surface.interior, surface.occlusion
        self.edges = np.empty((0, 2), np.int64)
        if smooth:
            self.edges, self.triangles = split_triangles(self.triangles, len(surface.template))
            self.materials, self.sides = np.repeat(self.materials, 4), np.repeat(self.sides, 4)
            self.texels, self.interior, self.occlusion = map(
                self._with_middles, (self.texels, self.interior, self.occlusion)
            )

    def _with_middles(self, values: np.ndarray) -> np.ndarray:
        """Values of the surface's vertices, followed by their averages at the middles of the edges."""
        return np.concatenate([values, values[self.edges].mean(1)]).astype(np.float32)

    def draw(self, weights: dict[str, float], pose: np.ndarray, gaze: np.ndarray) -> Frame:
        """Draw one frame.

        Args: `weights` action name -> 0..1; `pose` [3] yaw, pitch, roll in degrees; `gaze` [2] degrees right and up.
        """
        strength = np.zeros(len(ACTIONS), np.float32)
        for name, value in weights.items():
            strength[ACTIONS.index(name)] = value
        moved = np.flatnonzero(strength)
        vertices = self.rest + np.tensordot(strength[moved], self.actions[moved], 1)
        eye_directions = np.zeros_like(vertices)
        turn = rotation(gaze[0], gaze[1], 0.0)
        for part, centre in zip(self.eye_slices, self.eye_centres, strict=True):
            # Turning the ball moves the painted iris, not the round shape.
            eye_directions[part] = (self.rest[part] - centre) @ turn
        head_turn = rotation(*pose)
        turned = (vertices - self.pivot) @ head_turn.T + self.pivot
        vertices = np.ascontiguousarray(vertices + self.follows * (turned - vertices), np.float32)

        samples = self.side * SUPERSAMPLING
        light = self.lighting
        upper, lower = vertices[self.surface.inner_lips]
        if len(self.edges):
            coarse = vertex_normals(vertices, self.surface.triangles)
            vertices = np.concatenate([vertices, round_middles(vertices, coarse, self.edges)]).astype(np.float32)
            eye_directions = self._with_middles(eye_directions)
        screen = project(vertices, self.camera, samples)
        normals = vertex_normals(vertices, self.triangles)
        index, barycentric = rasterize(screen, self.triangles, self.sides, samples)
        camera = np.asarray(
            [self.camera.centre_x, self.camera.face_y - self.camera.distance, self.camera.centre_z], np.float32
        )
        linear = shade(
            index, barycentric, self.triangles, self.materials, vertices, normals, self.texels, self.interior,
            self.occlusion, eye_directions, self.texture, self.palette, self.mouth_y, camera, light.key_direction,
            light.key, light.fill_direction, light.fill, light.sky, light.ground, self.background,
        )  # fmt: skip
        lips = screen[self.lip_vertices] / SUPERSAMPLING
        box = np.asarray([lips[:, 1].min(), lips[:, 0].min(), lips[:, 1].max(), lips[:, 0].max()], np.float32)
        gap = float(np.linalg.norm(upper - lower) / self.mouth_width)
        return Frame(to_srgb(linear, SUPERSAMPLING), box, gap)


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation [3, 3] float32 by degrees: yaw about z (to the person's left), pitch about x (up), roll about y."""
    a, b, c = np.radians([yaw, -pitch, roll])
    about_z = np.asarray([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.asarray([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_y = np.asarray([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    return (about_z @ about_x @ about_y).astype(np.float32)
