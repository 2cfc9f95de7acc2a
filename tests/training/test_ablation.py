"""The ablation runs from start to table at a tiny size, goes on after a stop, and measures what it says."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from infinitetalk.models.nano_vae import NanoVAE
from infinitetalk.training import ablation
from infinitetalk.training.ablation import VARIANTS, Ablation, run_ablation, training_of
from infinitetalk.training.ablation_report import _less_chunk_means, film_figures
from infinitetalk.training.ablation_stream import NUM_FILM_FRAMES, AblationFilm
from infinitetalk.training.phases import Phase
from tests.training.toy_features import CELLS, toy_clips, toy_features

TINY = Ablation(base_steps=2, steps=1, dim=24, num_layers=1, num_heads=1, clips_per_motion=1, sampling_steps=1)


@pytest.fixture(scope="module")
def vae() -> NanoVAE:
    torch.manual_seed(0)
    small = NanoVAE(encoder_dim=16, group_dim=16, frame_dim=16, half_dim=8, quarter_dim=8)
    return small.eval().requires_grad_(False)


def test_variants_differ_in_what_is_given_alone() -> None:
    settings = {name: training_of(name, TINY) for name in VARIANTS}
    assert [settings[name].reference for name in VARIANTS[:4]] == ["M0", "M1", "M2", "M3"]
    assert [settings[name].conditioning for name in VARIANTS[4:]] == ["i2v", "fl2v"]
    same = {replace(s, reference="M3", conditioning="sparse") for s in settings.values()}
    assert len(same) == 1


def test_from_start_to_table(vae, tmp_path, monkeypatch) -> None:
    clips = toy_clips(num_frames=153, size=256)
    features = toy_features(clips)
    two = ("M3", "FL2V")  # one of each way of starting a chunk: six would take a minute
    monkeypatch.setattr(ablation, "VARIANTS", two)
    monkeypatch.setattr(ablation, "WHOLE", Phase("chunks", 1.0, 4, None, 1, 6.0, 3.0, 0.2, 0.4))
    monkeypatch.setattr(ablation, "CROPS", Phase("mouths", 0.6, 4, (6, 6), 2, 6.0, 1.0, 0.2, 0.5))
    results = run_ablation(clips, features, vae, tmp_path, TINY)
    assert tuple(results) == two == tuple(json.loads((tmp_path / "ablation.json").read_text())["results"])
    for figures in results.values():
        assert figures["faces"] == 0  # grey pictures
        assert figures["color_first"] < 30 and np.isfinite(figures["seam"])
        assert len(figures["closeness_by_latent_frame"]) == 11
    assert "| | M3 | FL2V |" in (tmp_path / "ablation.md").read_text()
    assert cv2.imread(str(tmp_path / "sheet-0.png")).shape[0] == 3 * 128

    # A second call trains nothing again.
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/transformer/*")}
    assert run_ablation(clips, features, vae, tmp_path, TINY).keys() == results.keys()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/transformer/*")} == before


def test_borders_and_colours_are_measured() -> None:
    """A film that jumps at its borders and grows redder from chunk to chunk, shown over a still source."""
    source = np.full((NUM_FILM_FRAMES, 8, 8, 3), 100, np.uint8)
    flicker = np.arange(NUM_FILM_FRAMES) % 2
    frames = source + flicker[:, None, None, None].astype(np.uint8)
    borders = [41, 73, 105]
    for border in borders:
        frames[border:, ..., 0] += 9
    nowhere = np.full((NUM_FILM_FRAMES, 7, 2), np.nan)
    film = AblationFilm(frames, borders, np.tile(np.linspace(1, 3, CELLS), (4, 1)))
    jaw = np.zeros(NUM_FILM_FRAMES)
    figures = film_figures(film, source, nowhere, jaw, jaw)
    assert 2 < figures["seam"] < 5
    assert figures["color_last"] - figures["color_first"] == pytest.approx(27, abs=1)
    assert figures["copy_ends"] > 1 and np.isnan(figures["lips"]) and np.isnan(figures["lips_inside"])


def test_a_mouth_that_a_chunk_holds_open_throughout_is_no_speech() -> None:
    said = np.sin(np.arange(120) / 3.0)
    held = np.repeat([0.0, 5.0, -5.0], 40)
    inside = _less_chunk_means(said + held, [40, 80])
    assert np.corrcoef(inside, said)[0, 1] > 0.98 > np.corrcoef(said + held, said)[0, 1]
    assert np.isnan(_less_chunk_means(np.full(4, np.nan), [2])).all()
