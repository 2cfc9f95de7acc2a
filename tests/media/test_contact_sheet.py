from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from infinitetalk.errors import OutputError
from infinitetalk.media.contact_sheet import GAP, LABEL_HEIGHT, contact_sheet
from tests.media.conftest import grey_frames, write_video


def test_frames_in_rows(tmp_path):
    path = contact_sheet(grey_frames(5), tmp_path / "sheet.png", columns=3, labels=["a", "b", "c", "d", ""])
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (2 * (48 + LABEL_HEIGHT + GAP) + GAP, 3 * (64 + GAP) + GAP, 3)
    assert sheet[10, 10, 0] == 8 and sheet[10, 10 + 64 + GAP, 0] == 16
    assert sheet[10 + 48 + LABEL_HEIGHT + GAP, 10, 0] == 32
    labels = [sheet[GAP + 48 : GAP + 48 + LABEL_HEIGHT, GAP : GAP + 20], sheet[-LABEL_HEIGHT:, 80:100]]
    assert labels[0].max() > 200 > labels[1].max(), "one label is drawn, the empty one is not"


def test_of_a_video(tmp_path):
    video = write_video(tmp_path / "a.mp4", grey_frames(25), [i / 25 for i in range(25)])
    sheet = np.asarray(Image.open(contact_sheet(video, tmp_path / "s.png", columns=5, num_frames=5, tile_width=32)))
    assert sheet.shape[1] == 5 * (32 + GAP) + GAP
    levels = [int(sheet[10, GAP + 10 + i * (32 + GAP), 0]) for i in range(5)]
    assert levels == pytest.approx([8 * k + 8 for k in (0, 6, 12, 18, 24)], abs=3), "from the first to the last frame"


def test_where_it_cannot_be_written(tmp_path):
    with pytest.raises(OutputError):
        contact_sheet(grey_frames(1), tmp_path / "none" / "s.png")
