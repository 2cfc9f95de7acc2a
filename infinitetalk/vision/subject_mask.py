"""One person of a film changes, everything else stays the source's own pixels.

The person is masked frame by frame: mediapipe's selfie segmentation finds people, the part that overlaps the mask
before is followed. Where people touch, the line between their faces divides them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .people import Person, find_people

_PEOPLE_EVERY = 12  # frames between two looks at where faces are
_SURE = 0.5
_LEAST_OVERLAP = 0.2  # with the mask before, of the smaller of both
FEATHER = 0.02  # of the picture's shorter side
_MARGIN = 0.015  # by which the mask grows before it is feathered: hair and moving lips need room


@dataclass(frozen=True)
class Mask:
    """alpha: float32 [height, width], 1 on the person; followed: false where the person was lost and the last
    mask is kept."""

    alpha: np.ndarray
    followed: bool


def follow_person(frames: Iterable[np.ndarray], point: tuple[float, float]) -> Iterator[Mask]:
    """A mask of the person under `point` for every frame.

    Args:
        frames: uint8 [height, width, 3] each, without a cut.
        point: x and y as shares of the first frame's width and height.

    Raises:
        InputError: nobody is there.
    """
    from ..media.native_code import quiet_native_code

    with quiet_native_code():
        from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

        model = SelfieSegmentation(model_selection=0)
    with model:
        before: np.ndarray | None = None
        people: list[Person] = []
        x, y = point
        for index, frame in enumerate(frames):
            with quiet_native_code():
                everyone = np.asarray(model.process(np.ascontiguousarray(frame)).segmentation_mask)
            if index % _PEOPLE_EVERY == 0:
                people = find_people(frame)
            parts = _parts(everyone > _SURE, people, x)
            if before is None:
                found = _under(parts, x, y)
                if found is None:
                    raise InputError(
                        f"Nobody was found at {100 * x:.0f} % from the left and {100 * y:.0f} % from the top; click on "
                        "the person's face or chest."
                    )
            else:
                found = _overlapping(parts, before)
            followed = found is not None
            mask = found if followed else before
            if followed:
                # Faces divide people by columns; the person's own column moves with the mask.
                x = float(np.nonzero(mask.any(axis=0))[0].mean() / mask.shape[1])
            before = mask
            yield Mask(mask.astype(np.float32), followed)


def masks_of(frames: Sequence[np.ndarray], point: tuple[float, float]) -> list[Mask]:
    """`follow_person` of pictures that are there, done again where mediapipe does not start (`with_mediapipe`)."""
    from ..media.native_code import with_mediapipe

    return with_mediapipe(_all_masks, list(frames), point)


def _all_masks(frames: list[np.ndarray], point: tuple[float, float]) -> list[Mask]:
    return list(follow_person(frames, point))


def feathered(mask: np.ndarray) -> np.ndarray:
    """A mask's edge made soft, a little outside the person: float32 [height, width] in 0 to 1, exactly 0 far away."""
    import cv2

    side = min(mask.shape[:2])
    grow, feather = max(1, round(_MARGIN * side)), max(1, round(FEATHER * side))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * (grow + feather) + 1,) * 2)
    grown = cv2.dilate((mask > _SURE).astype(np.uint8), kernel)
    distance = cv2.distanceTransform(grown, cv2.DIST_L2, 5)
    ramp = np.clip(distance / feather, 0, 1)
    return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)


def composite(result: np.ndarray, source: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The result inside `alpha`, the source outside; where alpha is 0 the source's bytes exactly.

    result, source: uint8 [height, width, 3]; alpha: float32 [height, width].
    """
    assert result.shape == source.shape, (result.shape, source.shape)
    weight = alpha[..., None]
    return np.rint(source + (result.astype(np.float32) - source) * weight).astype(np.uint8)


def outside_difference(result: np.ndarray, source: np.ndarray, alpha: np.ndarray) -> float:
    """Mean absolute difference, of 255, between two pictures where `alpha` is 0; 0 if it is 0 nowhere."""
    outside = alpha == 0
    if not outside.any():
        return 0.0
    return float(np.abs(result[outside].astype(np.int16) - source[outside].astype(np.int16)).mean())


def _parts(everyone: np.ndarray, people: list[Person], x: float) -> list[np.ndarray]:
    """Connected parts of the mask, cut between the face nearest to column `x` and its neighbours."""
    import cv2

    mask = everyone.astype(np.uint8)
    if len(people) > 1:
        own = min(people, key=lambda person: abs(person.x - x))
        for other in people:
            if other is not own:
                mask[:, min(mask.shape[1] - 1, round((own.x + other.x) / 2 * mask.shape[1]))] = 0
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    least = 0.002 * mask.size
    return [labels == n for n in range(1, count) if statistics[n, cv2.CC_STAT_AREA] >= least]


def _under(parts: list[np.ndarray], x: float, y: float) -> np.ndarray | None:
    for part in parts:
        height, width = part.shape
        row, column = min(int(y * height), height - 1), min(int(x * width), width - 1)
        reach = max(1, round(0.02 * min(height, width)))  # a click beside a thin neck still counts
        if part[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1].any():
            return part
    return None


def _overlapping(parts: list[np.ndarray], before: np.ndarray) -> np.ndarray | None:
    def overlap(part: np.ndarray) -> float:
        return float((part & before).sum() / min(part.sum(), before.sum()))

    kept = [part for part in parts if overlap(part) >= _LEAST_OVERLAP]
    return np.logical_or.reduce(kept) if kept else None
