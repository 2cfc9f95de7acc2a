"""A film's picture source: opened, framed on the person who speaks, and the sizes that follow from it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from ..config.composite import Composite
from ..config.request import GenerationRequest
from ..config.settings import Settings
from ..errors import InputError, PresetError
from ..media.buckets import BUCKETS
from ..media.faces import Square, centre_square, face_square, find_faces
from ..media.film_scan import FilmScan
from ..media.framing import choose_bucket
from ..media.probe import probe
from ..media.retime import rate_of
from ..media.video import Source
from ..models.specs import ModelSpec
from ..vision.people import choose, find_people, parse_choice

Point = tuple[float, float]  # x, y as shares of the picture


def output_rate(request: GenerationRequest, source: Source) -> Fraction:
    """Frames per second of the finished film."""
    return rate_of(probe(source.path).fps if request.output_rate == "source" and source.kind != "image" else None)


def has_sound(source: Source) -> bool:
    """Whether the source is a film with a sound track."""
    return source.kind != "image" and probe(source.path).sample_rate > 0


def source_scan(request: GenerationRequest, source: Source, film_seconds: float) -> FilmScan:
    """What the part of the source shows that the film uses; its cuts are those that were given, where some were."""
    if source.kind == "image":
        return FilmScan(cuts=request.cuts or ())
    from ..media.scanning import remembered_scan

    scan = remembered_scan(source.path, min(film_seconds, source.duration_seconds))
    return scan if request.cuts is None else replace(scan, cuts=tuple(request.cuts))


def output_size(settings: Settings, spec: ModelSpec, source: Source) -> tuple[int, int]:
    """Height and width of the finished picture."""
    height, width = generated_size(settings, spec, source)
    return spec.decoder_upscale * height, spec.decoder_upscale * width


def generated_size(settings: Settings, spec: ModelSpec, source: Source) -> tuple[int, int]:
    """Height and width of what the network generates: the bucket nearest to the picture's shape."""
    shape = (1, 1) if settings.framing == "face" else (source.height, source.width)
    sizes = spec.sizes or BUCKETS
    if settings.size not in sizes:
        raise PresetError(f"{spec.title} has no size {settings.size!r}; choose one of {', '.join(sizes)}.")
    return choose_bucket(*shape, sizes[settings.size])


def frame_source(
    settings: Settings, source: Source, composite: Composite | None, first_seconds: float
) -> tuple[Square | None, list[str]]:
    """The cut of the source, None for the whole picture, and notes on the faces in it.

    first_seconds: the instant of its first usable picture.
    """
    picture = source.frame_at(first_seconds)
    faces = find_faces(picture)
    if composite is not None and len(faces) > 1:
        x, y = first_point(picture, composite)
        column, row = x * picture.shape[1], y * picture.shape[0]
        faces.sort(key=lambda face: (face.column - column) ** 2 + (face.mouth_row - row) ** 2)
    notes = []
    if not faces:
        notes.append("No face was found in the source; the result may not move a mouth.")
    elif len(faces) > 1 and settings.framing == "face":
        which = "largest" if composite is None else "chosen"
        notes.append(f"{len(faces)} faces were found; the {which} one is animated.")
    if settings.framing == "whole":
        return None, notes
    return (face_square(faces[0]) if faces else centre_square(*picture.shape[:2])), notes


def first_point(picture: np.ndarray, composite: Composite) -> Point:
    """Where the person is in the film's first picture, uint8 [height, width, 3].

    Raises:
        InputError: nobody is found there, or several people and none was chosen.
    """
    choice = parse_choice(composite.person)
    people = find_people(picture)
    if not people:
        if isinstance(choice, tuple):
            return choice
        raise InputError(
            "No face was found in the source, so there is nobody to keep from it; say where the person is (0.5,0.4 is "
            "the middle, a little above), or choose another source."
        )
    person = choose(people, choice, "The source")
    return person.x, person.y


def face_or_centre(picture: np.ndarray) -> Square:
    """The cut around the first face of uint8 [H, W, 3], or around its middle."""
    faces = find_faces(picture)
    return face_square(faces[0]) if faces else centre_square(*picture.shape[:2])
