"""The measurement of a model of any size, on one so small that it takes a second."""

from __future__ import annotations

import pytest

from infinitetalk.benchmarks import model as bench
from infinitetalk.errors import InputError

TINY = {
    "text_len": 80, "text_dim": 8, "dim": 32, "ffn_dim": 48, "freq_dim": 16, "num_heads": 2, "num_layers": 2,
    "audio_blocks": 2, "audio_channels": 6, "intermediate_dim": 8, "output_dim": 16, "context_tokens": 3,
    "image_dim": 20,
}  # fmt: skip


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(bench.SPEC_CONFIGS, "mid", TINY)
    monkeypatch.setattr(bench, "MID_SIZE", (32, 32))


@pytest.mark.parametrize(("quantization", "cache"), [("none", "none"), ("int8", "teacache")])
def test_a_measurement_says_what_was_done_and_what_it_took(tiny, quantization, cache):
    options = bench.ModelBench(
        "mid", quantization=quantization, cache=cache, steps=1, plain=cache == "none", pictures=False
    )
    found = bench.measure(options)
    assert found["tokens"] == 21 * 2 * 2 and found["branches"] == 3
    assert found["evaluations"] == 3 * (2 if cache == "none" else 40)
    assert (found["skipped"] > 0) == (cache != "none")
    assert found["step_seconds"] > 0 and found["tflops"] > 0 and found["ceiling_tflops"] > 0
    assert set(found["stage_seconds"]) == {"building", "conditions", "steps"}
    assert found["peak_ram_mb"] > 100 and found["predicted_ram_mb"] > 100
    if cache == "none":
        assert found["ratio"] == found["step_seconds"] / found["plain_step_seconds"]
    row = bench.table([found]).splitlines()[-1]
    assert row.startswith("| mid | 84 |") and ("int8" in row) == (quantization == "int8")


@pytest.mark.parametrize(
    ("options", "words"),
    [({"spec": "15b"}, "--spec is '15b'"), ({"size": "481p"}, "481p"), ({"quantization": "int3"}, "int3"),
     ({"quantization": "nf4", "offload": "leaf"}, "")],
)  # fmt: skip
def test_impossible_measurements_are_refused_before_anything_is_built(options, words):
    choices = bench.ModelBench(**options)
    if not words:
        assert choices.settings("cuda").quantization == "nf4"
        return
    with pytest.raises(InputError, match=words):
        choices.settings("cpu")
