"""Background compositing in a film: around the person the source's own pixels, in every chunk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from infinitetalk.config.request import Camera, Composite
from infinitetalk.errors import InputError
from infinitetalk.media.framing import resize_and_crop
from infinitetalk.media.images import load_image
from infinitetalk.pipeline import generate, load_models, plan, resume
from infinitetalk.stages.compositing import Compositor
from tests.test_pipeline import pictures, request_for
from tests.vision.conftest import PHOTO, shifted, write_film


@pytest.fixture(scope="module")
def busy_film(tmp_path_factory) -> Path:
    """A real person at rest, beside whom a bright bar walks through the picture; 4.4 s."""
    photo = load_image(PHOTO)
    frames = []
    for index in range(110):
        frame = photo.copy()
        frame[10:60, 300 + index % 80 : 304 + index % 80] = (255, 240, 40)
        frames.append(frame)
    return write_film(tmp_path_factory.mktemp("films") / "busy.mp4", frames)


def bars(film: np.ndarray) -> np.ndarray:
    """Column of the bar in each frame of a whole picture, [F]; nan where there is none."""
    top = film[:, film.shape[1] // 20 : film.shape[1] // 7].astype(int)
    yellow = (top[..., 0] > 200) & (top[..., 1] > 180) & (top[..., 2] < 110)
    return np.array([np.nonzero(frame)[1].mean() if frame.any() else np.nan for frame in yellow])


def test_around_the_person_the_source_goes_on(tmp_path, busy_film) -> None:
    """Nano keeps its reference's background for a whole chunk; the bar walks on only where the film is locked."""
    changes = {"source": str(busy_film), "framing": "whole"}
    plain, locked = (request_for(tmp_path, 3.6, **changes, composite=lock) for lock in (None, Composite()))
    models = load_models(plain)
    list(generate(plain, models, tmp_path / "plain"))
    list(generate(locked, models, tmp_path / "locked"))
    films = [pictures(tmp_path / name / "output.mp4") for name in ("plain", "locked")]
    still, moving = (np.diff(bars(film[:80])) for film in films)
    assert np.nanmedian(np.abs(still)) < 0.2
    assert np.nanmedian(moving) == pytest.approx(films[0].shape[2] / 384, abs=0.25)
    person = films[1][:, 150:, 60:150].astype(int), films[0][:, 150:, 60:150].astype(int)
    assert np.abs(person[0] - person[1]).mean() < 6, "the person is the model's"
    records = [
        json.loads(path.read_text()) for path in sorted((tmp_path / "locked/chunks").glob("*/take-00/take.json"))
    ]
    assert len(records) == 2 and all(record["tracking"]["composite"]["good"] for record in records)
    assert "are the source's own" in records[0]["tracking"]["composite"]["sentence"]
    # A chunk made alone is what it was.
    import shutil

    shutil.rmtree(tmp_path / "locked/chunks/0001")
    list(resume(tmp_path / "locked", models))
    assert np.array_equal(pictures(tmp_path / "locked/output.mp4"), films[1])


def test_one_of_two_people_is_followed() -> None:
    photo = load_image(PHOTO)
    two = np.concatenate([photo[:, :300], photo[:, 300:0:-1]], axis=1)
    frames = [resize_and_crop(shifted(two, 4 * index), (192, 300)) for index in range(30)]
    result = np.stack([np.full_like(frame, 128) for frame in frames[24:30]])
    compositor = Compositor(Composite("2"), lambda frame: frames[frame], on_face=False)
    made, told = compositor.composited(result, frames[24:30], 24)
    changed = (made == 128).all(axis=-1).mean(axis=0)  # how often a pixel is the model's
    face = int(0.25 * 192), int((432 + 96) / 600 * 300)  # has walked 96 pixels to the right since the start
    other = int(0.25 * 192), int((168 + 96) / 600 * 300)
    assert changed[face] == 1 and changed[other] == 0
    assert not told.good  # grey pictures show something else than the source


def test_the_film_is_cut_to_the_person_who_is_chosen(tmp_path) -> None:
    from infinitetalk.stages import prepare_film

    photo = load_image(PHOTO)
    two = write_film(tmp_path / "two.mp4", [np.concatenate([photo[:, :300], photo[:, 300:0:-1]], axis=1)] * 30)
    middles = {}
    for person in ("1", "2"):
        film = prepare_film(request_for(tmp_path, 1.0, source=str(two), composite=Composite(person)))
        middles[person] = film.square.column + film.square.side / 2
        assert any("the chosen one is animated" in note for note in film.plan.warnings)
    assert abs(middles["1"] - 168) < 15 and abs(middles["2"] - 432) < 15


@pytest.mark.parametrize(
    "changes, words",
    [({"composite": {"person": "3"}}, "there is no number 3"),
     ({"composite": {"person": "left"}}, "The person is 'left'"),
     ({"composite": {}, "camera": Camera(path="pan")}, "choose the camera's movement or background compositing"),
     ({"composite": {"mask": 1}}, "unknown key 'mask'")],
)  # fmt: skip
def test_what_cannot_be_locked_is_said_before_the_film(tmp_path, changes, words) -> None:
    with pytest.raises(InputError) as raised:
        plan(request_for(tmp_path, 1.0, **changes))
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_nobody_to_lock(tmp_path) -> None:
    wall = write_film(tmp_path / "wall.mp4", [np.full((96, 96, 3), 90, np.uint8)] * 30)
    with pytest.raises(InputError, match="No face was found in the source"):
        plan(request_for(tmp_path, 1.0, source=str(wall), composite=Composite()))
    assert plan(request_for(tmp_path, 1.0, source=str(wall), composite=Composite("0.5,0.4"))).num_frames == 25
