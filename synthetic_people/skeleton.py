"""Two-dimensional joints of a person in a picture: the body's 18 of OpenPose and 68 of the face.

Joints stand on vertices of the shared surface, so their places in a picture are exact; those that no picture of head
and shoulders shows (elbows, wrists, hips, knees, ankles) are marked as not visible.
"""

from __future__ import annotations

import numpy as np

from .heads import AXIS_Y, Surface
from .render import SKIN

BODY = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip
# The usual numbering of 68: jaw line from the person's right ear, brows, nose, eyes, outer lips, inner lips.
FACE = tuple(f"face_{number}" for number in range(68))
JOINTS = (*BODY, *FACE)


def _mirrored(right_half: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(-x, z) for x, z in reversed(right_half)]


def _face_places(surface: Surface) -> np.ndarray:
    """Template x, z [68, 2] of the face's points; x grows to the person's left, numbering starts at their right."""
    jaw_right = [(-0.0735, 0.735), (-0.0725, 0.716), (-0.070, 0.697), (-0.066, 0.678), (-0.058, 0.659), (-0.046, 0.642),
                 (-0.032, 0.629), (-0.016, 0.621)]  # fmt: skip
    jaw = [*jaw_right, (0.0, 0.619), *_mirrored(jaw_right)]
    brow_right = [(-0.0475, 0.7475), (-0.040, 0.7535), (-0.031, 0.7555), (-0.021, 0.7540), (-0.0115, 0.7505)]
    nose = [(0.0, 0.738), (0.0, 0.724), (0.0, 0.711), (0.0, 0.700),
            (-0.0125, 0.6895), (-0.006, 0.688), (0.0, 0.6875), (0.006, 0.688), (0.0125, 0.6895)]  # fmt: skip
    places = [*jaw, *brow_right, *_mirrored(brow_right), *nose]
    # The person's right eye has the smaller x.
    right, left = sorted(
        (surface.template[start:end].mean(0) for start, end in surface.eyes), key=lambda centre: centre[0]
    )
    for centre, sign in ((right, 1.0), (left, -1.0)):
        x, z = centre[0], centre[2]
        outer, inner = (x - sign * 0.0150, z), (x + sign * 0.0145, z - 0.001)
        above = [(x - sign * 0.006, z + 0.0052), (x + sign * 0.006, z + 0.0052)]
        below = [(x + sign * 0.006, z - 0.0050), (x - sign * 0.006, z - 0.0050)]
        if sign > 0:
            places += [outer, *above, inner, *below]
        else:
            places += [inner, *reversed(above), outer, *reversed(below)]
    return np.asarray(places, np.float32)


def joint_vertices(surface: Surface) -> np.ndarray:
    """Vertex of every joint [J] int32, -1 where the surface has none."""
    template = surface.template
    skin = np.zeros(len(template), bool)
    skin[np.unique(surface.triangles[surface.materials == SKIN])] = True
    skin &= surface.interior < 0.3
    front = np.flatnonzero(skin & (template[:, 1] < AXIS_Y + 0.01))

    def nearest(x: float, z: float, among: np.ndarray = front) -> int:
        distance = (template[among, 0] - x) ** 2 + (template[among, 2] - z) ** 2
        close = among[distance < (np.sqrt(distance.min()) + 0.0012) ** 2]
        return int(close[np.argmin(template[close, 1])])

    joints = dict.fromkeys(BODY, -1)
    nose = front[np.argmin(template[front, 1] + 5 * np.abs(template[front, 0]))]
    joints["nose"] = int(nose)
    joints["neck"] = nearest(0.0, 0.545)
    all_skin = np.flatnonzero(skin)
    for side, sign in (("right", -1.0), ("left", 1.0)):
        distance = np.linalg.norm(template[all_skin] - np.asarray([sign * 0.165, AXIS_Y + 0.01, 0.545]), axis=1)
        joints[f"{side}_shoulder"] = int(all_skin[np.argmin(distance)])
        ears = np.flatnonzero((surface.ears > 0.5) & (template[:, 0] * sign > 0))
        joints[f"{side}_ear"] = int(ears[np.argmin(np.abs(template[ears, 2] - template[ears, 2].mean()))])
    for side, (start, end) in zip(("right", "left"), sorted(surface.eyes.tolist(), key=lambda e: template[e[0], 0])):
        joints[f"{side}_eye"] = int(start + np.argmin(template[start:end, 1]))
    face = [nearest(x, z) for x, z in _face_places(surface)]
    return np.asarray([*joints.values(), *face, *_lip_points(surface)], np.int32)


def _lip_points(surface: Surface) -> list[int]:
    """Twelve points around the outer edge of the lips and eight around the inner one, from the person's right."""
    template = surface.template
    lips = np.flatnonzero((surface.lips > 0.3) & (template[:, 1] < -0.09))
    upper, lower = template[surface.inner_lips]
    middle = (upper + lower) / 2
    left, right = template[surface.landmarks[2]], template[surface.landmarks[3]]

    def corner(place: np.ndarray) -> int:
        return int(lips[np.argmin(np.linalg.norm(template[lips] - place, axis=1))])

    def at(x: float, upwards: bool, outer: bool) -> int:
        side = lips[(template[lips, 2] > middle[2]) == upwards]
        score = np.abs(template[side, 0] - x)
        near = side[score < score.min() + 0.0025]
        height = (template[near, 2] - middle[2]) * (1 if upwards else -1)
        if outer:
            return int(near[np.argmax(height)])
        return int(near[np.argmin(np.abs(height) + 2.0 * np.maximum(template[near, 1] - middle[1] - 0.002, 0))])

    half = (left[0] - right[0]) / 2
    upper_outer = [at(share * half, True, True) for share in (-0.66, -0.33, 0.0, 0.33, 0.66)]
    lower_outer = [at(share * half, False, True) for share in (0.66, 0.33, 0.0, -0.33, -0.66)]
    upper_inner = [at(-0.4 * half, True, False), int(surface.inner_lips[0]), at(0.4 * half, True, False)]
    lower_inner = [at(0.4 * half, False, False), int(surface.inner_lips[1]), at(-0.4 * half, False, False)]
    ends = corner(right), corner(left)
    return [ends[0], *upper_outer, ends[1], *lower_outer, ends[0], *upper_inner, ends[1], *lower_inner]


def project_joints(screen: np.ndarray, vertices: np.ndarray, side: int) -> np.ndarray:
    """Joints [J, 3]: x, y in shares of the picture, and 1 where inside it, from `screen` [V, 3] in samples."""
    place = screen[np.maximum(vertices, 0), :2] / side
    visible = (vertices >= 0) & (place > 0).all(1) & (place < 1).all(1)
    joints = np.concatenate([place, visible[:, None]], 1)
    joints[vertices < 0] = 0
    return joints.astype(np.float32)
