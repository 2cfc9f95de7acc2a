"""A reference as two layers, a person and what is behind, from which pictures along a camera path are reprojected."""

from __future__ import annotations

import numpy as np

from ..media.faces import Square
from ..media.framing import middle_of
from ..vision.layers import LayeredScene, scene_of

_LEAST_PERSON = 0.02  # share of the picture that must be a person; otherwise all of it is one


def scene_of_reference(picture: np.ndarray, square: Square | None, height: int, width: int) -> LayeredScene:
    """The scene of a whole reference, uint8 [H, W, 3], of which `square` is the frame of height x width pixels."""
    from ..vision.depth import person_mask

    if square is None:  # the middle of the picture, as `resize_and_crop` takes it
        place = middle_of(picture.shape[0], picture.shape[1], height, width)
    else:
        place = square.row, square.column, square.side, square.side
    person = person_mask(picture)
    if (person > 0.5).mean() < _LEAST_PERSON:
        person = np.ones_like(person)
    return scene_of(picture, person, place, (height, width))
