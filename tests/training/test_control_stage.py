"""The network that steers nano learns beside it, from chunks that show it what a film shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from infinitetalk.checkpoints.controls import read_uni3c
from infinitetalk.errors import InputError
from infinitetalk.models.audio_encoder import SpeechEncoder
from infinitetalk.paths import assets_dir
from infinitetalk.training.control_examples import (
    FARTHEST,
    ControlBatch,
    ControlExamples,
    draw_cameras,
    mirrored_order,
    moved_boxes,
    plane_moves,
)
from infinitetalk.training.control_stage import (
    FILE,
    ControlTraining,
    SteeredNetworks,
    control_error,
    export,
    train_control,
)
from infinitetalk.training.latents import Variation
from infinitetalk.training.networks import NanoNetworks
from infinitetalk.training.phases import Phase
from infinitetalk.vision.point_cloud import render_path
from infinitetalk.vision.pose import BODY
from infinitetalk.vision.tracking import farthest

NANO = assets_dir() / "nano"
SCALE = 0.6403
SETTINGS = ControlTraining(
    seconds=None, num_steps=2, phase=Phase("pictures", 1.0, 3, None, 2, 16.0, 4.0, 0.0, 1.0), dim=64, num_layers=2,
)  # fmt: skip
KINDS = ("camera", "body")
JOINTS = tuple(name.replace(" ", "_") for name in BODY)  # as rendered clips name them
# Nose, neck, shoulders, eyes and ears of the toy faces, as shares.
PLACES = {
    "nose": (0.5, 0.5), "neck": (0.5, 0.85), "right_shoulder": (0.2, 0.95), "left_shoulder": (0.8, 0.95),
    "right_eye": (0.42, 0.42), "left_eye": (0.58, 0.42), "right_ear": (0.3, 0.45), "left_ear": (0.7, 0.45),
}  # fmt: skip


@pytest.fixture(scope="module")
def people(mouth_clips):
    """The toy faces with joints, swaying by whole pixels."""
    skeleton = np.zeros((mouth_clips.num_clips, mouth_clips.num_frames, len(JOINTS), 3), np.float32)
    sway = np.round(10 * np.sin(np.arange(mouth_clips.num_frames) / 9)).astype(int)
    for name, place in PLACES.items():
        skeleton[:, :, JOINTS.index(name)] = (*place, 1)
        skeleton[:, :, JOINTS.index(name), 0] += sway / 256
    video = [np.stack([np.roll(frame, by, axis=1) for frame, by in zip(film, sway, strict=True)])
             for film in mouth_clips.video]  # fmt: skip
    boxes = mouth_clips.mouth_boxes + np.array([0, 1, 0, 1]) * sway[:, None]
    shapes = np.repeat(mouth_clips.mouth_shapes, 7, axis=2)
    return replace(mouth_clips, video=video, skeleton=skeleton, joints=JOINTS, mouth_boxes=boxes, mouth_shapes=shapes)


@pytest.fixture(scope="module")
def hearing() -> SpeechEncoder:
    return SpeechEncoder.from_pretrained(NANO / "audio_encoder").eval()


def examples_of(people, nano_vae, hearing) -> ControlExamples:
    return ControlExamples(people, nano_vae, hearing, SCALE)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 81), st.booleans())
def test_cameras_go_no_farther_than_they_may(seed: int, num_frames: int, opens: bool) -> None:
    w2c = draw_cameras(num_frames, opens, np.random.default_rng(seed))
    assert w2c.shape == (num_frames, 4, 4)
    assert farthest(w2c) < 1.02 * FARTHEST
    if opens:
        assert np.allclose(w2c[0], np.eye(4), atol=0.02), "a film begins with its reference"


def test_a_plane_moves_as_its_points_do() -> None:
    """The homography agrees with the points that a film's network is shown."""
    w2c = draw_cameras(30, False, np.random.default_rng(4))[-1:]
    (move,) = plane_moves(w2c, 64)
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[20:24, 40:44] = 255
    from infinitetalk.vision.camera_path import intrinsics

    ((shown, _),) = render_path(picture, np.ones((64, 64), np.float32), intrinsics(64, 64), w2c)
    rows, columns = np.nonzero(shown[..., 0] > 100)
    place = move @ (42, 22, 1)
    assert columns.mean() + 0.5 == pytest.approx(place[0] / place[2], abs=0.6)
    assert rows.mean() + 0.5 == pytest.approx(place[1] / place[2], abs=0.6)
    box = moved_boxes(np.array([[20, 40, 24, 44]]), move[None])[0]
    assert (box[:2] + box[2:]) / 2 == pytest.approx([place[1] / place[2], place[0] / place[2]], abs=0.1)


def test_a_mirror_changes_sides() -> None:
    order = mirrored_order(18)
    assert np.array_equal(order[order], np.arange(18)) and order[0] == 0 and order[2] == 5 and order[14] == 15


