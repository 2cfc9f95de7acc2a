"""The tables themselves are proven by the parity cases; here: nothing is lost, nothing unknown slips through."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from infinitetalk.checkpoints.keys import clip as keys_clip
from infinitetalk.checkpoints.keys import umt5 as keys_umt5
from infinitetalk.checkpoints.keys import wan_vae as keys_wan_vae
from infinitetalk.checkpoints.keys import wav2vec2 as keys_wav2vec2

CASES = Path(__file__).parents[2] / "parity" / "cases"
TABLES = [
    pytest.param(keys_wan_vae.convert, "vae", "vae", 0, id="vae"),
    pytest.param(keys_wan_vae.convert, "stream_image", "vae", 0, id="vae with one residual block"),
    pytest.param(keys_clip.convert, "clip_vision", "clip", 4 * 2 * 2 - 1, id="clip"),
    pytest.param(keys_umt5.convert, "t5", "t5", 1, id="umt5"),
    pytest.param(keys_wav2vec2.convert, "wav2vec2", "wav2vec2", 0, id="wav2vec2"),
]


def official_weights(case: str, group: str) -> dict[str, torch.Tensor]:
    description = json.loads((CASES / case / "case.json").read_text(encoding="utf-8"))
    return {key: torch.empty(shape, device="meta") for key, shape in description["weights"][group]["keys"]}


@pytest.mark.parametrize(("convert", "case", "group", "num_more"), TABLES)
def test_every_weight_gets_a_name_of_its_own(convert: Callable, case: str, group: str, num_more: int) -> None:
    """CLIP's joint matrices become three (weight and bias, four layers), its head goes; UMT5's table has two names."""
    official = official_weights(case, group)
    assert len(convert(official)) == len(official) + num_more


@pytest.mark.parametrize(("convert", "case", "group", "num_more"), TABLES)
def test_unknown_keys_are_kept_to_be_refused(convert: Callable, case: str, group: str, num_more: int) -> None:
    official = official_weights(case, group)
    known = set(convert(official))
    for unknown in ("surprise", "blocks.0.surprise.weight", "visual.transformer.0.surprise.weight"):
        assert len(set(convert(official | {unknown: torch.empty(1)})) - known) == 1, unknown


def test_unused_parts_are_left_out() -> None:
    unused = ("textual.token_embedding.weight", "log_scale", "visual.head")
    assert keys_clip.convert({key: torch.empty(1) for key in unused}) == {}
