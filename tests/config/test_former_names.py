"""Keys of earlier versions are read silently, and fingerprints are made of them."""

from __future__ import annotations

import json

import pytest

from infinitetalk.config.former_names import FORMER_NAMES, with_current_names, with_former_names
from infinitetalk.config.presets import load_preset
from infinitetalk.config.request import Camera, CameraControl, Composite, GenerationRequest, SDEdit
from infinitetalk.errors import InputError

FORMER = {"source": "a.png", "speakers": [{"audio": "a.wav"}]}


def read(**former) -> GenerationRequest:
    return GenerationRequest.from_dict({**FORMER, **former})


@pytest.mark.parametrize(
    "former, field, value",
    [
        ({"text_scale": 2.0}, "guidance_scale", 2.0),
        ({"audio_scale": 3.0}, "audio_guidance_scale", 3.0),
        ({"adherence": "inside"}, "reference_placement", "inside"),
        ({"lock": {"person": "2"}}, "composite", Composite("2")),
        (
            {"camera": {"mode": "redraw", "path": "pan", "strength": 0.3, "first": 0, "last": 1}},
            "camera",
            Camera("pan"),
        ),
        ({"camera": {"mode": "uni3c", "path": "pan", "last": 0.6}}, "camera_control", CameraControl("pan", last=0.6)),
        ({"camera": {"mode": "sdedit", "path": "follow", "strength": 0.4}}, "sdedit", SDEdit(0.6)),
        ({"camera": {"mode": "sdedit"}}, "sdedit", SDEdit(0.7)),
    ],
)
def test_a_former_key_means_what_it_meant(former, field, value) -> None:
    request = read(**former)
    assert getattr(request, field) == value
    assert GenerationRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request


def test_a_former_camera_of_no_kind_is_named() -> None:
    with pytest.raises(InputError, match="mode is 'fly'; choose one of redraw, uni3c, sdedit"):
        read(camera={"mode": "fly"})


def test_one_way_to_move_the_camera() -> None:
    with pytest.raises(InputError, match="give one of them"):
        read(camera={"path": "pan"}, sdedit={})


def test_a_preset_file_of_an_earlier_version_is_read(tmp_path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model: nano\nsteps: 2\nshift: 1.0\ntext_scale: 1.0\naudio_scale: 2.5\nsize: nano\n")
    assert load_preset(str(file)).audio_guidance_scale == 2.5


def test_both_ways_keep_order_and_values() -> None:
    former = dict.fromkeys(FORMER_NAMES, 1) | {"other": 2}
    assert with_former_names(with_current_names(former)) == former
    assert list(with_former_names(with_current_names(former))) == list(former)
    assert with_current_names({"text_scale": 1, "guidance_scale": 2}) == {"guidance_scale": 2}
