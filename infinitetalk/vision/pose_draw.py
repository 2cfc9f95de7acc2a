"""The skeleton pictures that the published pose modules were trained on (UniAnimate's alignment scripts).

UniAnimate: black canvas of 512 x 768 whatever the film's shape, bones as ellipses, the canvas dimmed, joints as discs,
hands as lines; saved as a JPEG in blue-green-red order and read as RGB, so colours appear reversed; then resized to the
film. VACE (vace/annotators/pose.py, its body alone): the same bones and discs without feet and hands, on a canvas of
the film's shape whose shorter side is 1024, colours reversed too. The dots that it can draw on a face are left out:
they would hold the lips that speak.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterator

import numpy as np

from .pose import BONES, HAND_BONES, LEFT_HAND, NUM_BODY, RIGHT_HAND, PoseSequence

CANVAS_WIDTH, CANVAS_HEIGHT = 512, 768
_HALF_WIDTH = 4  # of a bone, in pixels of the canvas
_RADIUS = 4  # of a joint
_HAND_LINE = 2
_DIMMED = 0.6  # bones, before joints are drawn
_COLORS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
    (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255),
    (255, 0, 170), (255, 0, 85), (170, 255, 255), (255, 255, 0),
)  # fmt: skip
_HAND_POINT = (0, 0, 255)
_VACE_SIDE, _VACE_JOINTS, _VACE_BONES = 1024, 18, 17


def draw_skeletons(sequence: PoseSequence, height: int, width: int) -> Iterator[np.ndarray]:
    """One picture for each frame: uint8 [height, width, 3] as RGB, values as the networks get them (divide by 255)."""
    for joints, seen in zip(sequence.joints, sequence.seen):
        yield draw_skeleton(joints / (sequence.width, sequence.height), seen, height, width)


def draw_skeleton(joints: np.ndarray, seen: np.ndarray, height: int, width: int) -> np.ndarray:
    """One frame.

    Args:
        joints: [62, 2], (x, y) as shares of the picture's width and height.
        seen: bool [62].

    Returns:
        uint8 [height, width, 3].
    """
    import cv2

    canvas, points, seen = _body(joints, seen, CANVAS_HEIGHT, CANVAS_WIDTH, len(BONES), NUM_BODY)
    for hand in (LEFT_HAND, RIGHT_HAND):
        _draw_hand(canvas, points[hand].astype(int), seen[hand])
    written = cv2.imencode(".jpg", canvas)[1]  # with the artefacts that the modules know
    drawn = cv2.resize(cv2.imdecode(written, cv2.IMREAD_COLOR), (width, height))
    return np.ascontiguousarray(drawn[..., ::-1])


def draw_vace_skeletons(sequence: PoseSequence, height: int, width: int) -> Iterator[np.ndarray]:
    """The same for VACE."""
    import cv2

    scale = _VACE_SIDE / min(height, width)
    size = round(scale * height), round(scale * width)
    for joints, seen in zip(sequence.joints, sequence.seen):
        joints = joints / (sequence.width, sequence.height)
        canvas, _, _ = _body(joints, seen, *size, _VACE_BONES, _VACE_JOINTS)
        drawn = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
        yield np.ascontiguousarray(drawn[..., ::-1])


def _body(
    joints: np.ndarray, seen: np.ndarray, height: int, width: int, num_bones: int, num_joints: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A canvas uint8 [height, width, 3] with a body, its joints in pixels, and which of them are near enough."""
    import cv2

    points = np.asarray(joints, np.float64) * (width, height)
    # A joint far outside would make OpenCV draw for minutes, and its coordinates overflow.
    seen = np.asarray(seen) & (np.abs(points) < 8 * max(height, width)).all(axis=1)
    canvas = np.zeros((height, width, 3), np.uint8)
    for (start, end), color in zip(BONES[:num_bones], _COLORS):
        if seen[start] and seen[end]:
            (x, y), (dx, dy) = (points[start] + points[end]) / 2, points[start] - points[end]
            angle = int(math.degrees(math.atan2(dy, dx)))
            outline = cv2.ellipse2Poly((int(x), int(y)), (int(math.hypot(dx, dy) / 2), _HALF_WIDTH), angle, 0, 360, 1)
            cv2.fillConvexPoly(canvas, outline, color)
    canvas = (canvas * _DIMMED).astype(np.uint8)
    for joint in range(num_joints):
        if seen[joint]:
            cv2.circle(canvas, (int(points[joint, 0]), int(points[joint, 1])), _RADIUS, _COLORS[joint], -1)
    return canvas, points, seen


def _draw_hand(canvas: np.ndarray, points: np.ndarray, seen: np.ndarray) -> None:
    import cv2

    shown = seen & (points > 0).all(axis=1)
    for index, (start, end) in enumerate(HAND_BONES):
        if shown[start] and shown[end]:
            color = [255 * part for part in colorsys.hsv_to_rgb(index / len(HAND_BONES), 1.0, 1.0)]
            cv2.line(canvas, points[start].tolist(), points[end].tolist(), color, _HAND_LINE)
    for point in points[shown]:
        cv2.circle(canvas, point.tolist(), _RADIUS, _HAND_POINT, -1)
