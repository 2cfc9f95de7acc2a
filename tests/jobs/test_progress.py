"""Time left: the plan's estimate at first, then the run's own pace; for the chunk from its measured steps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from infinitetalk.jobs import progress
from infinitetalk.jobs.progress import Clock
from infinitetalk.planning.chunks import plan_chunks


@pytest.fixture
def watch(monkeypatch):
    """A clock that is set by hand."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now.seconds)
    return now


def _plan(seconds: float) -> SimpleNamespace:
    return SimpleNamespace(
        chunks=plan_chunks(153), settings=SimpleNamespace(steps=4), seconds_low=seconds, seconds_high=seconds
    )


def _made(clock: Clock, plan: SimpleNamespace, watch: SimpleNamespace, step_seconds: float) -> None:
    for chunk in plan.chunks:
        clock.begin(chunk)
        for step in range(4):
            watch.seconds += step_seconds
            clock.step(step, torch.zeros(1))
        watch.seconds += step_seconds  # decoding


def test_a_model_that_was_never_timed_says_nothing_until_it_has_made_a_step(watch) -> None:
    told: list = []
    plan = _plan(0.0)
    _made(Clock(plan, told.append), plan, watch, 2.0)
    assert told[0].seconds_left is None and told[0].chunk_seconds_left is None
    assert told[1].seconds_left == pytest.approx(18.0), "nine tenths are left after 2 s"
    assert [event.seconds_left for event in told if event.seconds_left is not None][-1] == pytest.approx(2.0)


def test_the_chunks_own_time_left_comes_from_its_steps(watch) -> None:
    told: list = []
    plan = _plan(100.0)
    _made(Clock(plan, told.append), plan, watch, 3.0)
    of_first = [event.chunk_seconds_left for event in told if event.chunk == 0][1:]
    assert of_first == pytest.approx([12.0, 9.0, 6.0, 3.0])
    assert told[0].seconds_left == 100.0, "the plan's, as long as nothing was measured"


def test_what_an_earlier_run_made_says_nothing_of_this_ones_pace(watch) -> None:
    told: list = []
    plan = _plan(0.0)
    clock = Clock(plan, told.append)
    clock.begin(plan.chunks[0])
    clock.skip(plan.chunks[0])
    watch.seconds += 0.1
    clock.begin(plan.chunks[1])
    assert told[-1].seconds_left is None
    watch.seconds += 1.0
    clock.step(0, torch.zeros(1))
    assert 4.0 < told[-1].seconds_left < 4.6


def test_previews_go_with_the_steps(watch) -> None:
    told: list = []
    plan = _plan(10.0)
    clock = Clock(plan, told.append, lambda latents: b"picture" if latents.numel() == 1 else None)
    _made(clock, plan, watch, 1.0)
    assert [event.preview for event in told if event.chunk == 0] == [None, *[b"picture"] * 4]
