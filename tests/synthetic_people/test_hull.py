"""The height map around a head, and light that reaches points behind things."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="requirements-train.txt is not installed")

from synthetic_people.heads import AXIS_Y
from synthetic_people.hull import (
    COLUMNS,
    ROWS,
    Hull,
    cone_directions,
    hull_coordinates,
    hull_points,
    kept_close,
    light_seen,
    pushed_out,
    sky_directions,
)
from synthetic_people.render import TWO_SIDED

ROUND = Hull(np.full((ROWS, COLUMNS), 0.1, np.float32), np.full((ROWS, COLUMNS), 0.1, np.float32))


def test_coordinates_go_there_and_back() -> None:
    points = np.random.default_rng(0).uniform([-0.1, -0.15, 0.45], [0.1, 0.06, 0.86], (200, 3))
    np.testing.assert_allclose(hull_points(*hull_coordinates(points)), points, atol=1e-6)


def test_points_inside_come_out_and_those_far_away_come_close() -> None:
    points = np.random.default_rng(1).uniform(-0.2, 0.2, (300, 3)) + [0, AXIS_Y, 0.70]
    out = hull_coordinates(pushed_out(ROUND, points, 0.01))[2]
    close = hull_coordinates(kept_close(ROUND, points, 0.03))[2]
    before = hull_coordinates(points)[2]
    np.testing.assert_allclose(out, np.maximum(before, 0.11), atol=1e-5)
    np.testing.assert_allclose(close, np.minimum(before, 0.13), atol=1e-5)


def test_a_wall_shades_what_is_behind_it() -> None:
    """A square of 0.2 m at y = -0.2; light comes from the camera's side."""
    wall = np.asarray([[-0.1, -0.2, 0.6], [0.1, -0.2, 0.6], [0.1, -0.2, 0.8], [-0.1, -0.2, 0.8]], np.float32)
    triangles = np.asarray([[0, 1, 2], [0, 2, 3]], np.int32)
    points = np.asarray([[0.0, 0.0, 0.7], [0.2, 0.0, 0.7], [0.0, -0.25, 0.7]], np.float32)
    seen = light_seen(
        points, np.zeros_like(points), wall, triangles, np.full(2, TWO_SIDED, np.uint8), np.ones(4, np.float32),
        np.asarray([[0.0, -1.0, 0.0]]), np.ones(1),
    )  # fmt: skip
    np.testing.assert_allclose(seen, [0, 1, 1], atol=1e-3)


def test_directions_are_unit_and_where_they_should_be() -> None:
    towards = np.asarray([0.6, -0.8, 0.0])
    cone = cone_directions(towards, 0.2, 9)
    np.testing.assert_allclose(np.linalg.norm(cone, axis=1), 1, atol=1e-9)
    assert np.arccos(cone @ towards).max() < 0.21
    sky, weights = sky_directions(28)
    np.testing.assert_allclose(np.linalg.norm(sky, axis=1), 1, atol=1e-9)
    assert weights[sky[:, 2] > 0.5].mean() > weights[sky[:, 2] < -0.5].mean() > 0
