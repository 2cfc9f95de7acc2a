"""Which held-out clips are taken, and what is read of them, in both formats of clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from infinitetalk.errors import InputError
from infinitetalk.evaluation.minute import chunk_spans, long_speech
from infinitetalk.evaluation.sheets import phoneme_instants
from infinitetalk.evaluation.truth import held_out_clips, other_portraits

NUM_CLIPS, NUM_FRAMES, SIZE = 5, 40, 16


def write(folder: Path, *, second_format: bool) -> Path:
    place = folder / "heldout"
    place.mkdir(parents=True)
    rng = np.random.default_rng(0)
    jaw = rng.uniform(0.3, 1, (NUM_CLIPS, NUM_FRAMES)).astype(np.float32)
    jaw[:, 12] = 0
    shapes = np.zeros((NUM_CLIPS, NUM_FRAMES, 3), np.float32)
    shapes[:, :, 0] = jaw
    shapes[:, 5:8, 1] = 0.5  # press
    shapes[:, 20, 2] = 0.9  # pucker
    arrays = {
        "video": rng.integers(0, 255, (NUM_CLIPS, NUM_FRAMES, SIZE, SIZE, 3), dtype=np.uint8),
        "audio": rng.normal(0, 0.1, (NUM_CLIPS, 640 * NUM_FRAMES)).astype(np.float32),
        "jaw": jaw,
        "shapes": shapes,
        "voice_ids": np.array([100, 100, 100, 101, 101], np.int32),
        "head_ids": np.array([7, 7, 8, 8, 9], np.int32),
        "done": np.array([True, True, True, True, False]),
    }
    voices = {"100": "awb", "101": "anna"}
    if second_format:
        lids = np.zeros((NUM_CLIPS, NUM_FRAMES), np.float32)
        lids[:, 12] = 1  # the mouth is shut there, but so are the eyes
        jaw[:, 15] = 0.1
        closures = np.zeros((NUM_CLIPS, NUM_FRAMES), bool)
        closures[:, 30:32] = True
        arrays |= {"lids": lids, "closures": closures, "motion": np.array([0, 2, 1, 0, 0], np.uint8)}
        voices = {"100": {"name": "awb", "language": "en"}, "101": {"name": "anna", "language": "de"}}
    for name, array in arrays.items():
        np.save(place / f"{name}.npy", array)
    (place / "index.json").write_text(json.dumps({"shapes": ["jaw", "press", "pucker"], "voices": voices}))
    return folder


def test_first_format_has_no_lids_and_reads_closures_from_the_lips(tmp_path: Path) -> None:
    clips = held_out_clips(write(tmp_path, second_format=False), 9)
    assert [clip.number for clip in clips] == [0, 3, 1, 2]  # voices in turn, unfinished ones never
    assert clips[0].lids is None and clips[0].voice == "awb"
    assert np.flatnonzero(clips[0].closures).tolist() == [5, 6, 7]
    assert clips[0].portrait_frame == 12


def test_second_format_tells_lids_languages_and_cameras(tmp_path: Path) -> None:
    clips = held_out_clips(write(tmp_path, second_format=True), 3)
    assert [clip.number for clip in clips] == [0, 3, 2]  # 1 has a moving camera
    assert [clip.language for clip in clips] == ["en", "de", "en"]
    assert np.flatnonzero(clips[0].closures).tolist() == [30, 31]
    assert clips[0].portrait_frame == 15
    assert np.array_equal(clips[0].portrait, clips[0].video[15])


def test_no_clips_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no clips"):
        held_out_clips(tmp_path, 3)
    folder = write(tmp_path, second_format=True)
    np.save(folder / "heldout" / "done.npy", np.zeros(NUM_CLIPS, bool))
    with pytest.raises(InputError, match="no finished clip"):
        held_out_clips(folder, 3)


def test_one_portrait_of_each_finished_head(tmp_path: Path) -> None:
    assert len(other_portraits(write(tmp_path, second_format=True), 9)) == 2


def test_a_minute_repeats_the_clips_with_their_truth(tmp_path: Path) -> None:
    clips = held_out_clips(write(tmp_path, second_format=True), 2)
    speech = long_speech(clips, 4.0)
    assert speech.samples.shape == (64_000,) and speech.jaw.shape == (100,)
    assert np.array_equal(speech.jaw[40:80], clips[1].jaw)
    assert np.array_equal(speech.jaw[80:], clips[0].jaw[:20])
    assert np.array_equal(speech.samples[40 * 640 : 80 * 640], clips[1].audio)


def test_a_crumb_of_a_chunk_is_not_a_stretch_of_its_own() -> None:
    assert chunk_spans(160) == [(0, 81), (81, 160)]  # 153 + 7
    assert chunk_spans(170) == [(0, 81), (81, 153), (153, 170)]


def test_sheets_look_at_closures_and_at_each_shape_where_it_is_strongest(tmp_path: Path) -> None:
    clip = held_out_clips(write(tmp_path, second_format=True), 1)[0]
    instants = phoneme_instants(clip)
    assert ("p b m", 30) in instants
    assert ("u w", 20) in instants
    assert ("a", int(np.argmax(clip.jaw))) in instants
