from __future__ import annotations

import numpy as np
import pytest

from infinitetalk.audio.arrangement import arrange_speakers, place_speakers, placed

FIRST, SECOND = np.arange(1, 6, dtype=np.float32), np.arange(10, 13, dtype=np.float32)


def test_together_pads_the_shorter_voice() -> None:
    first, second = arrange_speakers([FIRST, SECOND], "together")
    assert first.tolist() == [1, 2, 3, 4, 5]
    assert second.tolist() == [10, 11, 12, 0, 0]


def test_in_turn_gives_each_voice_its_own_time() -> None:
    first, second = arrange_speakers([FIRST, SECOND], "in-turn")
    assert first.tolist() == [1, 2, 3, 4, 5, 0, 0, 0]
    assert second.tolist() == [0, 0, 0, 0, 0, 10, 11, 12]


@pytest.mark.parametrize(("arrangement", "total"), [("together", 5), ("in-turn", 10)])
def test_a_missing_voice_is_silence_as_long_as_the_other(arrangement: str, total: int) -> None:
    first, second = arrange_speakers([None, FIRST], arrangement)
    assert first.shape == second.shape == (total,)
    assert not first.any()
    assert second[-5:].tolist() == FIRST.tolist()


def test_one_voice_stands_alone() -> None:
    (only,) = arrange_speakers([FIRST], "in-turn")
    assert only.tolist() == FIRST.tolist()


def test_any_stretch_can_be_read_lazily() -> None:
    whole = arrange_speakers([FIRST, SECOND], "in-turn")[1]
    read = placed(lambda start, stop: SECOND[start:stop], place_speakers([5, 3], "in-turn")[1])
    for start in range(9):
        for stop in range(start, 11):
            assert read(start, stop).tolist() == whole[start:stop].tolist()


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="No speaker has any sound"):
        place_speakers([None, None])
    with pytest.raises(ValueError, match="'para' is unknown"):
        place_speakers([5, 3], "para")
