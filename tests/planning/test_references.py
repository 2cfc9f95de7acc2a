"""A plan takes its references from pictures that can guide a chunk, and says what it moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infinitetalk import GenerationRequest, Speaker, plan
from infinitetalk.config.request import Keyframe
from infinitetalk.paths import assets_dir
from tests.media.conftest import write_video

PORTRAIT = np.asarray(Image.open(assets_dir() / "portrait.png").convert("RGB").resize((256, 256)))
BLACK = np.zeros_like(PORTRAIT)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds: black for one picture, and again for five where the second chunk would take its reference."""
    pictures = [BLACK if i == 0 or 71 <= i < 76 else np.roll(PORTRAIT, i % 3, axis=1) for i in range(150)]
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write_video(path, pictures, [i / 25 for i in range(150)])


def planned(film: Path, **choices):
    return plan(GenerationRequest(str(film), (Speaker(str(assets_dir() / "speech.wav")),), max_seconds=5.5, **choices))


def test_dark_references_give_way_and_the_plan_says_so(film: Path) -> None:
    found = planned(film)
    assert [chunk.reference.source_seconds for chunk in found.chunks] == pytest.approx([0.04, 3.04])
    assert found.cuts == ()
    moved = [note for note in found.warnings if "takes its picture" in note]
    assert moved == [
        "The source is black at 0:00.00; the chunk from 0:00.00 on takes its picture from 0:00.04 instead.",
        "The source is black at 0:02.88; the chunk from 0:03.24 on takes its picture from 0:03.04 instead.",
    ]
    assert not [note for note in found.warnings if "No face" in note], "the first usable picture has one"


def test_what_the_user_has_pinned_stays(film: Path) -> None:
    found = planned(film, keyframes=(Keyframe(0.0, source_seconds=2.9),))
    assert found.chunks[0].reference.source_seconds == pytest.approx(2.9)
    assert found.chunks[1].reference.source_seconds == pytest.approx(3.04)
