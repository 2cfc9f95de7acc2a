"""One synthetic person in front of a camera: face weights, motion and camera in, pictures and exact truth out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import maximum_filter

from . import hair, outfit, skin
from .backdrop import MARGIN, make_backdrop
from .hairstyles import choose_style
from .heads import ACTIONS, AXIS_Y, HeadBank
from .hull import cone_directions, light_seen, make_hull, sky_directions
from .lights import make_lighting
from .photograph import choose_development, develop
from .render import (
    EYE,
    HAIR,
    LASH,
    ONE_SIDED,
    SKIN,
    SPARSE,
    SUPERSAMPLING,
    TEETH,
    TONGUE,
    TWO_SIDED,
    Camera,
    add_lenses,
    from_srgb,
    project,
    rasterize,
    round_middles,
    sample_background,
    split_triangles,
    vertex_normals,
)
from .shading import shade
from .skeleton import joint_vertices, project_joints

NECK_PIVOT_Z_BELOW_CHIN = 0.02  # metres
FACE_SHARE = 0.57  # chin to hairline as a part of picture height: a face mesh's forehead to chin is then 0.55 of it
MOUTH_DOWN = 0.70  # where the closed mouth sits, as a part of picture height
MASK_SIDE = 64


@dataclass(frozen=True)
class Frame:
    """A picture [side, side, 3] uint8 with its truth.

    `mouth_box`, `eye_box`: row and column of the first and last corner around the lips and both eyes, pixels.
    `openness`: inner lip distance divided by mouth width. `mask`: [64, 8] packed bits of 64 × 64, the person.
    `joints`: [J, 3], see `skeleton.JOINTS`.
    """

    picture: np.ndarray
    mouth_box: np.ndarray
    eye_box: np.ndarray
    openness: float
    mask: np.ndarray
    joints: np.ndarray


@dataclass(frozen=True)
class Stance:
    """What differs from frame to frame besides the face, all in rest by default.

    pose: yaw, pitch, roll in degrees. gaze: degrees right and up in the head. body: metres right, back, up.
    lean: degrees. shrug: metres. view: pan right, pan down in shares of the picture, and zoom.
    """

    pose: Sequence[float] = (0.0, 0.0, 0.0)
    gaze: Sequence[float] = (0.0, 0.0)
    body: Sequence[float] = (0.0, 0.0, 0.0)
    lean: float = 0.0
    shrug: float = 0.0
    view: Sequence[float] = (0.0, 0.0, 1.0)


class Person:
    """A head of the bank with its look, clothes, light, background and framing, ready to be drawn.

    `head_id` decides who it is; `take_seed` decides clothes, light, background, camera and framing of this clip;
    `still` makes a large picture: the mesh is rounded, hair is finer and the camera is a good one.
    """

    def __init__(self, bank: HeadBank, maps: dict[str, np.ndarray], head_id: int, seed: int, take_seed: int, side: int,
                 still: bool = False):  # fmt: skip
        who, take = np.random.default_rng([seed, head_id, 23]), np.random.default_rng([seed, head_id, take_seed, 31])
        self.surface, self.actions, self.side = bank.surface, bank.actions, side
        self.rest = _with_teeth_shown(_aligned(bank.rest[head_id], self.surface), self.surface)
        self._build_look(bank, maps, head_id, seed, who, take, finer=2.4 if still else 1.0)
        self.backdrop = make_backdrop(take, side if side <= 256 else side // 2)
        self.lighting = make_lighting(take, self.complexion.skin, self.backdrop.mean((0, 1)))
        self.development = choose_development(take, side, plain=still)
        self._build_camera(take)
        self._build_mesh(still)
        self._bake_light()
        self._leave_out_hidden_hair()
        self._still_background: np.ndarray | None = None

    def _build_look(self, bank, maps, head_id, seed, who, take, finer: float) -> None:
        surface, traits = self.surface, bank.traits[head_id]
        skin_triangles = surface.triangles[surface.materials == SKIN]
        normals = vertex_normals(self.rest, skin_triangles)
        outside = skin_triangles[surface.interior[skin_triangles].max(1) < 0.3]
        hull = make_hull(self.rest, outside)
        self.complexion = look = skin.choose_complexion(traits, who)
        # Threads have numbers of their own, so that a still with more of them shows the same person.
        threads = np.random.default_rng([seed, head_id, 29])
        style = choose_style(who, look.female, look.age, traits["african"])
        style = replace(style, count=round(style.count * finer), width=style.width * finer**-0.6)
        headwear = str(who.choice(["", "beanie", "scarf"], p=[0.90, 0.05, 0.05] if look.female else [0.93, 0.07, 0.0]))
        shaven = {"bald": 0.12, "buzz": 0.75, "receding": 0.55, "crop": 0.8}.get(style.name, 0.9)
        self.texture = skin.paint(maps, look, shaven, style.hairline, who)
        tooth = from_srgb(np.asarray([0.93, 0.89, 0.81]) * who.uniform(0.9, 1.03))
        self.palette = np.stack([
            look.iris, look.iris * 0.22, from_srgb(np.asarray([0.86, 0.83, 0.81])), np.clip(tooth, 0, 1),
            np.asarray([0.42, 0.14, 0.13]),
        ]).astype(np.float32)  # fmt: skip
        ribbons = []
        if headwear != "scarf":
            grown = hair.grow(style, surface, self.rest, normals, hull, look.hair, threads)
            if headwear == "beanie":
                grown = grown.only(grown.points[:, 0, 2] < 0.745)
            ribbons.append(grown)
        lengths = {
            "short": 0.005,
            "full": who.uniform(0.009, 0.02),
            "goatee": who.uniform(0.006, 0.014),
            "moustache": 0.008,
        }
        if look.beard in lengths:
            ribbons.append(hair.grow_beard(surface, self.rest, normals, look.hair * 0.85, look.beard,
                                           lengths[look.beard], skin.beard_cover, threads))  # fmt: skip
        self.style, self.headwear, self.ribbons = style, headwear, ribbons
        self.cloth, colour = outfit.make_cloth(take)
        pieces = outfit.make_clothes(surface, self.rest, normals, hull, colour, take, look.female)
        if headwear:
            make = outfit.make_beanie if headwear == "beanie" else outfit.make_headscarf
            pieces += make(hull, outfit.make_cloth(who)[1], who)
        self.lenses = None
        if who.random() < 0.26:
            worn, self.lenses = outfit.make_glasses(self.rest, surface, who)
            pieces += worn
        self.pieces = pieces

    def _build_camera(self, take: np.random.Generator) -> None:
        chin, hairline, corner_left, corner_right = self.rest[self.surface.landmarks]
        mouth = self.rest[self.surface.inner_lips].mean(0)
        height = (hairline[2] - chin[2]) / (FACE_SHARE * np.exp(np.clip(take.normal(0, 0.05), -0.12, 0.08)))
        self.camera = Camera(
            centre_x=float(mouth[0] + height * take.normal(0, 0.015)),
            centre_z=float(mouth[2] + height * (MOUTH_DOWN - 0.5 + take.normal(0, 0.012))),
            height=float(height),
            face_y=float(mouth[1]),
            distance=float(take.uniform(0.7, 1.3)),
        )
        self.mouth_y = float(mouth[1])
        self.mouth_width = float(np.linalg.norm(corner_left - corner_right))
        self.pivot = np.asarray([0.0, AXIS_Y + 0.02, chin[2] - NECK_PIVOT_Z_BELOW_CHIN], np.float32)

    def _build_mesh(self, still: bool) -> None:
        """Everything that is drawn in one mesh: the surface (at times rounded), worn pieces, hair."""
        surface = self.surface
        triangles, materials = surface.triangles, surface.materials
        sides = np.where(surface.double_sided, TWO_SIDED, ONE_SIDED)
        sides = np.where(materials == LASH, SPARSE, sides).astype(np.uint8)
        self.edges = np.empty((0, 2), np.int64)
        if still:
            self.edges, triangles = split_triangles(triangles, len(surface.template))
            materials, sides = np.repeat(materials, 4), np.repeat(sides, 4)
        self.surface_triangles = triangles
        self.num_surface = count = len(surface.template) + len(self.edges)
        texels = self._with_middles(surface.texture_uv * np.asarray(self.texture.shape[1::-1], np.float32))
        interior = self._with_middles(surface.interior)
        tints = np.zeros((count, 3), np.float32)
        tints[:] = self.complexion.hair * 0.05  # lashes
        all_triangles, all_materials, all_sides = [triangles], [materials], [sides]
        extra, grows, extra_tints, extra_texels, extra_cuts, extra_share, on_head = [], [], [], [], [], [], []
        first = count
        for piece in self.pieces:
            size = len(piece.vertices)
            extra.append(piece.vertices)
            normals = vertex_normals(piece.vertices, piece.triangles)
            grows.append(normals)
            extra_tints.append(piece.tints)
            extra_texels.append(piece.texels)
            extra_cuts.append(piece.cuts)
            extra_share.append(np.zeros(size, np.float32))
            on_head.append(np.full(size, piece.on_head))
            all_triangles.append(piece.triangles + first)
            all_materials.append(np.full(len(piece.triangles), piece.material, np.uint8))
            all_sides.append(np.full(len(piece.triangles), piece.side, np.uint8))
            first += size
        self.anchored = slice(first, first)
        self.anchor_corners, self.anchor_weights = [], []
        # Hair carried by the face comes first, so that it is one slice.
        for ribbons in sorted(self.ribbons, key=lambda r: not r.follow_face):
            vertices, tangents, faces = hair.ribbon_mesh(ribbons, first)
            per_thread = ribbons.points.shape[1] * 2
            extra.append(vertices)
            grows.append(tangents)
            extra_tints.append(np.repeat(ribbons.tints.reshape(-1, 3), 2, 0))
            extra_texels.append(np.zeros((len(vertices), 2), np.float32))
            extra_cuts.append(np.ones(len(vertices), np.float32))
            share = np.linspace(0, 1, ribbons.points.shape[1])
            extra_share.append(np.tile(np.repeat(share, 2), len(ribbons.points)))
            on_head.append(np.zeros(len(vertices), bool))
            all_triangles.append(faces)
            all_materials.append(np.full(len(faces), HAIR, np.uint8))
            all_sides.append(np.full(len(faces), TWO_SIDED, np.uint8))
            first += len(vertices)
            if ribbons.follow_face:
                corners = surface.triangles[ribbons.root_triangles]
                self.anchor_corners.append(np.repeat(corners, per_thread, 0))
                self.anchor_weights.append(np.repeat(ribbons.root_weights, per_thread, 0))
                self.anchored = slice(self.anchored.start, first)
        self.anchor_corners = np.concatenate([np.empty((0, 3), np.int32), *self.anchor_corners])
        self.anchor_weights = np.concatenate([np.empty((0, 3)), *self.anchor_weights]).astype(np.float32)[..., None]
        self.extra = np.concatenate(extra).astype(np.float32)
        self.extra_directions = np.concatenate(grows).astype(np.float32)
        self.triangles = np.concatenate(all_triangles).astype(np.int32)
        self.materials, self.sides = np.concatenate(all_materials), np.concatenate(all_sides)
        self.tints = np.concatenate([tints, *extra_tints]).astype(np.float32)
        self.texels = np.concatenate([texels, *extra_texels]).astype(np.float32)
        self.cuts = np.concatenate([np.ones(count, np.float32), *extra_cuts]).astype(np.float32)
        share = np.concatenate([np.zeros(count), *extra_share])
        self.traits = np.zeros((len(share), 4), np.float32)
        self.traits[:count, 0], self.traits[:, 3] = interior, share
        # The neck bends: nothing turns at the shoulders, everything turns above the jaw.
        heights = np.concatenate([self._with_middles(self.rest[:, 2]), self.extra[:, 2]])
        along = np.clip((heights - (self.pivot[2] - 0.06)) / 0.09, 0, 1)
        follows = along * along * (3 - 2 * along)
        follows[count:][np.concatenate(on_head)] = np.maximum(follows[count:], 0.35)[np.concatenate(on_head)]
        self.follows = follows[:, None].astype(np.float32)
        self.eye_slices = [slice(int(start), int(end)) for start, end in surface.eyes]
        self.eye_centres = [self.rest[part].mean(0) for part in self.eye_slices]
        self.lip_vertices = np.flatnonzero(surface.lips > 0.5)
        self.joints = joint_vertices(surface)
        middle = self.rest[surface.inner_lips].mean(0)
        self.local = np.zeros_like(self.rest)
        for material in (TEETH, TONGUE):
            part = np.unique(surface.triangles[surface.materials == material])
            self.local[part] = self.rest[part] - middle

    def _bake_light(self) -> None:
        """How much of the sky and of the key light reaches every vertex, in rest: soft shadows for the whole clip."""
        vertices, directions = self._place(np.zeros(len(ACTIONS), np.float32), Stance())
        hidden = np.isin(self.materials, (EYE, TEETH, TONGUE, LASH))
        casting = self.triangles[~hidden], self.sides[~hidden]
        surface_normals = vertex_normals(vertices[: self.num_surface], self.surface_triangles)
        split = self.num_surface + len(np.concatenate([piece.vertices for piece in self.pieces]))
        normals = np.zeros_like(vertices)
        normals[:split] = np.concatenate([surface_normals, self.extra_directions[: split - self.num_surface]])
        sky, weights = sky_directions(28)
        cone = cone_directions(self.lighting.key_direction, self.lighting.softness, 9)
        self.traits[:, 1] = light_seen(vertices, normals, vertices, *casting, self.cuts, sky, weights)
        lamp = np.ones(len(cone))
        self.traits[:, 2] = light_seen(vertices, 0 * normals, vertices, *casting, self.cuts, cone, lamp)
        self.traits[split:, 1] = np.clip(0.25 + 1.1 * self.traits[split:, 1], 0, 1)
        self.traits[split:, 2] = np.clip(0.12 + 1.0 * self.traits[split:, 2], 0, 1)
        # A beard lies on the skin and shares its light.
        self.traits[self.anchored, 1:3] = 0.55 + 0.35 * self.traits[self.anchored, 1:3]
        self.traits[:split, 1] = np.clip(0.10 + 0.95 * self.traits[:split, 1], 0, 1)

    def _leave_out_hidden_hair(self) -> None:
        """Drop triangles of hair that the head hides from the camera however it turns (about half of them)."""
        vertices, _ = self._place(np.zeros(len(ACTIONS), np.float32), Stance())
        side = 128
        screen = project(vertices, self.camera, side)
        solid = self.materials != HAIR
        depth = rasterize(screen, self.triangles[solid], self.sides[solid], self.cuts, side)[2]
        # Hidden means behind everything within a sixteenth of the picture: heads turn by some ten degrees.
        farthest = maximum_filter(depth, 2 * (side // 16) + 1)
        place = np.clip(screen[:, :2].astype(int), 0, side - 1)
        hidden = screen[:, 2] > farthest[place[:, 1], place[:, 0]] + 0.01
        kept = solid | ~hidden[self.triangles].all(1)
        self.triangles, self.materials, self.sides = self.triangles[kept], self.materials[kept], self.sides[kept]

    def _with_middles(self, values: np.ndarray) -> np.ndarray:
        """Values of the surface's vertices, followed by their averages at the middles of the edges."""
        if not len(self.edges):
            return np.asarray(values, np.float32)
        return np.concatenate([values, values[self.edges].mean(1)]).astype(np.float32)

    def _place(self, strength: np.ndarray, stance: Stance) -> tuple[np.ndarray, np.ndarray]:
        """All vertices [V, 3] with the face's actions at `strength` [A], and directions of what is worn and grows."""
        moved = np.flatnonzero(strength)
        offsets = np.tensordot(strength[moved], self.actions[moved], 1).astype(np.float32)
        surface = self.rest + offsets
        if len(self.edges):
            coarse = vertex_normals(surface, self.surface.triangles)
            surface = np.concatenate([surface, round_middles(surface, coarse, self.edges)]).astype(np.float32)
        vertices = np.concatenate([surface, self.extra])
        if len(moved):
            vertices[self.anchored] += (offsets[self.anchor_corners] * self.anchor_weights).sum(1)
        turn = rotation(*stance.pose)
        turned = (vertices - self.pivot) @ turn.T + self.pivot
        vertices = vertices + self.follows * (turned - vertices)
        vertices[:, 2] += stance.shrug * (1 - self.follows[:, 0])
        directions = self.extra_directions + self.follows[self.num_surface :] * (
            self.extra_directions @ turn.T - self.extra_directions
        )
        if stance.lean or np.any(stance.body):
            base = np.asarray([0, AXIS_Y, 0.42], np.float32)
            tilt = rotation(0, 0, stance.lean)
            vertices = (vertices - base) @ tilt.T + base + np.asarray(stance.body, np.float32)
        return np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(directions, np.float32)

    def _background(self, view: np.ndarray, samples: int) -> np.ndarray:
        still = view[0] == 0 and view[1] == 0 and view[2] == 1
        if still and self._still_background is not None:
            return self._still_background.copy()
        wide = self.backdrop.shape[0] / MARGIN
        extent = wide / view[2]
        middle = self.backdrop.shape[0] / 2
        left, top = middle + view[0] * wide - extent / 2, middle + view[1] * wide - extent / 2
        picture = sample_background(self.backdrop, samples, left, top, extent)
        if still:
            self._still_background = picture.copy()
        return picture

    def draw(self, weights: dict[str, float], stance: Stance | None = None) -> Frame:
        """Draw one frame from `weights`, action name -> 0..1 (see `heads.ACTIONS`), and the stance."""
        stance = stance or Stance()
        strength = np.zeros(len(ACTIONS), np.float32)
        for name, value in weights.items():
            strength[ACTIONS.index(name)] = value
        vertices, directions = self._place(strength, stance)
        turn = rotation(stance.gaze[0], stance.gaze[1], 0.0)
        for part, centre in zip(self.eye_slices, self.eye_centres, strict=True):
            # Turning the ball moves the painted iris, not the round shape.
            self.local[part] = (self.rest[part] - centre) @ turn
        upper, lower = vertices[self.surface.inner_lips]
        apart = float(np.linalg.norm(upper - lower))

        samples = self.side * SUPERSAMPLING
        screen = project(vertices, self.camera, samples, stance.view)
        normals = np.concatenate([vertex_normals(vertices[: self.num_surface], self.surface_triangles), directions])
        index, barycentric, depth = rasterize(screen, self.triangles, self.sides, self.cuts, samples)
        picture = self._background(stance.view, samples)
        mouth = np.asarray([(upper[1] + lower[1]) / 2, upper[2], lower[2], apart], np.float32)
        shade(
            index, barycentric, self.triangles, self.materials, vertices, normals, self.texels, self.traits,
            self.tints, self._with_middles(self.local), self.texture, self.cloth, self.palette, mouth,
            self.camera.position, self.lighting.packed(), picture,
        )  # fmt: skip
        if self.lenses is not None:
            glass = (self.lenses.vertices - self.pivot) @ rotation(*stance.pose).T + self.pivot
            if stance.lean or np.any(stance.body):
                base = np.asarray([0, AXIS_Y, 0.42], np.float32)
                glass = (glass - base) @ rotation(0, 0, stance.lean).T + base + np.asarray(stance.body, np.float32)
            add_lenses(picture, depth, project(glass, self.camera, samples, stance.view), self.lenses.triangles,
                       self.lenses.sheen)  # fmt: skip
        eyes = np.concatenate([screen[part] for part in self.eye_slices]) / SUPERSAMPLING
        cell = samples // MASK_SIDE
        mask = (index >= 0)[: cell * MASK_SIDE, : cell * MASK_SIDE]
        mask = mask.reshape(MASK_SIDE, cell, MASK_SIDE, cell).mean((1, 3)) > 0.5
        joints = project_joints(screen, self.joints, samples)
        return Frame(
            picture=develop(picture, self.development),
            mouth_box=_box(screen[self.lip_vertices] / SUPERSAMPLING),
            eye_box=_box(eyes),
            openness=apart / self.mouth_width,
            mask=np.packbits(mask, axis=1),
            joints=joints,
        )