@pytest.mark.parametrize("kind", KINDS)
def test_what_moves_is_expected_and_the_mouth_is_left(kind, mouth_clips, people, nano_vae, hearing) -> None:
    """Little remains but the mouth relative to the reference moved along, much relative to the reference itself."""
    resting = replace(people, video=mouth_clips.video, mouth_boxes=mouth_clips.mouth_boxes)
    examples = examples_of(people if kind == "body" else resting, nano_vae, hearing)
    rest, moved, mouth = 0.0, 0.0, 0.0
    for seed in range(3):
        batch = examples.draw(np.arange(4), 3, kind, np.random.default_rng(seed), plain=True).chunks
        away = (batch.mouth == 0).float()
        away[..., :2] = away[..., -2:] = 0  # what comes in at the edges
        expected_error = batch.clean.square().mean(dim=1, keepdim=True)
        rest += float((expected_error * away).mean())
        mouth += float((expected_error * batch.mouth).sum() / batch.mouth.sum())
        moved += _relative_to_the_still_reference(examples, kind, seed, away)
    assert rest < 0.35 * moved, (rest, moved)
    assert mouth > 3 * rest


def _relative_to_the_still_reference(examples: ControlExamples, kind: str, seed: int, away: torch.Tensor) -> float:
    """The same, with nothing moved along."""
    kept = examples._collate

    def still(chunks: list) -> ControlBatch:
        return kept([each | {"expected": each["reference"].expand_as(each["clean"])} for each in chunks])

    examples._collate = still
    try:
        batch = examples.draw(np.arange(4), 3, kind, np.random.default_rng(seed), plain=True).chunks
    finally:
        examples._collate = kept
    return float((batch.clean.square().mean(dim=1, keepdim=True) * away).mean())


def test_a_mirrored_pose_is_the_mirrored_skeleton(people, nano_vae, hearing) -> None:
    examples = examples_of(people, nano_vae, hearing)
    joints = people.skeleton[0, :1, examples._joints].transpose(1, 0, 2)
    plain = Variation.of(0, 0, 128)
    places, seen = examples._places(joints, plain, np.random.default_rng(1))
    mirrored, _ = examples._places(joints, replace(plain, mirrored=True), np.random.default_rng(1))
    assert seen[0].sum() >= 6
    shaken = 0.05
    assert np.allclose(mirrored[0, 2], (1 - places[0, 5, 0], places[0, 5, 1]), atol=shaken)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_network_adds_nothing(kind, people, nano_vae, hearing) -> None:
    batch = examples_of(people, nano_vae, hearing).draw(np.arange(2), 3, kind, np.random.default_rng(0))
    plain = NanoNetworks.from_folder(NANO).eval()
    model = SteeredNetworks(NanoNetworks.from_folder(NANO), SETTINGS).eval()
    latents, times = torch.randn(batch.chunks.clean.shape), torch.ones(2)
    with torch.no_grad():
        assert torch.allclose(model(batch, latents, times), plain(batch.chunks, latents, times), atol=1e-5)


def test_only_what_steers_learns_and_its_file_is_read_like_the_published_one(
    people, nano_vae, hearing, tmp_path: Path
) -> None:
    figures = train_control(people, nano_vae, hearing, tmp_path, SETTINGS, NANO, SCALE)
    assert {"whole", "mouth", "whole_other", "mouth_other", "steps"} <= set(figures)
    file = tmp_path / "control" / FILE
    read_uni3c(file, width=NanoNetworks.from_folder(NANO).transformer.config.dim)
    stored = load_file(file)
    assert all(tensor.dtype == torch.float16 for tensor in stored.values())
    model = SteeredNetworks(NanoNetworks.from_folder(NANO), SETTINGS)
    export(model, tmp_path / "new.safetensors")
    new = load_file(tmp_path / "new.safetensors")
    assert set(new) == set(stored) and any(not torch.equal(new[name], stored[name]) for name in new)
    assert all(name.startswith("control.") for name, p in model.named_parameters() if p.requires_grad)


def test_a_network_learns_where_the_mouth_is(people, nano_vae, hearing) -> None:
    """A few steps on one batch lower its error, and another camera's picture does not do as well."""
    batch = examples_of(people, nano_vae, hearing).draw(np.arange(4), 3, "camera", np.random.default_rng(3))
    model = SteeredNetworks(NanoNetworks.from_folder(NANO), SETTINGS)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learning, 5e-3)
    errors = []
    for step in range(25):
        error = control_error(model, batch, torch.Generator().manual_seed(step), 0.0).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert np.mean(errors[-3:]) < 0.93 * np.mean(errors[:3]), errors


def test_what_is_missing_is_told(people, nano_vae, hearing, tmp_path: Path) -> None:
    from infinitetalk.models.audio_encoder import nano_speech_config

    def train(clips, encoder) -> None:
        train_control(clips, nano_vae, encoder, tmp_path, SETTINGS, NANO, SCALE)

    with pytest.raises(InputError, match="0 held-out clips"):
        train(replace(people, is_test=np.zeros(people.num_clips, bool)), hearing)
    with pytest.raises(InputError, match="have no joints"):
        train(replace(people, joints=()), hearing)
    with pytest.raises(InputError, match="no articulation"):
        train(people, SpeechEncoder(nano_speech_config(hidden_size=32, num_layers=2, conv_channels=16)))
