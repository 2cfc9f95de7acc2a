"""What this machine took is what the plan says next time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infinitetalk.config.request import load_preset
from infinitetalk.models.specs import get_spec
from infinitetalk.runtime import timing


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("INFINITETALK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "timings.json"


def test_measured_times_replace_the_estimate(cache):
    spec, settings = get_spec("nano"), load_preset("nano")
    timing.remember_chunk_seconds(spec, settings, 4.0)
    assert timing.estimate_chunk_seconds(spec, settings) == 4.0
    timing.remember_chunk_seconds(spec, settings, 8.0)
    assert timing.estimate_chunk_seconds(spec, settings) == 6.0
    assert timing.estimate_chunk_seconds(spec, replace(settings, steps=settings.steps + 1)) != 6.0


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": "y"}'])
def test_a_damaged_cache_is_no_cache(cache, content):
    cache.parent.mkdir()
    cache.write_text(content)
    spec, settings = get_spec("nano"), load_preset("nano")
    before = timing.estimate_chunk_seconds(spec, settings)
    timing.remember_chunk_seconds(spec, settings, before + 1)
    assert timing.estimate_chunk_seconds(spec, settings) == before + 1


def test_a_cache_that_cannot_be_written_is_done_without(cache, monkeypatch):
    cache.parent.write_text("a file where the folder should be")
    timing.remember_chunk_seconds(get_spec("nano"), load_preset("nano"), 4.0)


def test_evaluations_by_guidance():
    settings = load_preset("nano")
    assert timing.num_evaluations(replace(settings, guidance_scale=5.0)) == 3
    assert timing.num_evaluations(replace(settings, guidance_scale=1.0, audio_guidance_scale=2.0)) == 2
    assert timing.num_evaluations(replace(settings, guidance_scale=1.0, audio_guidance_scale=1.0)) == 1
