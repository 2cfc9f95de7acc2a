"""A film's target lock: around one person, chunk by chunk, the source's own pixels are put back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..config.composite import Composite
from ..config.request import GenerationRequest
from ..config.shares import FOLLOW
from ..errors import InputError
from ..media.video import Source
from ..vision.people import choose, find_people, parse_choice
from ..vision.tracking import TrackingScore

LOOK_EVERY = 12  # frames between two looks at where the person is
_FACE = (0.5, 0.45)  # of a picture that is cut to it
_FARTHEST = 0.2  # of the picture, that a face goes between two looks
_ALIKE = 25.0  # of 255, that a result may differ from its source around the person; more, and they show something else
_LOST = 0.2  # share of a chunk's frames

Point = tuple[float, float]  # x, y as shares of the picture


def check_lock(request: GenerationRequest, source: Source) -> list[str]:
    """What is to be said of the lock before the film is made.

    Raises:
        InputError: the person is not found or not chosen, or the picture moves away from the source's.
    """
    if request.composite is None:
        return []
    camera = request.camera
    if camera is not None and camera.mode != "sdedit" and camera.path != FOLLOW:
        raise InputError(
            "The camera moves the whole picture, so around the person nothing of the source's own could stay; choose "
            "the camera's movement or the lock."
        )
    first_point(source.frame_at(0.0), request.composite)
    return []


def first_point(picture: np.ndarray, lock: Composite) -> Point:
    """Where the person is in the film's first picture, uint8 [height, width, 3].

    Raises:
        InputError: nobody is found there, or several people and none was chosen.
    """
    choice = parse_choice(lock.person)
    people = find_people(picture)
    if not people:
        if isinstance(choice, tuple):
            return choice
        raise InputError(
            "No face was found in the source, so it is not known around whom it shall stay as it is; say where the "
            "person is (0.5,0.4 is the middle, a little above), or choose another source."
        )
    person = choose(people, choice, "The source")
    return person.x, person.y


class FilmLock:
    """Serves one film.

    original: from a frame of the film to the source's picture of that instant, uint8 [height, width, 3], as large and
        cut as the finished ones.
    on_face: pictures are cut to the face that speaks, so nobody has to be followed.
    """

    def __init__(self, lock: Composite, original: Callable[[int], np.ndarray], *, on_face: bool) -> None:
        self._lock, self._original, self._on_face = lock, original, on_face
        self._points: list[Point] = []  # at every look; remembered, so that a chunk needs no other before it

    def locked(self, frames: np.ndarray, start_frame: int) -> tuple[np.ndarray, TrackingScore]:
        """The film's frames from `start_frame` on, uint8 [F, height, width, 3], and how they differed before."""
        from ..vision.subject_mask import composite, feathered, outside_difference

        originals = [self._original(start_frame + index) for index in range(len(frames))]
        point = _nearest(originals[0], *_FACE) or _FACE if self._on_face else self._at(start_frame)
        # The person may lean out of the source's mask in the result and the other way round: both are kept.
        there, here = self._masks(originals, point), self._masks(frames, point)
        results, differences, lost = [], [], 0
        for shown, original, in_source, in_result in zip(frames, originals, there, here, strict=True):
            masks = [mask for mask in (in_source, in_result) if mask is not None]
            lost += not all(mask.followed for mask in masks) or len(masks) < 2
            alpha = np.ones(shown.shape[:2], np.float32)
            if masks:
                alpha = feathered(np.maximum.reduce([mask.alpha for mask in masks]))
            differences.append(outside_difference(shown, original, alpha))
            results.append(composite(shown, original, alpha))
        return np.stack(results), _told(float(np.mean(differences)), lost / len(frames))

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
                self._points.append(first_point(self._original(0), self._lock))
                continue
            x, y = self._points[-1]
            self._points.append(_nearest(self._original(LOOK_EVERY * len(self._points)), x, y) or (x, y))
        return self._points[frame // LOOK_EVERY]


def _nearest(picture: np.ndarray, x: float, y: float) -> Point | None:
    """The face nearest to a point of uint8 [height, width, 3]; None where none is near."""
    near = [p for p in find_people(picture) if max(abs(p.x - x), abs(p.y - y)) < _FARTHEST]
    found = min(near, key=lambda p: (p.x - x) ** 2 + (p.y - y) ** 2, default=None)
    return None if found is None else (found.x, found.y)


def _told(difference: float, lost: float) -> TrackingScore:
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
