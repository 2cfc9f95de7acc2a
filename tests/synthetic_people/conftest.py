"""Two people of the generator, small enough to draw in a moment."""

from __future__ import annotations

import importlib.util

import pytest

MISSING = [name for name in ("anny", "numba") if importlib.util.find_spec(name) is None]


@pytest.fixture(scope="session")
def cast(tmp_path_factory):
    """A bank of two held-out people and the maps to paint them."""
    if MISSING:
        pytest.skip(f"not installed: {', '.join(MISSING)} (requirements-train.txt)")
    from synthetic_people.heads import HELD_OUT_START, load_bank
    from synthetic_people.skin import surface_maps

    bank = load_bank([HELD_OUT_START, HELD_OUT_START + 1], seed=5, cache=tmp_path_factory.mktemp("heads"))
    return bank, surface_maps(bank.surface)


@pytest.fixture(scope="session")
def person(cast):
    """One of them in front of a camera, 128 pixels."""
    from synthetic_people.heads import HELD_OUT_START
    from synthetic_people.people import Person

    return Person(*cast, HELD_OUT_START, 5, 0, 128)
