"""Synthetic clips: mouths in time with sounds, truth that fits the picture, the same bytes again after a stop."""

from __future__ import annotations

import importlib.util
import json
import shutil

import numpy as np
import pytest

from infinitetalk.training.synthetic import visemes, voices

MISSING = [name for name in ("anny", "numba") if importlib.util.find_spec(name) is None]
needs_heads = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (requirements-train.txt)")
needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="Debian package flite is not installed")


@needs_heads
@needs_flite
def test_a_clip_is_true_and_the_same_after_a_stop(tmp_path, monkeypatch) -> None:
    from infinitetalk.training.synthetic import clips
    from infinitetalk.training.synthetic.heads import HELD_OUT_START

    monkeypatch.setenv("INFINITETALK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(voices, "VOICES", tuple(v for v in voices.VOICES if v.engine == "flite"))
    settings = clips.ClipSettings(num_clips=1, seed=5, split="heldout", num_frames=50, size=64)
    folder = tmp_path / "clips"
    clips.make_clips(folder, settings, report=lambda line: None)
    read = {name: np.load(folder / f"{name}.npy") for name in settings.arrays()}
    assert read["done"].all() and read["head_ids"][0] >= HELD_OUT_START and read["voice_ids"][0] == 100
    assert json.loads((folder / "index.json").read_text())["shapes"] == list(visemes.SHAPES)

    # The picture shows what the truth says: lips part with the jaw, and pixels in the mouth's box change most.
    assert read["jaw"].max() > 0.5
    assert np.corrcoef(read["jaw"][0], read["openness"][0])[0, 1] > 0.9
    top, left, bottom, right = read["mouth_boxes"][0].mean(0).round().astype(int)
    assert 32 < top < bottom < 58 and 16 < left < 32 < right < 48
    change = read["video"][0].astype(float).std(0).mean(-1)
    assert change[top:bottom, left:right].mean() > 3 * change.mean()

    # A run that was stopped: the clip is marked as missing and holds garbage.
    stored = np.load(folder / "video.npy", mmap_mode="r+")
    stored[0, 3] = 0
    stored.flush()
    np.save(folder / "done.npy", np.zeros(1, bool))
    clips.make_clips(folder, settings, report=lambda line: None)
    for name in settings.arrays():
        assert np.array_equal(np.load(folder / f"{name}.npy"), read[name]), name

    with pytest.raises(ValueError, match="other settings"):
        clips.make_clips(folder, clips.ClipSettings(1, 6, "heldout", 50, 64), report=lambda line: None)


@needs_heads
def test_a_portrait_is_never_of_a_training_head() -> None:
    from infinitetalk.training.synthetic.portrait import render_portrait

    with pytest.raises(ValueError, match="training split"):
        render_portrait(3)
