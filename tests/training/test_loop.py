"""The training loop: what it repeats, keeps, shows and refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from infinitetalk.errors import CheckpointError, InputError
from infinitetalk.training.loop import (
    Draw,
    Every,
    LoopSettings,
    TrainingError,
    fit,
    parameter_groups,
    without_subnormals,
)
from infinitetalk.training.record import CsvLog, newest_checkpoint, read_log
from tests.training import toy_training
from tests.training.toy_training import NUM_ITEMS, SETTINGS, train


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    path = newest_checkpoint(folder)
    return {
        f"{name}/{key}": value
        for name in ("weights", "average")
        for key, value in load_file(path / f"{name}.safetensors").items()
    }


def without_seconds(folder: Path) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in read_log(folder / "log.csv")]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    train(folder)
    return folder


def run_toy(*arguments: str | Path, launcher: tuple[str, ...] = ()) -> str:
    """Standard output of the toy as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, toy_training.__file__, *map(str, arguments)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork")
def test_a_training_killed_three_times_ends_as_one_that_was_not(unbroken, tmp_path):
    """SIGKILL while a batch is computed, before a checkpoint gets its name, and in the middle of a row."""
    output = run_toy(tmp_path, "in-loss", "before-rename", "half-a-row", "whole")
    assert [line.split()[1:] for line in output.splitlines() if line.startswith("ended")] == [
        ["in-loss", "-9", "step-000000012"],
        ["before-rename", "-9", "step-000000018"],
        ["half-a-row", "-9", "step-000000024"],
        ["whole", "0", "step-000000040"],
    ]
    expected, found = weights_of(unbroken), weights_of(tmp_path)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert without_seconds(tmp_path) == without_seconds(unbroken)
    assert [path.name for path in tmp_path.glob("*step-*")] == ["step-000000040"]  # nothing half-written stays


