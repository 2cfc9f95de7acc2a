from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from infinitetalk.ui.timeline.pictures import THUMBNAIL_PIXELS, SourcePictures


def test_a_source_is_drawn_for_whoever_knows_its_word(picture: Path) -> None:
    pictures = SourcePictures()
    word = pictures.word(str(picture))
    assert word == pictures.word(str(picture)) and len(word) > 16
    (address,) = pictures.thumbnails(word, [0.5])
    assert address is not None
    image = Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1])))
    assert max(image.size) <= THUMBNAIL_PIXELS and image.size == (64, 96)


@pytest.mark.parametrize("word", ["", "guess", None, 3, "../../etc/passwd"])
def test_nobody_else_gets_a_picture(picture: Path, word: object) -> None:
    pictures = SourcePictures()
    pictures.word(str(picture))
    assert not any(pictures.thumbnails(word, [0.0]))


@pytest.mark.parametrize("times", [None, "now", ["0"], [True], [-1.0], [float("nan")], [1e9]])
def test_what_is_no_instant_has_no_picture(picture: Path, times: object) -> None:
    pictures = SourcePictures()
    assert not any(pictures.thumbnails(pictures.word(str(picture)), times))


def test_a_source_that_has_gone_gives_nothing(picture: Path) -> None:
    pictures = SourcePictures()
    word = pictures.word(str(picture))
    picture.unlink()
    assert pictures.thumbnails(word, [0.0]) == [None]
