"""What can be compared, and what is said where there is nothing to compare with."""

from __future__ import annotations

from pathlib import Path

import pytest

from infinitetalk.errors import InputError
from infinitetalk.ui.compare import panel, sides
from infinitetalk.ui.studio import Studio


def test_with_fewer_than_two_films_a_sentence_says_what_to_do(tmp_path: Path) -> None:
    answer = panel.offered(Studio(tmp_path), [], None, None, None, None)
    assert "second film or take" in answer["compare_notice"] and not answer["compare_result"]["visible"]
    assert answer["compare_first"]["choices"] == [] and not answer["compare_second"].get("value")


@pytest.mark.parametrize("key", ["film", "source", "take 0 1", "job ../../etc", "upload", "", None, 7])
def test_what_is_not_there_or_not_the_visitors_is_refused(tmp_path: Path, key: object) -> None:
    with pytest.raises(InputError, match="no longer there"):
        sides.side(Studio(tmp_path), [], None, None, key)
