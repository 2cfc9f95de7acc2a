"""Where the face's points are in every frame, and how the head is turned: by mediapipe's face mesh.

The refined mesh is used: its lips and eyelids follow the picture more closely than the plain one's (on true renders
the eye of a blink falls to a tenth of its height instead of a half). Every frame is looked at by itself, so that no
smoothing over time can hide a jump or delay a mouth.
"""

from __future__ import annotations

import logging

import numpy as np

from ..media.native_code import quiet_native_code

NUM_POINTS = 478  # 468 of the face and two irises of five
MESH_SIZE = 384  # pixels that the longer edge of a picture is scaled to: the mesh wants a face of some size
# Points that neither speech nor brows move: bridge and sides of the nose, corners of the eyes, temples.
STILL_POINTS = (6, 197, 195, 5, 4, 48, 278, 33, 133, 362, 263, 127, 356, 234, 454, 93, 323)


def face_points(frames: np.ndarray) -> np.ndarray:
    """Points [F,478,3] float32 of uint8 frames [F,H,W,3] RGB: column, row and depth in pixels; NaN without a face."""
    import cv2

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


def head_pose(points: np.ndarray) -> np.ndarray:
    """Turn of the head [F,3] against the clip's mean face: yaw, pitch, roll in degrees; NaN where no face was found.

    The rotation is the one that best lays the mean face's still points (column, row, depth) onto the frame's (Kabsch
    1976). The mesh guesses depth from one picture, so small turns carry about half a degree of noise.
    """
    pose = np.full((len(points), 3), np.nan)
    seen = np.isfinite(points[:, 0, 0])
    if not seen.any():
        return pose
    shapes = points[seen][:, STILL_POINTS].astype(np.float64)
    shapes = shapes - shapes.mean(axis=1, keepdims=True)
    shapes /= np.linalg.norm(shapes, axis=(1, 2), keepdims=True)
    mean = shapes.mean(axis=0)
    left, _, right = np.linalg.svd(np.einsum("pi,fpj->fij", mean, shapes))
    flip = np.ones((len(shapes), 3))
    flip[:, 2] = np.sign(np.linalg.det(left @ right))
    turn = np.einsum("fij,fj,fjk->fki", left, flip, right)  # frame = turn @ mean
    yaw = np.arcsin(np.clip(turn[:, 0, 2], -1, 1))
    pitch = np.arctan2(-turn[:, 1, 2], turn[:, 2, 2])
    roll = np.arctan2(-turn[:, 0, 1], turn[:, 0, 0])
    pose[seen] = np.degrees(np.stack([yaw, pitch, roll], axis=1))
    return pose
