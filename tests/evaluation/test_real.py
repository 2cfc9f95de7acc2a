"""Photographs and recordings of this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infinitetalk.errors import InputError
from infinitetalk.evaluation.real import photos, recordings


def test_photographs_of_a_folder(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 30), (10, 20, 30, 255)).save(tmp_path / "ada.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (photo,) = photos(tmp_path)
    assert photo.name == "ada" and photo.read().shape == (30, 20, 3)


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no picture"):
        photos(tmp_path)


def test_packaged_photographs_are_credited() -> None:
    for photo in photos():
        assert "public domain" in photo.credit
        assert min(photo.read().shape[:2]) >= 256


def test_recordings_have_texts_and_sound() -> None:
    for recording in recordings():
        assert recording.text and "<" not in recording.text
        samples = recording.read()
        assert samples.dtype == np.float32 and len(samples) > 16_000
