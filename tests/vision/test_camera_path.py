"""Camera paths: what the presets do, what is refused, what survives a file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infinitetalk.errors import InputError
from infinitetalk.vision.camera_path import (
    PRESETS,
    CameraPath,
    CameraPoint,
    from_w2c,
    load_path,
    preset_path,
    save_path,
    to_w2c,
)


@pytest.mark.parametrize("name", PRESETS)
def test_every_movement_begins_at_the_reference_and_moves(name):
    matrices = preset_path(name, 1.0, 3.0).w2c(76)
    assert np.allclose(matrices[0], np.eye(4), atol=1e-9)
    assert np.abs(matrices - np.eye(4)).max() > 0.01
    assert np.allclose(preset_path(name, 0.0, 3.0).w2c(76), np.eye(4))


def test_directions():
    assert preset_path("push in", 1, 2).at([2])[0, 2] > 0 > preset_path("pull out", 1, 2).at([2])[0, 2]
    subject = np.array([0, 0, 1, 1.0])
    assert (preset_path("pan", 1, 2).w2c(51)[-1] @ subject)[0] < 0  # camera to the right: what is seen goes left
    assert (preset_path("tilt", 1, 2).w2c(51)[-1] @ subject)[1] > 0  # camera up: what is seen goes down
    for matrix in preset_path("orbit", 1, 2).w2c(51):
        # The subject stays in the middle; between the points the curve is off by less than a pixel in a thousand.
        assert np.allclose(matrix @ subject, subject, atol=1e-3)


def test_a_path_never_goes_past_its_points():
    path = CameraPath((CameraPoint(0), CameraPoint(1, yaw=10), CameraPoint(1.2, yaw=10), CameraPoint(2, yaw=-5)))
    yaw = path.at(np.linspace(-1, 4, 300))[:, 3]
    assert yaw.max() <= 10 + 1e-9 and yaw.min() >= -5 - 1e-9 and yaw[0] == 0 and abs(yaw[-1] + 5) < 1e-9


@given(st.lists(st.tuples(*[st.floats(-1, 1)] * 3, *[st.floats(-70, 70)] * 3), min_size=1, max_size=5))
def test_matrices_and_values_say_the_same(rows):
    values = np.array(rows)
    assert np.allclose(from_w2c(to_w2c(values)), values, atol=1e-7)


def test_file_keeps_everything(tmp_path):
    path = preset_path("handheld", 0.7, 2.0, seed=3)
    assert load_path(save_path(path, tmp_path / "path.json")) == path


@pytest.mark.parametrize(
    "text, says",
    [
        ("{", "no readable JSON"),
        ("[" * 100_000, "no readable JSON"),
        ("[]", "holds no camera path"),
        ('{"version": 9, "points": []}', "version 9"),
        ('{"version": 1, "points": []}', "at least one point"),
        ('{"version": 1, "points": [{"yaw": 1}]}', "no time"),
        ('{"version": 1, "points": [{"seconds": 0, "zoom": 1}]}', "zoom"),
        ('{"version": 1, "points": [{"seconds": 0, "yaw": "left"}]}', "yaw"),
        ('{"version": 1, "points": [{"seconds": 0, "yaw": 400}]}', "from -180 to 180"),
        ('{"version": 1, "points": [{"seconds": 0, "x": NaN}]}', "give a number"),
        ('{"version": 1, "points": [{"seconds": -1}]}', "begins at 0"),
        ('{"version": 1, "points": [{"seconds": 1}, {"seconds": 1}]}', "one after another"),
    ],
)
def test_bad_files_are_told_in_a_sentence(tmp_path, text, says):
    file = tmp_path / "path.json"
    file.write_text(text)
    with pytest.raises(InputError, match=says):
        load_path(file)


@pytest.mark.parametrize("name, amount, says", [("zoom", 1, "choose one of"), ("pan", 9, "from -3 to 3"),
                                                ("pan", float("nan"), "from -3 to 3")])  # fmt: skip
def test_bad_presets(name, amount, says):
    with pytest.raises(InputError, match=says):
        preset_path(name, amount, 3.0)


def test_json_is_small():
    assert len(json.dumps(preset_path("orbit", 1, 60).to_dict())) < 1500
