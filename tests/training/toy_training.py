"""A tiny training that a test can start as a process of its own, kill, or start several of.

`python toy_training.py FOLDER MODE ...`: a training for each mode, one after the other; all but "whole" are killed.
`python toy_training.py FOLDER together`: one of several processes that torch's launcher started.
"""

from __future__ import annotations

import csv
import os
import signal
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from infinitetalk.training import loop, record
from infinitetalk.training.loop import Draw, Every, LoopSettings, fit

NUM_ITEMS = 24
SETTINGS = LoopSettings(
    num_steps=40, rate=0.02, warm_up_steps=5, num_parts=2, average_decay=0.9, seed=11, device="cpu",
    log=Every(steps=4), report=Every(steps=20), save=Every(steps=6),
)  # fmt: skip


def toy() -> tuple[nn.Module, Tensor, Tensor]:
    """A network with dropout, and 24 items that it can learn: inputs [24, 5], targets [24, 2]."""
    generator = torch.Generator().manual_seed(0)
    items = torch.randn(NUM_ITEMS, 5, generator=generator)
    targets = items @ torch.randn(5, 2, generator=generator)
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 2)), items, targets


def train(folder: Path, settings: LoopSettings = SETTINGS, on_draw=None):
    """Train the toy; `on_draw` sees each batch's `Draw` and the items it picked."""
    network, items, targets = toy()

    def error(chosen: Tensor) -> Tensor:
        return (network(items[chosen]) - targets[chosen]).square().mean()

    def loss(draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        chosen = torch.from_numpy(draw.pick(NUM_ITEMS, 4))
        if on_draw is not None:
            on_draw(draw, chosen)
        noise = 0.05 * torch.randn(4, 2, generator=draw.generator) + 0.05 * torch.randn(4, 2)
        value = error(chosen) + noise.square().mean() + 0.01 * float(draw.rng.random())
        return value, {"largest": (network[0].weight.detach().abs().max())}

    def report(step: int) -> dict[str, float]:
        return {"error": error(torch.arange(NUM_ITEMS)).item()}

    return fit(network, loss, settings, folder, report=report), network


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_in_loss(draw: Draw, chosen: Tensor) -> None:
    if draw.step == 15 and draw.part == 1:
        _die()


def _prepare_to_die(mode: str) -> None:
    """Replace a function of the loop by one that ends this process in the middle of its work."""
    if mode == "before-rename":
        replace = os.replace

        def dying(source, target):
            if "step-000000024" in str(target):
                _die()
            replace(source, target)

        record.os.replace = dying
    elif mode == "half-a-row":
        original = record.CsvLog.write

        def dying_write(log, step, **figures):
            if step == 28:
                with log.path.open("a", newline="") as file:
                    csv.writer(file).writerow([28, 1])
                    file.write("29,0.")
                _die()
            return original(log, step, **figures)

        loop.CsvLog.write = dying_write


def _train_in_a_child(folder: Path, mode: str) -> int:
    """Train in a process forked from this one (whose imports it saves); returns the signal that ended it, or 0."""
    child = os.fork()
    if child == 0:
        _prepare_to_die(mode)
        train(folder, on_draw=_kill_in_loss if mode == "in-loss" else None)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _train_together(folder: Path) -> None:
    """One of several processes: writes what it saw and where its weights ended."""
    seen: list[list[int]] = []
    result, network = train(folder, on_draw=lambda draw, chosen: seen.append([draw.rank, *chosen.tolist()]))
    rank = seen[0][0]
    torch.save({"seen": seen, "weights": network.state_dict(), "step": result.step}, folder / f"rank-{rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[2] == "together":
        _train_together(Path(sys.argv[1]))
    for mode in sys.argv[2:] if sys.argv[2] != "together" else ():
        code = _train_in_a_child(Path(sys.argv[1]), mode)
        print("ended", mode, code, record.newest_checkpoint(Path(sys.argv[1])).name, flush=True)
