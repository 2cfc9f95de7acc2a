"""`infinitetalk train` before anything is trained: its stages, and what it refuses."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from infinitetalk.commands import train
from infinitetalk.errors import InputError


def test_every_stage_can_be_run():
    assert {*train._RUN, "lora"} == set(train.STAGES)


@pytest.mark.parametrize("stage", ["distill", "steer", "decoder", "lip-reader", "two-reference"])
def test_a_stage_names_the_earlier_one_that_it_needs(tmp_path: Path, stage: str):
    parsed = train.build_parser().parse_args(["--stage", stage, "--data", "d", "--out", str(tmp_path)])
    with pytest.raises(InputError, match="does not exist; run `train --stage (transformer|vae)`"):
        train.run_stage(stage, None, parsed)


@pytest.mark.parametrize(
    ("given", "stage", "seconds"),
    [
        ({"hours": 10.0, "stage": "all"}, "vae", 10080.0),
        ({"hours": 10.0, "stage": "vae"}, "vae", 36000.0),
        ({"seconds": 5.0, "stage": "vae"}, "vae", 5.0),
        ({"stage": "vae"}, "vae", None),
    ],
)
def test_hours_are_shared_out(monkeypatch, given, stage, seconds):
    arguments = argparse.Namespace(**{"hours": None, "seconds": None, "seed": 3, "steps": None} | given)
    monkeypatch.setitem(train._RUN, stage, lambda one: one.budget)
    assert train.run_stage(stage, None, arguments) == {
        "seconds": seconds and pytest.approx(seconds),
        "seed": 3,
        "num_steps": None,
    }
