"""The tiny LoRA training as a process of its own: `python toy_lora.py WEIGHTS FILMS CACHE OUT`.

Trains once without a break in OUT/whole; trains again in OUT/killed, where SIGKILL ends it in the middle of a batch,
and continues there.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch

from infinitetalk.models.specs import SPECS, ModelSpec
from infinitetalk.training.lora import run
from infinitetalk.training.lora.config import LoraConfig

TINY = ModelSpec(name="tiny", title="Tiny", sizes={"small": {"0.75": (32, 48)}})
STEPS = 8


def tiny_config(weights: Path) -> LoraConfig:
    return LoraConfig(
        model="tiny", checkpoints_dir=str(weights), size="small", dtype="float32", precision="no", rank=4, alpha=8,
        chunk_stride=20, num_steps=30, batch_size=2, accumulate=1, rate=5e-3, warm_up_steps=2, report_steps=30,
        text_dropout=0.2, shift=3.0, save_minutes=0,
    )  # fmt: skip


def _train(weights: Path, films: Path, out: Path, *, die: bool) -> int:
    """In a process forked from this one; returns the signal that ended it, or 0."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if die:
        original, calls = run.flow_loss, []

        def dying(*arguments):
            calls.append(None)
            if len(calls) == STEPS // 2 + 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments)

        run.flow_loss = dying
    run.train_lora(replace(tiny_config(weights), num_steps=STEPS), films, out)
    os._exit(0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    weights, films, cache, out = map(Path, sys.argv[1:])
    SPECS["tiny"] = TINY
    for name, die in (("whole", False), ("killed", True), ("killed", False)):
        shutil.copytree(cache, out / name / "stages" / "lora-cache", dirs_exist_ok=True)
        print("ended", name, _train(weights, films, out / name, die=die), flush=True)
