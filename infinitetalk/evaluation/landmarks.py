"""Where the face's points are in every frame: mediapipe's face mesh, its models part of the 0.10.21 wheel.

The refined mesh is used: its lips and eyelids follow the picture more closely than the plain one's (on true renders
the eye of a blink falls to a tenth of its height instead of a half). Every frame is looked at by itself, so that no
smoothing over time can hide a jump or delay a mouth.
"""

from __future__ import annotations

import logging

import cv2
import numpy as np

from ..media.native_code import quiet_native_code

NUM_POINTS = 478  # 468 of the face and two irises of five
MESH_SIZE = 384  # pixels that the longer edge of a picture is scaled to: the mesh wants a face of some size

# The inner lips' middle and corners, the outer lips' middle and corners.
UPPER_LIP, LOWER_LIP, LEFT_CORNER, RIGHT_CORNER = 13, 14, 78, 308
OUTER_UPPER_LIP, OUTER_LOWER_LIP, OUTER_LEFT_CORNER, OUTER_RIGHT_CORNER = 0, 17, 61, 291
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409)
# Outer and inner corner, upper and lower lid of each eye.
EYES = ((33, 133, 159, 145), (263, 362, 386, 374))
LEFT_EYE, RIGHT_EYE = 33, 263  # the outer corners, whose distance is the face's own yardstick
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
# Points that neither speech nor brows move: bridge and sides of the nose, corners of the eyes, temples.
STILL_POINTS = (6, 197, 195, 5, 4, 48, 278, 33, 133, 362, 263, 127, 356, 234, 454, 93, 323)


def face_points(frames: np.ndarray) -> np.ndarray:
    """Points [F,478,3] float32 of uint8 frames [F,H,W,3] RGB: column, row and depth in pixels; NaN without a face."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    with quiet_native_code():
        from mediapipe.python.solutions.face_mesh import FaceMesh

        height, width = frames.shape[1:3]
        scale = MESH_SIZE / max(height, width)
        points = np.full((len(frames), NUM_POINTS, 3), np.nan, np.float32)
        with FaceMesh(
            static_image_mode=True, max_num_faces=1, min_detection_confidence=0.4, refine_landmarks=True
        ) as mesh:
            for index, frame in enumerate(frames):
                large = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
                faces = mesh.process(large).multi_face_landmarks
                if faces:
                    points[index] = [(p.x, p.y, p.z) for p in faces[0].landmark]
        return points * np.float32((width, height, width))


def distance(points: np.ndarray, one: int, other: int) -> np.ndarray:
    """Pixels in the picture's plane between two points of each frame: [F]."""
    return np.linalg.norm(points[:, one, :2] - points[:, other, :2], axis=1)


def eye_distance(points: np.ndarray) -> np.ndarray:
    """[F] pixels between the outer corners of the eyes."""
    return distance(points, LEFT_EYE, RIGHT_EYE)