def _aligned(rest: np.ndarray, surface) -> np.ndarray:
    """A rest shape [V, 3] moved and scaled so that eyes and chin are where the template's are: tall or short, framing,
    hair and clothes find them at the same height.
    """

    def marks(vertices: np.ndarray) -> tuple[np.ndarray, float]:
        eyes = np.concatenate([vertices[start:end] for start, end in surface.eyes]).mean(0)
        return eyes, float(eyes[2] - vertices[surface.landmarks[0], 2])

    (eyes, height), (wanted_eyes, wanted_height) = marks(rest), marks(surface.template)
    return ((rest - eyes) * (wanted_height / height) + wanted_eyes).astype(np.float32)


def _with_teeth_shown(rest: np.ndarray, surface) -> np.ndarray:
    """The rest shape with its rows of teeth where speech shows them: the upper edge just above the lips' line."""
    teeth = np.unique(surface.triangles[surface.materials == TEETH])
    line = rest[surface.inner_lips].mean(0)[2]
    moved = rest.copy()
    upper = teeth[surface.template[teeth, 2] > np.median(surface.template[teeth, 2])]
    lower = np.setdiff1d(teeth, upper)
    moved[upper, 2] += line + 0.0012 - rest[upper, 2].min()
    moved[lower, 2] += min(0.0, line - 0.0028 - rest[lower, 2].max())
    return moved


def _box(points: np.ndarray) -> np.ndarray:
    """Row and column of the first and of the last corner around points [N, 2+] of x, y: [4] float32."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    return np.asarray([low[1], low[0], high[1], high[0]], np.float32)


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation [3, 3] float32 by degrees: yaw about z (to the person's left), pitch about x (up), roll about y."""
    a, b, c = np.radians([yaw, -pitch, roll])
    about_z = np.asarray([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.asarray([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_y = np.asarray([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    return (about_z @ about_x @ about_y).astype(np.float32)
