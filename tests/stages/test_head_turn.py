"""Films whose heads move: as asked for, the same in every run, and from another film that belongs to the job."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infinitetalk.config.request import Camera, Head
from infinitetalk.errors import InputError
from infinitetalk.events import ChunkFinished
from infinitetalk.jobs.folder import JobFolder
from infinitetalk.media.images import load_image
from infinitetalk.media.video import open_source
from infinitetalk.pipeline import generate, load_models, plan, resume
from infinitetalk.stages.base import MotionOfFrames
from infinitetalk.stages.head_turn import HeadTargets
from infinitetalk.stages.layered_warp import ReferenceScene
from infinitetalk.vision.camera_path import preset_path
from infinitetalk.vision.head_turn import Head as HeadPlace
from infinitetalk.vision.head_turn import HeadTurn
from tests.test_pipeline import PORTRAIT, pictures, request_for
from tests.vision.conftest import PHOTO, write_film
from tests.vision.test_head import WAVES, turned


@pytest.fixture(scope="module")
def turning_film(tmp_path_factory) -> Path:
    from infinitetalk.media.faces import cut, face_square, find_faces
    from infinitetalk.media.framing import resize_and_crop

    picture = load_image(PHOTO)
    portrait = np.ascontiguousarray(resize_and_crop(cut(picture, face_square(find_faces(picture)[0])), (256, 256)))
    frames = list(turned(portrait, np.repeat(WAVES, 4, axis=0)))
    return write_film(tmp_path_factory.mktemp("films") / "turning.mp4", frames)


@pytest.mark.parametrize(
    "values, words",
    [({"amount": 3}, "How far the head moves is 3"), ({"speed": 1}, "unknown key 'speed'")],
)
def test_what_is_wrong_with_a_head_is_said(tmp_path, values, words) -> None:
    with pytest.raises(InputError, match=words):
        request_for(tmp_path, 1.0, head=values)


def test_what_a_head_cannot_follow_is_said_before_the_film(tmp_path) -> None:
    for head, words in ((Head("follow"), "whose head rests"), (Head(str(PORTRAIT)), "is a picture, where no head")):
        with pytest.raises(InputError, match=words):
            plan(request_for(tmp_path, 1.0, head=head))


def test_a_movement_that_is_short_or_cut_is_told_before_the_film(tmp_path, turning_film) -> None:
    told = plan(request_for(tmp_path, 6.0, head=Head(str(turning_film)))).warnings
    assert any("movement lasts 4.8 s and the film 6.0 s" in one for one in told), told
    assert not any("movement" in one for one in plan(request_for(tmp_path, 4.0, head=Head(str(turning_film)))).warnings)
    dark, bright = (np.full((64, 64, 3), value, np.uint8) for value in (10, 240))
    film = write_film(tmp_path / "cut.mp4", [dark] * 60 + [bright] * 60)
    told = plan(request_for(tmp_path, 4.0, head=Head(str(film)))).warnings
    assert any("cuts at 2.4 s" in one for one in told), told


def test_a_head_follows_another_film_which_belongs_to_the_job(tmp_path, turning_film) -> None:
    request = request_for(tmp_path, 4.0, head=Head(str(turning_film)))
    models = load_models(request)
    told = [event for event in generate(request, models, tmp_path / "job") if isinstance(event, ChunkFinished)]
    assert told[0].tracking["head"].good, told[0].tracking["head"].sentence
    # Of the last one three quarters of a second are new, in which the head hardly turns and the lips weigh more.
    assert all(event.tracking["head"].value > 0.7 for event in told if event.tracking)
    job = JobFolder.open(tmp_path / "job")
    assert job.request.head.file != str(turning_film) and Path(job.request.head.file).parent.name == "inputs"
    made = pictures(job.output)
    shutil.rmtree(tmp_path / "job/chunks/0001")
    list(resume(tmp_path / "job", models))
    assert np.array_equal(pictures(job.output), made)


def test_a_lively_head_moves_where_a_still_one_rests_and_lips_go_on(tmp_path) -> None:
    from infinitetalk.vision.head_pose import face_points, head_pose

    request = request_for(tmp_path, 4.0, head=Head(), seed=11)
    models = load_models(request)
    list(generate(request, models, tmp_path / "lively"))
    list(generate(replace(request, head=None), models, tmp_path / "still"))
    lively, still = (face_points(pictures(tmp_path / name / "output.mp4")[::2]) for name in ("lively", "still"))
    spread = [float(np.nanstd(head_pose(points)[:, :2], axis=0).sum()) for points in (lively, still)]
    assert spread[0] > 1.5 * spread[1] and spread[0] > 1.5, spread

    def openness(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points[:, 13] - points[:, 14], axis=1)

    assert np.corrcoef(openness(lively), openness(still))[0, 1] > 0.9, "the mouth says what it said"


def test_a_followed_head_is_turned_against_its_reference(turning_film) -> None:
    """At the film's very beginning too, where the source is turned already."""
    with open_source(turning_film) as source:
        targets = HeadTargets(Head("follow"), source, 4.0, lambda start, stop: np.zeros(stop - start))
        own = targets.at(50, 10, 2.0)[0]
        other = targets.at(50, 10, None)[0]
        first = targets.at(0, 30, 0.0)[0]
    assert np.abs(own[0]).max() < 1e-4 < np.abs(other[0]).max()
    raw = targets._motion.values
    np.testing.assert_allclose(first, raw[:30] - raw[0], atol=1e-5)


def test_where_no_face_is_found_nothing_turns() -> None:
    wall = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    frames = np.repeat(wall[None], 3, axis=0)
    scene = ReferenceScene.from_picture("wall", wall, None, (64, 64), with_face=True)
    turned = MotionOfFrames(head=np.full((3, 3), 5.0), eyes_closed=np.ones(3))
    assert scene.turn is None and np.array_equal(scene.moved(frames, turned), frames)
    moved = replace(turned, w2c=preset_path("pan", 1.0, 2.0).w2c(3, 40))
    assert not np.array_equal(scene.moved(frames, moved), frames), "the camera still moves"
    assert isinstance(HeadTurn(HeadPlace(32, 32, 10, 14), 64, 64).maps(1, 1, 1)[0], np.ndarray)


def test_the_plan_knows_what_reprojection_and_turning_take(tmp_path) -> None:
    still = plan(request_for(tmp_path, 4.0))
    moving = plan(request_for(tmp_path, 4.0, head=Head(), camera=Camera(path="pan")))
    assert 0.3 < (moving.seconds_high - still.seconds_high) / 4.0 < 1.0
    assert still.first_chunk_seconds < moving.first_chunk_seconds < still.first_chunk_seconds + 2
