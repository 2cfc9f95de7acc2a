"""Where references come from: every strategy keeps its word for every chunk of every film."""

from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.errors import InputError
from infinitetalk.training.references import NEAR_FRAMES, STRATEGIES, draw_given, reference_frames


def chunks():
    rng = np.random.default_rng(0)
    for _ in range(200):
        length = int(rng.integers(1, 82))
        num_frames = int(rng.integers(length + 60, length + 200))
        start = int(rng.integers(0, num_frames - length + 1))
        yield start, start + length, num_frames


@pytest.mark.parametrize(("start", "stop", "num_frames"), chunks())
def test_strategies_by_position(start: int, stop: int, num_frames: int) -> None:
    inside, ends, far, adjacent = (reference_frames(s, start, stop, num_frames) for s in STRATEGIES)
    assert inside.tolist() == list(range(start, stop))
    assert set(ends) == {start, stop - 1}
    away = [start - t if t < start else t - stop + 1 for t in (*far, *adjacent)]
    assert min(away[: len(far)]) >= NEAR_FRAMES
    assert 1 <= min(away[len(far) :]) and max(away[len(far) :]) < NEAR_FRAMES
    # Nothing of the film is left over: a frame is inside, adjacent or far.
    assert sorted({*inside, *far, *adjacent}) == list(range(num_frames))


def test_one_second_is_far() -> None:
    """At 25 frames per second the frame 25 after the chunk's last is a second away, hence far."""
    assert reference_frames("M2", 0, 81, 200)[0] == 80 + 25
    assert reference_frames("M3", 0, 81, 200)[-1] == 80 + 24


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_examples_of_the_published_way(strategy: str) -> None:
    rng = np.random.default_rng(1)
    given = [draw_given("sparse", strategy, 81, 153, rng, start_step=2) for _ in range(300)]
    for example in given:
        allowed = reference_frames(strategy, example.start, example.start + 81, 153)
        assert example.reference == example.start if example.opens else example.reference in allowed
        assert example.start % 2 == 0 and example.second is None
        assert example.num_context == 1 or not example.opens
    assert {example.num_context for example in given} == {0, 1, 3}
    assert 0.2 < np.mean([example.opens for example in given]) < 0.4


def test_other_ways_of_conditioning() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        prolonged = draw_given("i2v", "M3", 81, 153, rng)
        assert prolonged.reference == prolonged.start and prolonged.second is None and prolonged.num_context == 1
        framed = draw_given("fl2v", "M3", 81, 153, rng)
        assert (framed.reference, framed.second) == (framed.start, framed.start + 80)
        between = draw_given("two-reference", "M3", 81, 153, rng)
        assert between.reference <= between.start and between.second >= between.start + 81
        assert between.start - between.reference < NEAR_FRAMES and between.second - between.start - 80 < NEAR_FRAMES


def test_films_that_are_too_short_are_said() -> None:
    with pytest.raises(InputError, match="no reference of kind M2"):
        reference_frames("M2", 5, 86, 100)
    with pytest.raises(InputError, match="too short"):
        draw_given("sparse", "M3", 81, 80, np.random.default_rng(0))
    with pytest.raises(InputError, match="no reference strategy 'M4'"):
        reference_frames("M4", 5, 86, 100)  # type: ignore[arg-type]
