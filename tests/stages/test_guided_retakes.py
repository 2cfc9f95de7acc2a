"""A retake with another reference moves from the instant of that reference, whatever follows the source."""

from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.config.request import Camera, CameraControl, Head
from infinitetalk.jobs.retakes import TakeOverrides
from infinitetalk.media.faces import cut, face_square, find_faces
from infinitetalk.media.framing import resize_and_crop
from infinitetalk.media.video import open_source
from infinitetalk.pipeline import generate, load_models, retake
from tests.test_pipeline import pictures, request_for

GUIDED_SECONDS = 1.0
CORNER = slice(4, 60), slice(4, 60)  # background, which the model leaves to the reference


@pytest.mark.parametrize(
    "movement", [{"camera": Camera(path="follow")}, {"camera_control": CameraControl(path="follow")}]
)
def test_a_camera_that_follows_begins_at_the_guiding_reference(tmp_path, panned_film, movement) -> None:
    """At the instant of its reference, the followed camera is where the reference was taken: nothing is moved there."""
    request = request_for(tmp_path, 2.0, source=str(panned_film), **movement)
    models = load_models(request)
    list(generate(request, models, tmp_path / "job"))
    guided = TakeOverrides(reference_seconds=GUIDED_SECONDS, join="ripple")
    list(retake(tmp_path / "job", 0, guided, models))
    made = pictures(tmp_path / "job/output.mp4")
    with open_source(panned_film) as source:
        square = face_square(find_faces(source.frame_at(0.0))[0])
        reference = resize_and_crop(cut(source.frame_at(GUIDED_SECONDS), square), made.shape[1:3])

    def distance(frame: int) -> float:
        return float(np.abs(made[frame][CORNER].astype(int) - reference[CORNER]).mean())

    at_reference = round(GUIDED_SECONDS * 25)
    assert distance(at_reference) < 5 < distance(0), (distance(at_reference), distance(0))


def test_a_head_that_follows_turns_against_the_guiding_reference(tmp_path, panned_film) -> None:
    """The head of a reference is turned as the source's was then; a picture of one's own has no such instant."""
    from infinitetalk.generation.inputs import FilmInputs
    from infinitetalk.jobs.folder import JobFolder
    from infinitetalk.jobs.resolve import resolve_jobs
    from infinitetalk.planning.voices import FilmVoices
    from infinitetalk.stages import prepare_film
    from tests.vision.conftest import PHOTO

    request = request_for(tmp_path, 2.0, source=str(panned_film), head=Head("follow"))
    models = load_models(request)
    list(generate(request, models, tmp_path / "job"))
    seconds = []
    for overrides in (TakeOverrides(reference_seconds=GUIDED_SECONDS), TakeOverrides(reference_image=str(PHOTO))):
        list(retake(tmp_path / "job", 0, overrides, models))
        folder = JobFolder.open(tmp_path / "job")
        film = prepare_film(folder.request)
        with film.source:
            (job,) = resolve_jobs(folder, film)
            seconds.append(FilmInputs(film, models, FilmVoices(film.voices)).reference(job).source_seconds)
    assert seconds == [GUIDED_SECONDS, None]