def test_two_processes_share_the_items_and_agree_on_the_weights(tmp_path):
    """Two processes on the processor, joined by gloo; `accelerate launch` starts GPUs' processes the same way."""
    run_toy(tmp_path, "together", launcher=("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"))
    first, second = (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["step"] == second["step"] == 40
    assert all(torch.equal(value, second["weights"][key]) for key, value in first["weights"].items())
    # Three batches of four on each of two processes: every item once.
    both = [item for one in (first, second) for row in one["seen"][:3] for item in row[1:]]
    assert sorted(both) == list(range(NUM_ITEMS))
    assert [row["step"] for row in read_log(tmp_path / "log.csv")] == list(range(4, 41, 4))  # one of them writes


def test_the_table_has_one_row_per_step_and_the_loss_falls(unbroken):
    rows = read_log(unbroken / "log.csv")
    assert [row["step"] for row in rows] == [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    errors = [row["error"] for row in rows if "error" in row]
    assert len(errors) == 2 and errors[-1] < errors[0]
    assert (unbroken / "log.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_training_called_again_changes_nothing(unbroken):
    before = (weights_of(unbroken), without_seconds(unbroken))
    result, network = train(unbroken)
    assert result.step == 40 and result.figures["error"] == pytest.approx(before[1][-1]["error"], rel=1e-4)
    assert without_seconds(unbroken) == before[1]
    assert all(torch.equal(value, before[0][key]) for key, value in weights_of(unbroken).items())
    assert torch.equal(network[0].weight, before[0]["average/0.weight"])  # what is exported is the average


def test_a_longer_budget_continues(unbroken, tmp_path):
    train(tmp_path, replace(SETTINGS, num_steps=12))
    result, _ = train(tmp_path, replace(SETTINGS, num_steps=20))
    assert result.step == 20 and [row["step"] for row in read_log(tmp_path / "log.csv")][-1] == 20


def test_ctrl_c_saves_the_step_and_says_so(tmp_path):
    def press(draw: Draw, chosen) -> None:
        if draw.step == 9 and draw.part == 0:
            os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, on_draw=press)
    assert newest_checkpoint(tmp_path).name == "step-000000010"  # the step in hand is finished first
    assert signal.getsignal(signal.SIGINT) is handler


def test_every_item_is_seen_once_before_any_comes_again(tmp_path):
    seen: list[int] = []
    train(tmp_path, replace(SETTINGS, num_steps=6), on_draw=lambda draw, chosen: seen.extend(chosen.tolist()))
    assert len(seen) == 6 * 2 * 4
    assert sorted(seen[:NUM_ITEMS]) == sorted(seen[NUM_ITEMS:]) == list(range(NUM_ITEMS))
    assert seen[:NUM_ITEMS] != seen[NUM_ITEMS:]


def test_parts_of_a_step_add_up_to_one_large_batch(tmp_path):
    """Gradient accumulation equals the mean over the parts."""
    network = nn.Linear(1, 1, bias=False)
    inputs = torch.tensor([1.0, 3.0])

    def loss(draw: Draw):
        return (network.weight * inputs[draw.part]).sum(), {}

    gradients = []
    network.weight.register_post_accumulate_grad_hook(lambda p: gradients.append(p.grad.item()))
    fit(network, loss, LoopSettings(num_steps=1, num_parts=2, clip_norm=None, device="cpu"), tmp_path)
    assert gradients[-1] == pytest.approx(2.0)


def test_seconds_are_a_budget_across_restarts(tmp_path):
    settings = LoopSettings(seconds=0.3, device="cpu", save=Every(steps=1), log=Every(steps=5))
    network = nn.Linear(2, 1)

    def loss(draw: Draw):
        assert 0 <= draw.progress < 1
        return network(torch.ones(1, 2)).square().sum(), {}

    first = fit(network, loss, settings, tmp_path)
    assert first.seconds >= 0.3
    again = fit(network, loss, settings, tmp_path)
    assert (again.step, again.seconds) == (first.step, first.seconds)
    assert fit(network, loss, replace(settings, seconds=first.seconds + 0.2), tmp_path).step > first.step


def test_the_rate_rises_then_falls():
    settings = LoopSettings(num_steps=100, rate=2.0, warm_up_steps=10, final_rate=0.1)
    rates = [settings.rate_at(step, settings.progress(step, 0)) for step in range(100)]
    assert rates[0] == pytest.approx(0.2) and max(rates) == pytest.approx(2.0, rel=0.03)
    assert int(np.argmax(rates)) in (9, 10) and rates[-1] == pytest.approx(0.2, rel=0.02)
    assert all(later < earlier for earlier, later in zip(rates[10:], rates[11:]))


def test_frozen_parameters_are_neither_trained_nor_saved(tmp_path):
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    network[0].requires_grad_(False)
    frozen = network[0].weight.clone()
    fit(network, lambda draw: (network(torch.ones(1, 2)).sum(), {}), LoopSettings(num_steps=2, device="cpu"), tmp_path)
    assert torch.equal(network[0].weight, frozen)
    assert {key.split("/")[1] for key in weights_of(tmp_path)} == {"1.weight", "1.bias"}


def test_groups_spare_vectors_decay_and_speed_up_named_parts():
    network = nn.ModuleDict({"audio_attn": nn.Linear(2, 2), "rest": nn.Linear(2, 2)})
    groups = parameter_groups(network, 0.1, [("audio_attn", 1.5)])
    found = {(group["factor"], group["weight_decay"], group["params"][0].ndim) for group in groups}
    assert found == {(1.5, 0.1, 2), (1.5, 0.0, 1), (1.0, 0.1, 2), (1.0, 0.0, 1)}


def test_bf16_computes_in_bf16_and_keeps_float32(tmp_path):
    network = nn.Linear(4, 4)
    seen = []

    def loss(draw: Draw):
        result = network(torch.ones(2, 4))
        seen.append(result.dtype)
        return result.square().mean(), {}

    fit(network, loss, LoopSettings(num_steps=2, precision="bf16", device="cpu"), tmp_path)
    assert seen == [torch.bfloat16] * 2 and network.weight.dtype == torch.float32
    # Precision belongs to the training, not to the process.
    fit(network, loss, LoopSettings(num_steps=1, precision="no", device="cpu"), tmp_path / "next")
    assert seen[-1] == torch.float32


def test_fp16_on_a_processor_is_refused_in_a_sentence(tmp_path):
    network = nn.Linear(1, 1)
    settings = LoopSettings(num_steps=1, precision="fp16", device="cpu")
    with pytest.raises(InputError, match="fp16 needs a GPU.*choose bf16 or no"):
        fit(network, lambda draw: (network(torch.ones(1, 1)).sum(), {}), settings, tmp_path)


def test_a_loss_that_is_no_number_ends_the_training_and_keeps_the_checkpoint(tmp_path):
    network = nn.Linear(1, 1)

    def loss(draw: Draw):
        return network(torch.ones(1, 1)).sum() * (float("nan") if draw.step == 7 else 1.0), {}

    settings = LoopSettings(num_steps=20, device="cpu", save=Every(steps=5), log=Every(steps=5))
    with pytest.raises(TrainingError, match="step-000000005 stays"):
        fit(network, loss, settings, tmp_path)
    assert all(value.isfinite().all() for value in weights_of(tmp_path).values())


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    def go(network: nn.Module) -> None:
        fit(
            network,
            lambda draw: (network(torch.ones(1, 2)).sum(), {}),
            LoopSettings(num_steps=1, device="cpu"),
            tmp_path,
        )

    go(nn.Linear(2, 1))
    with pytest.raises(CheckpointError, match=r"holds weight as \[1, 2\], the network has \[3, 2\]"):
        go(nn.Linear(2, 3))
    with pytest.raises(CheckpointError, match="has a weight of another network, bias"):
        go(nn.Linear(2, 1, bias=False))


def test_rows_of_the_same_step_become_one_and_columns_may_come_later(tmp_path):
    log = CsvLog(tmp_path / "log.csv")
    log.write(1, loss=0.5)
    log.write(2, loss=0.25)
    log.write(2, error=3.0)
    assert (tmp_path / "log.csv").read_text().split() == ["step,loss,error", "1,0.5,", "2,0.25,3"]
    assert [row["step"] for row in CsvLog(tmp_path / "log.csv", 1).rows] == [1]


def test_small_numbers_are_as_before_afterwards() -> None:
    smallest = torch.tensor(1e-40)
    with pytest.raises(RuntimeError, match="stopped"), without_subnormals():
        assert smallest * 1.0 == 0
        raise RuntimeError("stopped")
    assert smallest * 1.0 > 0
