"""Plain and adaptive projected guidance over the steps of a chunk."""

from __future__ import annotations

from pathlib import Path

import torch

from infinitetalk.sampling.guidance import MOMENTUM, NORM_THRESHOLD, branches_for, make_guidance
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.seeded_weights import read_case


def run(folder: Path) -> None:
    case, _, tensors = read_case(folder)
    bound = bound_from_text(case["tolerance"]["float32"], default=1e-5)
    for call in case["calls"]:
        guidance = make_guidance(
            call["text"],
            call["audio"],
            adaptive=call["apg"],
            momentum=call.get("momentum", MOMENTUM),
            norm_threshold=call.get("norm_threshold", NORM_THRESHOLD),
        )
        for step in range(call["steps"]):
            velocities = {
                branch: torch.from_numpy(require(tensors, f"{branch}.{step}"))[None]
                for branch in branches_for(call["text"], call["audio"])
            }
            name = f"guided.{call['name']}.{step}"
            assert_close(name, guidance(velocities)[0], require(tensors, name), relative_to_absmax=bound)
