"""Rendering along a path, reading the path back from the pictures, the rays, and the score."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from infinitetalk.errors import CheckpointError, MediaError
from infinitetalk.vision.camera_motion import as_path, estimate_motion
from infinitetalk.vision.camera_path import PRESETS, intrinsics, preset_path, to_w2c
from infinitetalk.vision.depth import in_subject_distances, person_before_wall, scene_depth
from infinitetalk.vision.point_cloud import render_path
from infinitetalk.vision.rays import ray_embedding
from infinitetalk.vision.tracking import camera_tracking_score

CASES = Path(__file__).parents[1] / "parity" / "cases"


def matrix_of(picture):
    return intrinsics(*picture.shape[:2])


def test_a_resting_camera_shows_the_picture_itself(photo, scene):
    ((drawn, hole),) = render_path(photo, scene.depth, matrix_of(photo), np.eye(4)[None])
    assert np.array_equal(drawn, photo) and not hole.any()


def test_holes_are_what_the_picture_did_not_show():
    """A square before a wall, seen from further right: a strip of wall appears at the square's right side."""
    picture = np.full((64, 64, 3), 50, np.uint8)
    picture[20:44, 20:44] = 200
    depth = np.full((64, 64), 2.0)
    depth[20:44, 20:44] = 1.0
    matrix = np.array([[64.0, 0, 32], [0, 64, 32], [0, 0, 1]])
    camera = to_w2c(np.array([[0.125, 0, 0, 0, 0, 0]]))  # the square shifts by 8 pixels to the left, the wall by 4
    ((drawn, hole),) = render_path(picture, depth, matrix, camera)
    expected = np.zeros((64, 64), bool)
    expected[20:44, 36:40] = True  # uncovered
    expected[:, 60:] = True  # beyond the picture's edge
    assert np.array_equal(hole, expected)
    assert (drawn[20:44, 12:36] == 200).all() and (drawn[:19, :60] == 50).all() and (drawn[hole] == 0).all()


@pytest.mark.parametrize("name", PRESETS)
def test_the_path_is_read_back_from_its_pictures(photo, scene, name):
    path = preset_path(name, 0.8, 0.6)
    asked = path.w2c(16)
    frames = [frame for frame, _ in render_path(photo, scene.depth, matrix_of(photo), asked)]
    motion = estimate_motion(frames, depth=scene.depth)
    score = camera_tracking_score(asked, to_w2c(motion.values))
    assert score.value > 0.95 and score.good, score
    assert motion.followed == 1.0
    again = as_path(motion, name)
    assert len(again.points) <= 16 and camera_tracking_score(asked, again.w2c(16)).value > 0.95


@pytest.mark.parametrize("name", ["pan", "tilt", "push in", "handheld"])
def test_without_depth_everything_lies_on_a_plane(photo, scene, name):
    asked = preset_path(name, 0.8, 0.6).w2c(16)
    frames = [frame for frame, _ in render_path(photo, scene.depth, matrix_of(photo), asked)]
    assert camera_tracking_score(asked, to_w2c(estimate_motion(frames).values)).value > 0.8


def test_a_resting_camera_is_not_taken_for_a_moving_one(photo):
    random = np.random.default_rng(0)
    frames = [np.clip(photo + random.normal(0, 4, photo.shape), 0, 255).astype(np.uint8) for _ in range(26)]
    still = to_w2c(estimate_motion(frames).values)
    assert camera_tracking_score(preset_path("pan", 1.0, 1.0).w2c(26), still).value < 0.2
    assert camera_tracking_score(np.tile(np.eye(4), (26, 1, 1)), still).good


def test_something_moving_before_the_camera_is_weighed_down(photo, scene):
    asked = preset_path("pan", 0.8, 0.6).w2c(16)
    frames = [frame.copy() for frame, _ in render_path(photo, scene.depth, matrix_of(photo), asked)]
    patch = photo[150:230, 150:230]
    for index, frame in enumerate(frames):
        frame[40 + 3 * index : 120 + 3 * index, 60:140] = patch
    assert camera_tracking_score(asked, to_w2c(estimate_motion(frames, depth=scene.depth).values)).value > 0.95


def test_nothing_to_follow_is_told():
    with pytest.raises(MediaError, match="too little that can be followed"):
        estimate_motion([np.full((64, 64, 3), 100, np.uint8)] * 5)


def test_a_poor_result_gets_advice(photo):
    asked = preset_path("pan", 1.0, 1.0).w2c(26)
    half = camera_tracking_score(asked, preset_path("pan", 0.3, 1.0).w2c(26))
    assert half.value > 0.95 and not half.good and "% as far as asked" in half.sentence and "strength" in half.sentence
    other = camera_tracking_score(asked, preset_path("tilt", 1.0, 1.0).w2c(26))
    assert abs(other.value) < 0.2 and not other.good


@pytest.mark.parametrize("name", ["uni3c", "uni3c_mask_only"])
def test_rays_are_those_that_were_recorded(name):
    if not (CASES / name).is_dir():
        pytest.skip(f"the recorded case {name} is not in this checkout")
    stored = load_file(CASES / name / "io.safetensors")
    run = json.loads((CASES / name / "case.json").read_text())["run"]
    height, width = stored["render_mask_u8"].shape[-2:]
    rays = ray_embedding(stored["intrinsic"], stored["w2c"], height, width)
    assert np.abs(rays[:, run["camera_frames"]] - stored["camera_embedding_frames"]).max() < 1e-5
    raw = ray_embedding(stored["intrinsic"], stored["w2c"], height, width, normalize=False)
    assert np.abs(raw[:, :1] - stored["camera_embedding_raw_frames"]).max() < 1e-5


def test_the_guessed_scene(photo, scene):
    assert not scene.measured and "wall" in scene.how
    assert scene.depth[100, 160] < 1.2 < scene.depth[30, 330]  # face, wall
    assert person_before_wall(np.zeros((8, 8), bool)).min() > 1


def test_a_depth_network_is_used_where_there_is_one(photo, tmp_path):
    """A tiny network with random weights, saved as a downloaded one would be, through the real loader."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    small = photo[::3, ::2]
    backbone = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14,
        out_features=["stage1", "stage2"], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, patch_size=14, reassemble_hidden_size=32, reassemble_factors=[2, 1],
        neck_hidden_sizes=[16, 16], fusion_hidden_size=16, head_hidden_size=8,
    )  # fmt: skip
    DepthAnythingForDepthEstimation(config).save_pretrained(tmp_path / "depth")
    DPTImageProcessor(size={"height": 56, "width": 56}, ensure_multiple_of=14).save_pretrained(tmp_path / "depth")
    found = scene_depth(small, tmp_path)
    assert found.measured and "network" in found.how and found.depth.shape == small.shape[:2]
    assert 0.3 <= found.depth.min() <= found.depth.max() <= 6
    (tmp_path / "depth" / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(CheckpointError, match="download it again"):
        scene_depth(small, tmp_path)


@pytest.mark.parametrize("inverse", [True, False])
def test_a_networks_answer_puts_the_person_at_one(inverse):
    truth = np.full((40, 40), 8.0)
    truth[10:, 10:30] = 2.0
    answer = 1 / truth if inverse else truth
    depth = in_subject_distances(answer, truth == 2.0, inverse=inverse)
    assert np.allclose(depth[truth == 2.0], 1) and (depth[truth == 8.0] > 3).all()
