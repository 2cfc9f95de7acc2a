"""What the networks are given for one chunk."""

from __future__ import annotations

import numpy as np

from infinitetalk.control.camera_path import preset_path
from infinitetalk.control.conditions import camera_condition, pose_condition
from infinitetalk.control.pose_draw import draw_skeletons

from .test_pose import standing


def test_camera_of_a_chunk_starts_at_its_own_reference(photo, scene):
    small, depth = np.ascontiguousarray(photo[::3, ::3]), np.ascontiguousarray(scene.depth[::3, ::3])
    path = preset_path("pan", 1.0, 4.0)
    chunk = camera_condition(small, depth, path, 5, start_frame=40)
    assert chunk.render.shape == (5, 128, 128, 3) and chunk.holes.shape == (5, 128, 128)
    assert np.array_equal(chunk.render[0], small) and not chunk.holes[0].any()
    assert np.allclose(chunk.w2c[0], np.eye(4)) and chunk.holes[4].any()
    assert set(np.unique(chunk.holes)) == {0, 1} and (chunk.render[chunk.holes == 1] == 0).all()
    whole = path.w2c(45)
    assert np.allclose(chunk.w2c[4] @ whole[40], whole[44])


def test_pose_of_a_chunk():
    sequence = standing(100)
    sequence.joints[:, :, 0] += np.arange(100)[:, None]
    chunk = pose_condition(sequence, standing(), 96, 64, 5, start_frame=20, offset_seconds=0.4, speed=2)
    assert chunk.skeletons.shape == (5, 96, 64, 3) and chunk.reference.shape == (96, 64, 3)
    expected = list(draw_skeletons(sequence, 96, 64))
    assert np.array_equal(chunk.skeletons[0], expected[50]) and np.array_equal(chunk.skeletons[3], expected[56])
