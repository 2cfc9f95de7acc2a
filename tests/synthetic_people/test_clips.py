"""Folders of clips: truth that fits the picture, and the same bytes after a rendering was killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time

import numpy as np
import pytest

pytest.importorskip("numba", reason="requirements-train.txt is not installed")
pytest.importorskip("anny", reason="requirements-train.txt is not installed")

from synthetic_people import clips, visemes, voices
from synthetic_people.heads import HELD_OUT_START
from synthetic_people.skeleton import JOINTS

pytestmark = pytest.mark.skipif(shutil.which("flite") is None, reason="Debian's flite is not installed")


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    """The voice of flite alone, and an own cache of heads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFINITETALK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(voices, "VOICES", tuple(v for v in voices.VOICES if v.engine == "flite"))
        yield clips.ClipSettings(num_clips=2, seed=5, split="heldout", num_frames=40, size=64)


@pytest.fixture(scope="module")
def rendered(setting, tmp_path_factory):
    """Folder and arrays of a rendering that was left in peace, and what it reported."""
    folder, lines = tmp_path_factory.mktemp("clips") / "whole", []
    clips.make_clips(folder, setting, report=lines.append)
    return folder, {name: np.load(folder / f"{name}.npy") for name in setting.arrays()}, lines


def test_the_picture_shows_what_the_truth_says(rendered) -> None:
    folder, read, lines = rendered
    index = json.loads((folder / "index.json").read_text())
    assert index["format"] == 2 and index["shapes"] == list(visemes.SHAPES) and index["joints"] == list(JOINTS)
    assert index["voices"]["100"] == {"name": "flite-awb", "language": "en"}
    assert "2 of 2 clips" in lines[-1] and "frames a second" in lines[-1]
    assert read["done"].all() and (read["head_ids"] >= HELD_OUT_START).all() and (read["voice_ids"] == 100).all()
    assert read["jaw"].max() > 0.4
    for clip in range(2):
        assert np.corrcoef(read["jaw"][clip], read["openness"][clip])[0, 1] > 0.85
        shut = read["closures"][clip]
        if shut.any():
            assert read["openness"][clip][shut].mean() < np.percentile(read["openness"][clip], 40) + 0.01
        top, left, bottom, right = read["mouth_boxes"][clip].mean(0).round().astype(int)
        change = read["video"][clip].astype(float).std(0).mean(-1)
        assert change[top:bottom, left:right].mean() > 2 * change.mean()


def test_a_killed_rendering_goes_on_as_if_it_had_not_been(rendered, setting, tmp_path) -> None:
    folder = tmp_path / "killed"
    clips.prepare_folder(folder, setting)
    worker = multiprocessing.get_context("fork").Process(target=clips._work, args=(folder, setting, 0, 1))
    worker.start()
    waited = time.monotonic() + 120
    while not np.load(folder / "done.npy")[0]:
        assert worker.is_alive() and time.monotonic() < waited
        time.sleep(0.02)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert worker.exitcode == -signal.SIGKILL and not np.load(folder / "done.npy").all()
    clips.make_clips(folder, setting, report=lambda line: None)
    for name, wanted in rendered[1].items():
        assert np.array_equal(np.load(folder / f"{name}.npy"), wanted), name


def test_other_settings_are_refused(rendered, setting) -> None:
    with pytest.raises(ValueError, match="other settings"):
        clips.make_clips(rendered[0], clips.ClipSettings(2, 6, "heldout", 40, 64), report=lambda line: None)


def test_kinds_of_motion_have_their_shares() -> None:
    train, heldout = (clips.ClipSettings(100, split=split) for split in ("train", "heldout"))
    counts = [np.bincount([clips.motion_kind(s, clip) for clip in range(100)], minlength=3) for s in (train, heldout)]
    assert counts[0].tolist() == [65, 20, 15] and counts[1].tolist() == [80, 10, 10]
