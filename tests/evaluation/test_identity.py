"""The scale on which people are told apart."""

from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.errors import InputError
from infinitetalk.evaluation.identity import distances, identity_scale

PEOPLE = [np.eye(128)[index] for index in range(4)]


def pictures(person: int, seed: int) -> np.ndarray:
    return PEOPLE[person] + np.random.default_rng(seed).normal(0, 0.01, (8, 128))


def test_the_scale_is_one_for_the_same_and_zero_for_others() -> None:
    scale = identity_scale(PEOPLE, [pictures(0, 0), pictures(1, 1)])
    assert scale.different == pytest.approx(2**0.5)
    assert scale.similarity(distances(pictures(2, 2), pictures(2, 3)).mean()) == pytest.approx(1, abs=0.02)
    assert scale.similarity(distances(pictures(2, 2), pictures(3, 3)).mean()) == pytest.approx(0, abs=0.02)


def test_one_person_is_no_scale() -> None:
    with pytest.raises(InputError, match="two held-out people"):
        identity_scale(PEOPLE[:1], [pictures(0, 0)])
