"""Figures as a table, as Markdown and as JSON, each with its uncertainty and its target."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .statistics import Estimate


@dataclass(frozen=True)
class Bound:
    """A figure's limit: at least `value` where `least`, else at most."""

    value: float
    least: bool

    def met(self, value: float) -> bool:
        return value >= self.value if self.least else value <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.least else '≤'} {self.value:g}"


def at_least(value: float) -> Bound:
    return Bound(value, True)


def at_most(value: float) -> Bound:
    return Bound(value, False)


@dataclass(frozen=True)
class Figure:
    """key: in JSON. label: in tables. estimate: of the generated films. over: what its interval draws anew.

    true: the same measure on true renders; None where there is none. must, aim: the project's own limits.
    """

    key: str
    group: str
    label: str
    estimate: Estimate
    over: str = "clips"
    true: float | None = None
    must: Bound | None = None
    aim: Bound | None = None

    @property
    def verdict(self) -> str:
        """aim | must | missed, or "" where there is no target or the value is unknown."""
        value = self.estimate.value
        if (self.must is None and self.aim is None) or math.isnan(value):
            return ""
        if self.aim is not None and self.aim.met(value):
            return "aim"
        return "must" if self.must is not None and self.must.met(value) else "missed"


@dataclass
class Report:
    """Everything one evaluation found.

    about: what was measured and how. clips: the figures of each clip. curves: figures over time. sources: whose
    pictures and voices were used. notes: what has to be known to read the figures.
    """

    about: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)
    clips: list[dict[str, Any]] = field(default_factory=list)
    curves: dict[str, list[float]] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def figure(self, key: str) -> Figure:
        return next(figure for figure in self.figures if figure.key == key)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; unknown numbers are null."""
        figures = {
            figure.key: {
                **asdict(figure.estimate),
                "label": figure.label,
                "over": figure.over,
                "true": figure.true,
                "must": figure.must and str(figure.must),
                "aim": figure.aim and str(figure.aim),
                "verdict": figure.verdict,
            }
            for figure in self.figures
        }
        return _known(
            {"about": self.about, "figures": figures, "clips": self.clips, "curves": self.curves,
             "sources": self.sources, "notes": self.notes}
        )  # fmt: skip

    def to_markdown(self) -> str:
        """A document: tables by group, then clips, curves, sources and notes."""
        lines = ["# Evaluation", "", "; ".join(f"{key} {value}" for key, value in self.about.items()), ""]
        for group in dict.fromkeys(figure.group for figure in self.figures):
            lines += [f"## {group}", "", "| figure | generated (95 % interval) | true renders | must | aim | reached |",
                      "|---|---|---|---|---|---|"]  # fmt: skip
            lines += [f"| {' | '.join(row)} |" for row in _rows(self.figures, group)] + [""]
        if self.clips:
            columns = list(self.clips[0])
            lines += ["## Clip by clip", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
            lines += [f"| {' | '.join(_cell(row[column]) for column in columns)} |" for row in self.clips] + [""]
        for name, values in self.curves.items():
            lines += [f"{name}: {' '.join(_cell(value) for value in values)}", ""]
        lines += [f"* {note}" for note in (*self.notes, *self.sources)]
        return "\n".join(lines) + "\n"

    def to_text(self) -> str:
        """Columns for a terminal."""
        rows = [("", "generated", "true", "must", "aim", "")]
        for group in dict.fromkeys(figure.group for figure in self.figures):
            rows += [(group.upper(), *[""] * 5), *_rows(self.figures, group)]
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join(text + [""] + list(self.notes))

    def write(self, folder: Path) -> None:
        """report.json and report.md in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n")
        (folder / "report.md").write_text(self.to_markdown())


def _rows(figures: list[Figure], group: str) -> list[tuple[str, ...]]:
    return [
        (
            figure.label,
            _with_interval(figure),
            "" if figure.true is None else _cell(figure.true),
            str(figure.must or ""),
            str(figure.aim or ""),
            figure.verdict,
        )
        for figure in figures
        if figure.group == group
    ]


def _with_interval(figure: Figure) -> str:
    value = _cell(figure.estimate.value)
    if math.isnan(figure.estimate.low):
        return value
    interval = f"{value} ({_cell(figure.estimate.low)} to {_cell(figure.estimate.high)})"
    return interval if figure.over == "clips" else f"{interval}, {figure.over}"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "unknown"
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return str(value)


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_known(item) for item in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value
