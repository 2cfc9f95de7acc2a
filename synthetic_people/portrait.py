"""A single large still of a held-out head: the studio's example portrait."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .heads import HELD_OUT_START, load_bank
from .people import Person, Stance
from .skin import surface_maps

FRIENDLY = {"mouthSmile": 0.5, "cheekSquint": 0.2, "browOuterUp": 0.12}


def render_portrait(head_id: int = HELD_OUT_START, *, seed: int = 1, take: int = 0, size: int = 512) -> np.ndarray:
    """A person with a closed mouth and a slight smile, looking at the camera: [size, size, 3] uint8.

    `take` chooses light and background. Raises ValueError for a head that training may have seen.
    """
    if head_id < HELD_OUT_START:
        raise ValueError(f"head {head_id} belongs to the training split; take one from {HELD_OUT_START} on")
    bank = load_bank([head_id], seed)
    person = Person(bank, surface_maps(bank.surface), head_id, seed, take, size, still=True)
    return person.draw(FRIENDLY, Stance(pose=(2.0, 1.0, 0.0), gaze=(-2.0, -1.0))).picture


def save_portrait(path: Path, **options) -> None:
    """Write `render_portrait(**options)` as a picture file."""
    from PIL import Image

    Image.fromarray(render_portrait(**options)).save(path)
