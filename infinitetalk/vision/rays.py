"""Where each pixel looks: the ray embedding of the published camera control (Uni3C, `src/camera.py`).

Six numbers for every pixel: the ray's direction, and origin x direction (Pluecker). Kept as published: a pixel's x is
its column - 0.5 while its y is its row + 0.5, and the first view is made the identity by multiplying its
camera-to-world matrix from the left.
"""

from __future__ import annotations

import numpy as np

DISTANCE = 2.0  # of the first camera from the middle of all
_FAR = 10  # cameras further than this many times the 97th percentile from the median do not count for the middle


def ray_embedding(
    intrinsic: np.ndarray, w2c: np.ndarray, height: int, width: int, normalize: bool = True
) -> np.ndarray:
    """The camera of every frame as the network reads it.

    Args:
        intrinsic: [3, 3] in pixels of `height` x `width`. w2c: world-to-camera, [frames, 4, 4].
        normalize: first view to identity, centred, first camera at distance 2, as the network was trained.

    Returns:
        float32 [6, frames, height, width].
    """
    w2c = np.asarray(w2c, np.float64)
    c2w = np.linalg.inv(normalized(w2c) if normalize else w2c)
    x, y = np.arange(width) - 0.5, np.arange(height) + 0.5
    pixels = np.stack([*np.broadcast_arrays(x[None], y[:, None]), np.ones((height, width))], axis=-1)
    directions = pixels @ np.linalg.inv(np.asarray(intrinsic, np.float64)).T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    embedding = np.empty((6, len(w2c), height, width), np.float32)
    for frame, matrix in enumerate(c2w):
        turned = directions @ matrix[:3, :3].T
        embedding[:3, frame] = turned.transpose(2, 0, 1)
        embedding[3:, frame] = np.cross(matrix[:3, 3], turned).transpose(2, 0, 1)
    return embedding


def normalized(w2c: np.ndarray) -> np.ndarray:
    """[frames, 4, 4] → the same moved and scaled as published."""
    moved = np.linalg.inv(w2c[0]) @ w2c
    c2w = np.linalg.inv(moved)
    centres = c2w[:, :3, 3]
    # torch's median, used upstream, is the lower of two middle values.
    median = np.sort(centres, axis=0)[(len(centres) - 1) // 2]
    away = np.linalg.norm(centres - median, axis=1)
    near = away <= min(np.quantile(away, 0.97) * _FAR, 1e6)
    c2w[:, :3, 3] -= centres[near].mean(axis=0)
    first = np.linalg.norm(c2w[0, :3, 3])
    scaled = np.linalg.inv(c2w)
    scaled[:, :3, 3] *= DISTANCE if first < 1e-5 else DISTANCE / first
    return scaled
