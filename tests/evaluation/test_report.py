"""Tables and JSON say what was measured, what was asked, and what is not known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infinitetalk.evaluation.progress import Clock
from infinitetalk.evaluation.report import Figure, Report, at_least, at_most
from infinitetalk.evaluation.statistics import Estimate, estimate

UNKNOWN = float("nan")


def report() -> Report:
    return Report(
        about={"model": "nano"},
        figures=[
            Figure("jaw", "Lips", "jaw correlation", estimate([0.7, 0.8]), true=0.96, must=at_least(0.65),
                   aim=at_least(0.85)),
            Figure("other", "Lips", "other speech", Estimate(0.3, 0.2, 0.4, 6), must=at_most(0.2), aim=at_most(0.1)),
            Figure("drift", "A minute", "colour drift", Estimate(0.4, UNKNOWN, UNKNOWN, 1), aim=at_most(1)),
            Figure("photo", "Real", "from a photograph", Estimate(UNKNOWN, UNKNOWN, UNKNOWN, 0), must=at_least(0.6)),
        ],
        clips=[{"clip": 3, "jaw": 0.7}],
        curves={"identity": [1.0, 0.9]},
        sources=["someone: public domain"],
        notes=["a note"],
    )  # fmt: skip


def test_verdicts() -> None:
    assert [figure.verdict for figure in report().figures] == ["must", "missed", "aim", ""]


def test_files(tmp_path: Path) -> None:
    report().write(tmp_path / "deep" / "er")
    data = json.loads((tmp_path / "deep" / "er" / "report.json").read_text())
    assert data["figures"]["jaw"]["value"] == pytest.approx(0.75)
    assert data["figures"]["jaw"]["must"] == "≥ 0.65"
    assert data["figures"]["photo"]["value"] is None
    text = (tmp_path / "deep" / "er" / "report.md").read_text()
    assert "| jaw correlation | 0.75 (0.70 to 0.80) | 0.96 | ≥ 0.65 | ≥ 0.85 | must |" in text
    assert "| from a photograph | unknown |" in text
    assert "identity: 1.00 0.90" in text and "* someone: public domain" in text


def test_text_has_every_figure_in_columns() -> None:
    lines = report().to_text().splitlines()
    assert lines[1] == "LIPS"
    assert next(line for line in lines if line.startswith("other speech")).endswith("missed")


def test_the_clock_corrects_itself() -> None:
    told: list[str] = []
    clock = Clock([("first", 10.0), ("second", 30.0)], told.append)
    clock.begin("first")
    clock.begin("second")
    assert told[0] == "[1/2] first, about 40 s left"
    assert told[1].startswith("[2/2] second, about 2")  # the first step took no time: less is expected of the second
