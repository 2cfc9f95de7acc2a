"""A graph that does not start is made anew; one that never does in this process is made in another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infinitetalk.media import native_code


def fails_at_first(times: int, calls: Path) -> str:
    """Every call appends its process to the file `calls`."""
    os.write(2, b"a note of native code\n")
    with open(calls, "a") as file:
        file.write(f"{os.getpid()}\n")
    if len(calls.read_text().split()) <= times:
        raise RuntimeError("CalculatorGraph::Run() failed")
    return "found"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch) -> None:
    monkeypatch.setattr(native_code, "_PAUSE", 0)


@pytest.mark.parametrize("times", [0, 1])
def test_a_graph_that_fails_once_costs_nothing_but_time(tmp_path, capfd, times) -> None:
    assert native_code.with_mediapipe(fails_at_first, times, tmp_path / "calls") == "found"
    assert (tmp_path / "calls").read_text().split() == [str(os.getpid())] * (times + 1)
    assert capfd.readouterr().err == ""


def test_where_no_graph_starts_another_process_makes_it(tmp_path, capfd) -> None:
    assert native_code.with_mediapipe(fails_at_first, 2, calls=tmp_path / "calls") == "found"
    here, again, elsewhere = (tmp_path / "calls").read_text().split()
    assert here == again == str(os.getpid()) != elsewhere
    assert capfd.readouterr().err == ""


def test_a_graph_that_always_fails_is_an_error(tmp_path) -> None:
    with pytest.raises(RuntimeError, match="CalculatorGraph"):
        native_code.with_mediapipe(fails_at_first, 9, tmp_path / "calls")
    assert len((tmp_path / "calls").read_text().split()) == 3
