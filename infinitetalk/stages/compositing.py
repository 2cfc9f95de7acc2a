"""Background compositing: the generated person over the source's own pixels, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..config.composite import Composite
from ..config.request import GenerationRequest
from ..config.shares import FOLLOW
from ..errors import InputError
from ..generation.job import ChunkJob
from ..planning.film import SourceFacts
from ..planning.sources import first_point
from ..vision.people import find_people
from ..vision.tracking import TrackingScore
from .base import FilmStage, FinishedChunk, Stage, StageFilm

if TYPE_CHECKING:
    from ..generation.generator import ChunkInputs

LOOK_EVERY = 12  # frames between two looks at where the person is
_FACE = (0.5, 0.45)  # of a picture that is cut to it
_FARTHEST = 0.2  # of the picture, that a face goes between two looks
_ALIKE = 25.0  # of 255, that a result may differ from its source around the person; more, and they show something else
_LOST = 0.2  # share of a chunk's frames

Point = tuple[float, float]  # x, y as shares of the picture


class CompositingStage(Stage):
    name = "composite"
    order = 400

    def check(self, request: GenerationRequest, facts: SourceFacts) -> list[str]:
        assert request.composite is not None
        for camera in (request.camera, request.camera_control):
            if camera is not None and camera.path != FOLLOW:
                raise InputError(
                    "The camera moves the whole picture, so around the person nothing of the source's own could stay; "
                    "choose the camera's movement or background compositing."
                )
        first_point(facts.source.frame_at(facts.first_seconds), request.composite)
        return []

    def prepare(self, film: StageFilm) -> FilmStage:
        return _FilmCompositing(film)


class _FilmCompositing(FilmStage):
    def __init__(self, film: StageFilm) -> None:
        composite, inputs = film.request.composite, film.inputs
        assert composite is not None
        self._inputs = inputs
        self._compositor = Compositor(
            composite, lambda frame: inputs.source_picture(frame, None), on_face=film.film.square is not None
        )

    def after(self, job: ChunkJob, inputs: ChunkInputs, chunk: FinishedChunk) -> FinishedChunk:
        square, start = inputs.reference.source_square, job.chunk.new_start_frame
        originals = [self._inputs.source_picture(start + index, square) for index in range(len(chunk.frames))]
        frames, score = self._compositor.composited(chunk.frames, originals, start)
        return replace(chunk, frames=frames).scored("composite", score)


class Compositor:
    """Serves one film.

    original: from a frame of the film to the source's whole picture of that instant, uint8 [height, width, 3], in the
        shape of the finished ones; in it the person is followed.
    on_face: pictures are cut to the face that speaks, so nobody has to be followed.
    """

    def __init__(self, composite: Composite, original: Callable[[int], np.ndarray], *, on_face: bool) -> None:
        self._composite, self._original, self._on_face = composite, original, on_face
        self._points: list[Point] = []  # at every look; remembered, so that a chunk needs no other before it

    def composited(
        self, frames: np.ndarray, originals: Sequence[np.ndarray], start_frame: int
    ) -> tuple[np.ndarray, TrackingScore]:
        """The film's frames from `start_frame` on, uint8 [F, height, width, 3], and how they differed before.

        originals: the source's pictures of the same instants, cut and sized as the frames.
        """
        from ..vision.subject_mask import composite, feathered, outside_difference

        point = _nearest(originals[0], *_FACE) or _FACE if self._on_face else self._at(start_frame)
        # The person may lean out of the source's mask in the result and the other way round: both are kept.
        there, here = self._masks(originals, point), self._masks(list(frames), point)
        results, differences, lost = [], [], 0
        for generated, original, in_source, in_result in zip(frames, originals, there, here, strict=True):
            masks = [mask for mask in (in_source, in_result) if mask is not None]
            lost += not all(mask.followed for mask in masks) or len(masks) < 2
            alpha = np.ones(generated.shape[:2], np.float32)
            if masks:
                alpha = feathered(np.maximum.reduce([mask.alpha for mask in masks]))
            differences.append(outside_difference(generated, original, alpha))
            results.append(composite(generated, original, alpha))
        return np.stack(results), _score(float(np.mean(differences)), lost / len(frames))

    @staticmethod
    def _masks(pictures: Sequence[np.ndarray], point: Point) -> list:
        """Of each picture; None where nobody is found at the point to begin with."""
        from ..vision.subject_mask import masks_of

        try:
            return masks_of(pictures, point)
        except InputError:
            return [None] * len(pictures)

    def _at(self, frame: int) -> Point:
        """Where the person's face is about at that frame: followed from the film's start in a few pictures a second."""
        while len(self._points) <= frame // LOOK_EVERY:
            if not self._points:
                self._points.append(first_point(self._original(0), self._composite))
                continue
            x, y = self._points[-1]
            self._points.append(_nearest(self._original(LOOK_EVERY * len(self._points)), x, y) or (x, y))
        return self._points[frame // LOOK_EVERY]


def _nearest(picture: np.ndarray, x: float, y: float) -> Point | None:
    """The face nearest to a point of uint8 [height, width, 3]; None where none is near."""
    near = [p for p in find_people(picture) if max(abs(p.x - x), abs(p.y - y)) < _FARTHEST]
    found = min(near, key=lambda p: (p.x - x) ** 2 + (p.y - y) ** 2, default=None)
    return None if found is None else (found.x, found.y)


def _score(difference: float, lost: float) -> TrackingScore:
    value = round(difference, 2)
    if lost > _LOST:
        return TrackingScore(
            value, False,
            f"The person was not found in {100 * lost:.0f} % of the pictures, where more than the person is the "
            "model's; choose a source in which head and shoulders stay in view.",
        )  # fmt: skip
    if difference > _ALIKE:
        return TrackingScore(
            value, False,
            f"Around the person the model drew something else than the source shows ({value:g} of 255); what you see "
            "there is the source's own, but the seam may show. Let the film keep closer to the source.",
        )  # fmt: skip
    return TrackingScore(
        value, True, f"Around the person all pixels are the source's own; before, they differed by {value:g} of 255."
    )


STAGE = CompositingStage()
