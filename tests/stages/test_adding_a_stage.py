"""A new feature is one new file: a stage that darkens the pictures' corners, from the request to the digest."""

from __future__ import annotations

import json

import numpy as np
import pytest

from infinitetalk import stages
from infinitetalk.errors import InputError
from infinitetalk.pipeline import generate, load_models, plan
from tests.test_pipeline import pictures, request_for

VIGNETTE = '''
"""Vignette: the pictures' corners are darkened."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from infinitetalk.errors import InputError
from infinitetalk.stages.base import FilmStage, Stage


class VignetteStage(Stage):
    name = "vignette"
    order = 500

    def check(self, request, facts):
        if not 0 <= self.choice(request).get("strength", 0.5) <= 1:
            raise InputError("The vignette's strength is out of range; give a number from 0 to 1.")
        return []

    def prepare(self, film):
        return FilmVignette(self.choice(film.request).get("strength", 0.5))


class FilmVignette(FilmStage):
    def __init__(self, strength):
        self.strength = strength

    def after(self, job, inputs, chunk):
        height, width = chunk.frames.shape[1:3]
        rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        light = 1 - self.strength * np.clip(rows**2 + columns**2 - 0.5, 0, 1)
        return replace(chunk, frames=(chunk.frames * light[None, ..., None]).astype(np.uint8))


STAGE = VignetteStage()
'''


@pytest.fixture
def with_vignette(tmp_path, monkeypatch):
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "vignette.py").write_text(VIGNETTE)
    monkeypatch.setattr(stages, "__path__", [*stages.__path__, str(folder)])


def test_one_file_adds_a_feature(tmp_path, with_vignette) -> None:
    plain = request_for(tmp_path, 0.4)
    dark = request_for(tmp_path, 0.4, stages={"vignette": {"strength": 1.0}})
    models = load_models(plain)
    for name, request in (("plain", plain), ("dark", dark)):
        list(generate(request, models, tmp_path / name))
    before, after = (pictures(tmp_path / name / "output.mp4").astype(int) for name in ("plain", "dark"))
    assert np.abs(before - after)[:, 120:136, 120:136].mean() < 2, "the middle stays"
    assert (before - after)[:, :12, :12].mean() > 20, "the corners are dark"
    records = [json.loads((tmp_path / n / "chunks/0000/take-00/take.json").read_text()) for n in ("plain", "dark")]
    assert records[0]["inputs_sha256"] != records[1]["inputs_sha256"] and "vignette" in records[1]["seconds"]
    with pytest.raises(InputError, match="strength is out of range"):
        plan(request_for(tmp_path, 0.4, stages={"vignette": {"strength": 3}}))


def test_a_stage_that_does_not_exist_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match="There is no stage 'sparkle'; known are"):
        plan(request_for(tmp_path, 0.4, stages={"sparkle": {}}))


def test_stages_act_in_one_order() -> None:
    names = [stage.name for stage in stages.all_stages()]
    assert names == [
        "sdedit", "camera_control", "pose", "pose", "control_networks", "camera", "head", "layered_warp", "composite",
        "take_blending",
    ]  # fmt: skip
