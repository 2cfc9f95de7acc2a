"""A graph that does not start is made anew; one that never does is an error."""

from __future__ import annotations

import os

import pytest

from infinitetalk.media import native_code


def failing(times: int, calls: list[int]):
    def work() -> str:
        calls.append(len(calls))
        os.write(2, b"a note of native code\n")
        if len(calls) <= times:
            raise RuntimeError("CalculatorGraph::Run() failed")
        return "found"

    return work


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_graph_that_fails_once_or_twice_costs_nothing_but_time(monkeypatch, capfd, times) -> None:
    monkeypatch.setattr(native_code, "_PAUSE", 0)
    calls: list[int] = []
    assert native_code.with_mediapipe(failing(times, calls)) == "found"
    assert len(calls) == times + 1
    assert capfd.readouterr().err == ""


def test_a_graph_that_always_fails_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr(native_code, "_PAUSE", 0)
    calls: list[int] = []
    with pytest.raises(RuntimeError, match="CalculatorGraph"):
        native_code.with_mediapipe(failing(9, calls))
    assert len(calls) == 3
