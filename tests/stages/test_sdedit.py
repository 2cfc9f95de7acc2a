"""SDEdit: what is wrong with it is an error before the film, and its former spelling is read."""

from __future__ import annotations

import pytest

from infinitetalk.config.request import SDEdit
from infinitetalk.errors import InputError
from infinitetalk.pipeline import plan
from tests.test_pipeline import request_for


def test_nano_cannot_start_from_the_sources_frames(tmp_path) -> None:
    with pytest.raises(InputError, match="nano cannot start from"):
        plan(request_for(tmp_path, 1.0, sdedit=SDEdit()))


@pytest.mark.parametrize("values, words", [({"denoising_strength": 1.5}, "is 1.5; give a number from 0 to 1"),
                                           ({"kept": 0.5}, "unknown key 'kept'")])  # fmt: skip
def test_what_is_wrong_is_said(tmp_path, values, words) -> None:
    with pytest.raises(InputError, match=words):
        request_for(tmp_path, 1.0, sdedit=values)
