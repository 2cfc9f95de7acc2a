"""Loudness normalisation and the arrangement of two speakers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from infinitetalk.audio.arrangement import arrange_speakers
from infinitetalk.audio.loudness import measure_loudness, normalize_loudness
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.seeded_weights import read_case

ARRANGEMENTS = {"para": "together", "add": "in-turn"}


def run(folder: Path) -> None:
    meta, _, tensors = read_case(folder)
    bound = bound_from_text(meta["tolerance"]["float32"], default=1e-4)
    rate, target = meta["config"]["sample_rate"], meta["config"]["target_lufs"]
    for call in meta["calls"]:
        recorded = meta["recorded"].get(call["name"], {})
        if call["op"] == "loudness":
            _loudness(call["name"], require(tensors, call["in"]), rate, target, recorded, tensors, bound)
        else:
            _arrangement(call, rate, target, recorded, tensors, bound)


def _loudness(
    name: str,
    signal: np.ndarray,
    rate: int,
    target: float,
    recorded: dict[str, object],
    tensors: dict[str, np.ndarray],
    bound: float,
) -> None:
    normalised = normalize_loudness(signal, rate, target)
    loudness = measure_loudness(lambda start, stop: signal[start:stop], signal.shape[0], rate)
    if "error" in recorded:  # the reference fails; ours leaves the sound as it is
        assert normalised is signal, name
        return
    expected_loudness = float(recorded.get("integrated_loudness", loudness))
    if math.isfinite(expected_loudness):
        assert abs(loudness - expected_loudness) <= 1e-4, (name, loudness, expected_loudness)
    else:
        assert loudness == expected_loudness, (name, loudness)
    if recorded.get("unchanged"):
        assert normalised is signal, name
    assert_close(name, normalised, require(tensors, f"normalised.{name}"), absolute=bound)


def _arrangement(
    call: dict[str, str],
    rate: int,
    target: float,
    recorded: dict[str, object],
    tensors: dict[str, np.ndarray],
    bound: float,
) -> None:
    signals = [None if call[side] == "None" else require(tensors, f"signal.{call[side]}") for side in ("left", "right")]
    streams = [None if signal is None else normalize_loudness(signal, rate, target) for signal in signals]
    arranged = arrange_speakers(streams, ARRANGEMENTS[call["audio_type"]])
    if "error" in recorded:  # unequal lengths at once: the reference fails; ours pads the shorter stream with silence
        length = max(stream.shape[0] for stream in streams if stream is not None)
        for stream, result in zip(streams, arranged, strict=True):
            assert result.shape == (length,)
            kept = 0 if stream is None else stream.shape[0]
            assert_close(f"{call['name']} (padded)", result[:kept], stream, absolute=bound)
            assert not result[kept:].any()
        return
    for index, result in enumerate(arranged, start=1):
        assert_close(call["name"], result, require(tensors, f"{call['name']}.person{index}"), absolute=bound)
    assert_close(call["name"], arranged[0] + arranged[1], require(tensors, f"{call['name']}.sum"), absolute=bound)
