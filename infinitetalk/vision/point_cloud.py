"""A picture seen from elsewhere: every pixel a point in space, drawn again for each camera of a path."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_NEAREST = 0.05  # in distances to the subject; nearer points are behind the lens
_SAME_SURFACE = 0.04  # points up to this share behind the nearest one blend with it
_LEAST_WEIGHT = 0.2  # of a pixel that points must cover


def render_path(
    picture: np.ndarray, depth: np.ndarray, intrinsic: np.ndarray, w2c: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The picture's points as each camera sees them.

    Every point is spread over the four pixels around it, the nearest surface wins (z-buffer).

    Args:
        picture: uint8 [height, width, 3]. depth: float [height, width], along the camera's axis.
        intrinsic: [3, 3] in pixels. w2c: world-to-camera, [frames, 4, 4], from the picture's own camera.

    Yields:
        uint8 [height, width, 3], black where no point is; and bool [height, width], true there (a hole).
    """
    import torch

    height, width = picture.shape[:2]
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([columns, rows, np.ones_like(rows)], axis=-1).reshape(-1, 3) @ np.linalg.inv(intrinsic).T
    points = torch.from_numpy((rays * depth.reshape(-1, 1)).astype(np.float32))
    colors = torch.ones(height * width, 4)
    colors[:, :3] = torch.from_numpy(picture.reshape(-1, 3).astype(np.float32))
    for matrix in np.asarray(w2c):
        yield _render(points, colors, np.asarray(intrinsic), matrix, height, width)


def _render(points, colors, intrinsic: np.ndarray, matrix: np.ndarray, height: int, width: int):
    import torch

    # Only rotation and translation differ from picture to picture, so one product projects all points.
    projection = torch.from_numpy((intrinsic @ matrix[:3]).astype(np.float32))
    projected = points @ projection[:, :3].T + projection[:, 3]
    z = projected[:, 2]
    safe = z.clamp(min=_NEAREST)
    x, y = projected[:, 0] / safe - 0.5, projected[:, 1] / safe - 0.5
    x, y = (torch.where((v - v.round()).abs() < 2e-3, v.round(), v) for v in (x, y))  # rounding is no movement
    seen = (z > _NEAREST) & (x > -1) & (x < width) & (y > -1) & (y < height)
    x, y, z, shades = x[seen], y[seen], z[seen], colors[seen]
    left, top = x.floor(), y.floor()
    right_share, bottom_share = x - left, y - top
    stride = width + 2  # a border of one pixel takes what falls outside
    first = (top.long() + 1) * stride + left.long() + 1
    corners = (
        (first, (1 - right_share) * (1 - bottom_share)), (first + 1, right_share * (1 - bottom_share)),
        (first + stride, (1 - right_share) * bottom_share), (first + stride + 1, right_share * bottom_share),
    )  # fmt: skip
    nearest = torch.full((stride * (height + 2),), torch.inf)
    for place, weight in corners:
        # A pixel barely touched is not hidden by the toucher.
        nearest.scatter_reduce_(0, place, torch.where(weight > 0.1, z, torch.inf), "amin")
    sums = torch.zeros(stride * (height + 2), 4)
    for place, weight in corners:
        kept = torch.where(z <= nearest[place] * (1 + _SAME_SURFACE), weight, 0.0)
        sums.index_add_(0, place, shades * kept[:, None])
    sums = sums.view(height + 2, stride, 4)[1:-1, 1:-1].numpy()
    weights = sums[..., 3]
    hole = weights < _LEAST_WEIGHT
    drawn = sums[..., :3] / np.maximum(weights, 1e-6)[..., None]
    drawn[hole] = 0
    drawn, hole = _without_specks(drawn, hole)
    return np.clip(np.rint(drawn), 0, 255).astype(np.uint8), hole


def _without_specks(drawn: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lone missing pixels and lines of one pixel on a surface are cracks between its points, nothing newly seen."""
    import cv2

    around = cv2.boxFilter(hole.astype(np.uint8), -1, (3, 3), normalize=False, borderType=cv2.BORDER_REPLICATE)
    specks = hole & (around <= 3)
    if not specks.any():
        return drawn, hole
    colors = cv2.blur(np.ascontiguousarray(drawn), (3, 3))
    share = cv2.blur((~hole).astype(np.float32), (3, 3))
    drawn[specks] = colors[specks] / share[specks][:, None]
    return drawn, hole & ~specks
