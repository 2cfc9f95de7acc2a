"""What the networks are given for one chunk."""

from __future__ import annotations

import numpy as np

from infinitetalk.media.framing import middle_of
from infinitetalk.vision.camera_path import preset_path
from infinitetalk.vision.control_images import camera_condition, pose_condition
from infinitetalk.vision.pose_draw import draw_skeletons
from tests.vision.test_pose import standing


def test_only_a_chunk_that_starts_at_its_references_camera_starts_with_the_reference(photo, scene):
    small, depth = np.ascontiguousarray(photo[::3, ::3]), np.ascontiguousarray(scene.depth[::3, ::3])
    w2c = preset_path("pan", 1.0, 4.0).w2c(45)
    first = camera_condition(small, depth, w2c[:5])
    assert first.render.shape == (5, 128, 128, 3) and first.holes.shape == (5, 128, 128)
    assert np.array_equal(first.render[0], small) and not first.holes[0].any()
    later = camera_condition(small, depth, w2c[40:])
    assert not np.array_equal(later.render[0], small) and later.holes[0].any()
    assert set(np.unique(later.holes)) == {0, 1} and (later.render[later.holes == 1] == 0).all()
    own = camera_condition(small, depth, w2c[40:] @ np.linalg.inv(w2c[40]))
    assert np.array_equal(own.render[0], small) and own.holes[4].any()


def test_pose_of_a_chunk():
    sequence = standing(8)
    sequence.joints[:, :, 0] += np.arange(8)[:, None]
    chunk = pose_condition(sequence.part(slice(2, 7)), standing(), 96, 64)
    assert chunk.skeletons.shape == (5, 96, 64, 3) and chunk.reference.shape == (96, 64, 3)
    expected = list(draw_skeletons(sequence, 96, 64))
    assert np.array_equal(chunk.skeletons[0], expected[2]) and np.array_equal(chunk.skeletons[4], expected[6])
    assert pose_condition(sequence, None, 96, 64).reference.max() == 0


def test_a_pose_lies_in_the_part_of_the_picture_that_is_shown():
    place = middle_of(768, 512, 64, 64)  # the middle square of a tall picture
    assert place == (128, 0, 512, 512)
    framed = standing().framed(place, 64, 64)
    assert np.allclose(framed.joints[0, 0], ((256 - 0) / 8, (120 - 128) / 8)) and (framed.width, framed.height) == (
        64,
        64,
    )
