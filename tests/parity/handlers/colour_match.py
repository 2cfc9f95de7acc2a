"""Colour matching per frame in Lab."""

from __future__ import annotations

from pathlib import Path

import torch

from infinitetalk.media.color import match_colors
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.seeded_weights import read_case


def run(folder: Path) -> None:
    meta, _, tensors = read_case(folder)
    bound = bound_from_text(meta["tolerance"]["float32"], default=2e-4)
    for call in meta["calls"]:
        name = f"matched.{call['name']}"
        video, reference = (torch.from_numpy(require(tensors, call[key])) for key in ("chunk", "ref"))
        matched = match_colors(video, reference, call["strength"])
        if call["strength"] == 0:
            assert matched is video, name
        assert_close(name, matched, require(tensors, name), absolute=bound)
