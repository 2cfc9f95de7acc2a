"""Who is in a picture, and which of them is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..media.faces import FoundFace, detected_faces
from ..media.native_code import with_mediapipe

# A sitting or standing person around the face, in heights of the face (forehead to chin).
_ABOVE, _BESIDE, _BELOW = 0.9, 1.7, 7.0
_FACE_TO_BOX = 1.25  # forehead to chin, of the height that the detector gives
_LEAST_CERTAIN = 0.5
_LEAST_BOX = 0.04  # of the picture's smaller side
_MOST_OVERLAP = 0.5  # of the smaller of two speakers' boxes


@dataclass(frozen=True)
class Person:
    """x, y: middle of the face; box: (row_min, column_min, row_max, column_max). All as shares of the picture."""

    x: float
    y: float
    box: tuple[float, float, float, float]


Choice = int | tuple[float, float] | None  # counted from the left, from 1; or a point as shares of width and height


def find_people(picture: np.ndarray) -> list[Person]:
    """Everybody whose face is seen in uint8 [height, width, 3], from left to right."""
    people: list[Person] = []
    for _, box in sorted(with_mediapipe(_near_and_small_faces, picture), key=lambda found: -found[0]):
        person = _person(box, picture.shape[1] / picture.shape[0])
        # The same face found twice: its middle lies within a face found before.
        if all(abs(person.x - p.x) > box[2] / 2 or abs(person.y - p.y) > box[3] / 2 for p in people):
            people.append(person)
    return sorted(people, key=lambda person: person.x)


def _near_and_small_faces(picture: np.ndarray) -> list[FoundFace]:
    return [face for range_model in (0, 1) for face in detected_faces(picture, range_model, _LEAST_CERTAIN)]


def _person(face: tuple[float, float, float, float], aspect: float) -> Person:
    """face: [left, top, width, height] as the detector gives it, brows to chin."""
    x, y = face[0] + face[2] / 2, face[1] + face[3] / 2
    tall = face[3] * _FACE_TO_BOX
    wide = tall / aspect
    box = (
        max(0.0, y - (0.5 + _ABOVE) * tall), max(0.0, x - _BESIDE * wide),
        min(1.0, y + _BELOW * tall), min(1.0, x + _BESIDE * wide),
    )  # fmt: skip
    return Person(float(x), float(y), tuple(float(side) for side in box))


def choose(people: Sequence[Person], choice: Choice, what: str) -> Person:
    """The person meant by `choice`; the only one if nothing was chosen.

    Raises:
        InputError: several people and none chosen, or a number that nobody has. `what` names the film or picture.
    """
    assert people
    if choice is None:
        if len(people) > 1:
            raise InputError(
                f"{what} shows {len(people)} people; choose one, counted from the left (1 to {len(people)}) or by a "
                "point on the person such as 0.3,0.5."
            )
        return people[0]
    if isinstance(choice, tuple):
        x, y = choice
        inside = [p for p in people if p.box[1] <= x <= p.box[3] and p.box[0] <= y <= p.box[2]]
        return min(inside or people, key=lambda p: (p.x - x) ** 2 + (p.y - y) ** 2)
    if not 1 <= choice <= len(people):
        raise InputError(
            f"{what} shows {len(people)} {'person' if len(people) == 1 else 'people'}, so there is no number {choice}; "
            "counting starts at 1 on the left."
        )
    return people[choice - 1]


def parse_choice(text: str | None) -> Choice:
    """`2` or `0.3,0.5`. Raises InputError."""
    if text is None or not text.strip():
        return None
    parts = text.split(",")
    try:
        if len(parts) == 1:
            return int(text)
        x, y = (float(part) for part in parts)
    except ValueError:
        raise InputError(
            f"The person is {text!r}; give a number from the left such as 2, or a point such as 0.3,0.5."
        ) from None
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise InputError(f"The point {text} lies outside the picture; both numbers go from 0 to 1.")
    return x, y


def check_boxes(boxes: Sequence[Sequence[float]], height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Boxes of two speakers, as the networks take them: (row_min, column_min, row_max, column_max) in pixels.

    Corners may come in any order and reach over the edge; they are sorted and cut to the picture.

    Raises:
        InputError: not two boxes, one too small or outside, or both around the same person.
    """
    if len(boxes) != 2:
        raise InputError(f"{len(boxes)} boxes were drawn, two are needed; draw one around each speaker.")
    clean = []
    for name, box in zip(("first", "second"), boxes):
        if len(box) != 4 or not np.isfinite(np.asarray(box, float)).all():
            raise InputError(f"The {name} speaker's box is not four numbers (top, left, bottom, right); draw it again.")
        rows, columns = sorted((box[0], box[2])), sorted((box[1], box[3]))
        top, bottom = (int(round(min(max(row, 0), height))) for row in rows)
        left, right = (int(round(min(max(column, 0), width))) for column in columns)
        if min(bottom - top, right - left) < _LEAST_BOX * min(height, width):
            raise InputError(
                f"The {name} speaker's box covers {right - left} x {bottom - top} pixels of the picture, too little "
                "for a person; draw it around head and shoulders."
            )
        clean.append((top, left, bottom, right))
    overlap = _overlap(*clean)
    if overlap > _MOST_OVERLAP:
        raise InputError(
            f"The two speakers' boxes share {100 * overlap:.0f} % of the smaller one, so both voices would move the "
            "same person; draw them apart."
        )
    return clean


def _overlap(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> float:
    rows = min(first[2], second[2]) - max(first[0], second[0])
    columns = min(first[3], second[3]) - max(first[1], second[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return max(0, rows) * max(0, columns) / smaller


def suggest_boxes(picture: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Boxes around the two largest people in uint8 [height, width, 3], to begin with; fewer if fewer are seen."""
    height, width = picture.shape[:2]
    people = find_people(picture)
    people = sorted(sorted(people, key=lambda p: p.box[3] - p.box[1], reverse=True)[:2], key=lambda p: p.x)
    middle = (people[0].x + people[1].x) / 2 if len(people) == 2 else 1.0
    boxes = []
    for index, person in enumerate(people):
        top, left, bottom, right = person.box
        left, right = (left, min(right, middle)) if index == 0 else (max(left, middle), right)
        boxes.append((round(top * height), round(left * width), round(bottom * height), round(right * width)))
    return boxes
