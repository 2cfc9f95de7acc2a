"""The training loop of every stage: one process or several, with checkpoints, averaged weights, a table and a plot.

A stage hands over its network and a function that makes one batch and its loss; `fit` does the rest:

    def loss(draw):
        batch = make_batch(items[draw.pick(len(items), 8)], draw.rng)
        return flow_loss(network, batch), {"mouth": mouth_error}

    fit(network, loss, LoopSettings(num_steps=6000, rate=1e-3), out / "stages" / "transformer", report=held_out_figures)

Nothing random is carried from step to step: the state of every generator follows from (seed, step, part, process). A
training that was killed therefore continues from its last checkpoint exactly as if nothing had happened, as far as the
device computes the same twice (a CPU does; GPUs add in varying order).
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import CheckpointError, InputError, UserError
from .loop_settings import Draw, Every, LoopSettings, Precision
from .meter import Meter, Pace
from .record import CsvLog, load_checkpoint, newest_checkpoint, plot_log, save_checkpoint

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = [
    "Draw",
    "Every",
    "FitResult",
    "LoopSettings",
    "MovingAverage",
    "Precision",
    "TrainingError",
    "fit",
    "without_subnormals",
]


@contextmanager
def without_subnormals() -> Iterator[None]:
    """Numbers next to zero are zero meanwhile: weights that start at zero pass through some that are slow to add."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


class TrainingError(UserError):
    """The training cannot go on; says at which step and why."""


Loss = Callable[[Draw], tuple[Tensor, Mapping[str, Tensor | float]]]


@dataclass(frozen=True)
class FitResult:
    """step: taken in all. seconds: of training in all. figures: the last report's, of the averaged weights."""

    step: int
    seconds: float
    figures: dict[str, float]


class MovingAverage:
    """Exponential moving average of the parameters that learn; its memory grows with the steps seen, up to `decay`."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self.parameters = trained_parameters(model) if decay else {}
        self.values = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        if self.values:
            torch._foreach_lerp_(list(self.values.values()), list(self.parameters.values()), 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the parameters with the averaged ones; a second call puts them back."""
        for name, value in self.values.items():
            kept = self.parameters[name].detach().clone()
            self.parameters[name].copy_(value)
            value.copy_(kept)


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that learn, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def parameter_groups(model: nn.Module, weight_decay: float, rates: Iterable[tuple[str, float]] = ()) -> list[dict]:
    """AdamW groups: no decay for vectors; names containing a key of `rates` learn that many times faster."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    rates = list(rates)
    for name, parameter in trained_parameters(model).items():
        factor = next((rate for part, rate in rates if part in name), 1.0)
        groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "factor": factor, "weight_decay": weight_decay if matrix else 0.0}
        for (factor, matrix), parameters in groups.items()
    ]


def fit(
    model: nn.Module,
    loss: Loss,
    settings: LoopSettings,
    folder: Path,
    *,
    report: Callable[[int], Mapping[str, float]] | None = None,
    rates: Iterable[tuple[str, float]] = (),
) -> FitResult:
    """Train what requires gradients in `model`, continuing from the newest checkpoint in `folder`.

    Afterwards `model` holds the averaged weights and stands in evaluation mode, on the device it was trained on.

    Args:
        loss: makes a batch on `draw.device` and returns its loss and figures for the table (averaged over steps and
            processes; tensors may stay on the device). It calls `model` or its parts as it likes.
        report: of a step, figures measured with the averaged weights; called by the first process alone.
        rates: of parameters whose name contains the text, how many times faster they learn.

    Raises:
        CheckpointError: the folder holds a checkpoint of another network.
        InputError: the precision is not one that the device computes in.
        TrainingError: the loss is no longer a number; the checkpoint before it stays.
        KeyboardInterrupt: Ctrl-C or a signal to stop; a checkpoint of the last step was written.
    """
    return _Training(model, loss, settings, folder, report, rates).run()


class _LossModule(nn.Module):
    """Loss and network as one module: several processes share gradients of whatever passes through a `forward`."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, draw: Draw) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        return self.loss(draw)


class _Training:
    """One call of `fit`."""

    def __init__(self, model: nn.Module, loss: Loss, settings: LoopSettings, folder: Path, report, rates) -> None:
        self.model, self.settings, self.folder, self.report_of = model, settings, folder, report
        self.accelerator = _accelerator(settings)
        optimizer = torch.optim.AdamW(
            parameter_groups(model, settings.weight_decay, rates), lr=settings.rate, betas=settings.betas
        )
        self.module, self.optimizer = self.accelerator.prepare(_LossModule(model, loss), optimizer)
        self.parameters = trained_parameters(model)
        assert self.parameters, "nothing in the network requires gradients"
        self.average = MovingAverage(model, settings.average_decay)
        self.meter = Meter()
        self.step = self.saved_step = 0
        self.reported_step = -1
        self.elapsed = 0.0
        self.figures: dict[str, float] = {}
        self._continue()
        self.is_main = self.accelerator.is_main_process
        self.log = CsvLog(folder / "log.csv", self.step) if self.is_main else None

    def run(self) -> FitResult:
        settings = self.settings
        started, elapsed_before = time.monotonic(), self.elapsed
        reported = saved = logged = self.elapsed
        pace = Pace(self.step, settings.progress(self.step, self.elapsed))
        self.model.train()
        with _stop_signal() as stopping:
            stop = False
            while not stop and (progress := settings.progress(self.step, self.elapsed)) < 1:
                self._take_step(progress)
                self.elapsed, stop = self._agree(elapsed_before + time.monotonic() - started, stopping.is_set())
                now = self.step, self.elapsed
                if self.report_of is not None and settings.report.due(*now, reported):
                    self._report()
                    self._log(pace)
                    self._plot()
                    reported = logged = self.elapsed
                elif settings.log.due(*now, logged):
                    self._log(pace)
                    logged = self.elapsed
                if settings.save.due(*now, saved):
                    self._save()
                    saved = self.elapsed
            self._save()
            if stop:
                self._plot()
                raise KeyboardInterrupt
        if self.reported_step != self.step:
            self._report()
        self._log(pace)
        self._plot()
        self.average.swap()
        self.model.eval()
        return FitResult(self.step, self.elapsed, self.figures)

    # ---- One step ----------------------------------------------------------------------------------------------

    def _take_step(self, progress: float) -> None:
        settings, accelerator = self.settings, self.accelerator
        rate = settings.rate_at(self.step, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.zero_grad(set_to_none=True)
        for part in range(settings.num_parts):
            draw = self._draw(part, progress)
            together = nullcontext() if part == settings.num_parts - 1 else accelerator.no_sync(self.module)
            with together:
                value, figures = self.module(draw)
                accelerator.backward(value / settings.num_parts)
            self.meter.add(loss=value, **figures)
        norm = None
        if settings.clip_norm is not None:
            norm = accelerator.clip_grad_norm_(self.parameters.values(), settings.clip_norm)
        self.optimizer.step()
        # A step is skipped where half precision overflowed; the next one computes with a smaller scale.
        if norm is not None and not self.optimizer.step_was_skipped:
            self.meter.add(gradient=norm)
        self.average.update()
        self.step += 1

    def _draw(self, part: int, progress: float) -> Draw:
        rank, num_ranks = self.accelerator.process_index, self.accelerator.num_processes
        sequence = np.random.SeedSequence([self.settings.seed, self.step, part, rank])
        first, second = (int(word) >> 1 for word in sequence.generate_state(2, np.uint64))
        torch.manual_seed(first)
        return Draw(
            step=self.step,
            part=part,
            num_parts=self.settings.num_parts,
            progress=progress,
            rank=rank,
            num_ranks=num_ranks,
            device=self.accelerator.device,
            seed=self.settings.seed,
            rng=np.random.default_rng(sequence.spawn(1)[0]),
            generator=torch.Generator().manual_seed(second),
        )

    def _agree(self, elapsed: float, stopping: bool) -> tuple[float, bool]:
        """The first process's clock for all, and whether any is to stop."""
        if self.accelerator.num_processes == 1:
            return elapsed, stopping
        mine = torch.tensor([[elapsed, float(stopping)]], device=self.accelerator.device, dtype=torch.float32)
        everyone = self.accelerator.gather(mine).tolist()
        return everyone[0][0], any(row[1] for row in everyone)

    # ---- What is kept ------------------------------------------------------------------------------------------

    def _weights(self) -> dict[str, dict[str, Tensor]]:
        """Tables of a checkpoint: what learns and what else changes (buffers), and the average."""
        saved = self.model.state_dict(keep_vars=True)
        buffers = {
            name: value
            for name, value in saved.items()
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter)
        }
        tables = {"weights": {**self.parameters, **buffers}}
        return {**tables, "average": self.average.values} if self.average.values else tables

    def _save(self) -> None:
        if self.step == self.saved_step:
            return
        self.meter.gather(self.accelerator)
        self._check()
        if self.is_main:
            state = {
                "step": self.step,
                "elapsed": self.elapsed,
                "num_updates": self.average.num_updates,
                "optimizer": self.optimizer.state_dict(),
                "figures": self.meter.totals,
                "reported": self.figures,
                "reported_step": self.reported_step,
            }
            if self.accelerator.scaler is not None:
                state["scaler"] = self.accelerator.scaler.state_dict()
            save_checkpoint(self.folder, self.step, self._weights(), state)
        self.accelerator.wait_for_everyone()
        self.saved_step = self.step

    def _continue(self) -> None:
        path = newest_checkpoint(self.folder)
        if path is None:
            return
        state = load_checkpoint(path, self._weights())
        wanted = ("factor", "weight_decay", "betas")
        own = [{key: group[key] for key in wanted} for group in self.optimizer.param_groups]
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise CheckpointError(
                f"{path} was begun with other learning rates for parts of the network ({error}); continue with those, "
                "or choose a new --out."
            ) from error
        for group, settings in zip(self.optimizer.param_groups, own, strict=True):
            group.update(settings)  # a continued training may have other settings than the one before
        if self.accelerator.scaler is not None and "scaler" in state:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step = self.saved_step = state["step"]
        self.elapsed, self.average.num_updates = state["elapsed"], state["num_updates"]
        self.figures, self.reported_step = state["reported"], state.get("reported_step", -1)
        if self.accelerator.is_main_process:
            self.meter.totals = state["figures"]

    def _check(self) -> None:
        if not all(math.isfinite(self.meter.mean(name, 0.0)) for name in ("loss", "gradient")):
            kept = newest_checkpoint(self.folder)
            remedy = "nothing was saved" if kept is None else f"the checkpoint {kept.name} stays"
            raise TrainingError(
                f"The loss or its gradient is no longer a number before step {self.step}; {remedy}: lower the rate "
                "and start again."
            )

    def _report(self) -> None:
        """Measure with the averaged weights, then go on with the others."""
        if self.report_of is not None and self.is_main:
            self.average.swap()
            self.model.eval()
            with torch.no_grad(), self.accelerator.autocast():
                self.figures = {name: float(value) for name, value in self.report_of(self.step).items()}
            self.model.train()
            self.average.swap()
            self.log.write(self.step, seconds=round(self.elapsed, 1), **self.figures)
        self.reported_step = self.step
        self.accelerator.wait_for_everyone()

    def _log(self, pace: Pace) -> None:
        self.meter.gather(self.accelerator)
        self._check()
        if self.is_main:
            means = self.meter.means()
            if means:
                rate = self.settings.rate_at(self.step, self.settings.progress(self.step, self.elapsed))
                row = self.log.write(self.step, seconds=round(self.elapsed, 1), rate=rate, **means)
                print(pace.line(self.settings, self.step, self.elapsed, row), flush=True)
        self.meter.clear()

    def _plot(self) -> None:
        if self.is_main and not plot_log(self.log.path, self.folder / "log.png"):
            print("No plot of the training: matplotlib is not installed (requirements-train.txt).", flush=True)


def _accelerator(settings: LoopSettings) -> Accelerator:
    """accelerate's view of the machine: `accelerate launch` says how many processes, a plain start means one."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedDataParallelKwargs

    if settings.precision == "fp16" and (settings.device == "cpu" or not torch.accelerator.is_available()):
        raise InputError("The precision fp16 needs a GPU; choose bf16 or no.")  # accelerate scales losses there alone
    # The precision is remembered per process; another training in the same process may want another one.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    # A batch need not touch every parameter: dropped conditions, an empty prompt.
    several = DistributedDataParallelKwargs(find_unused_parameters=True)
    try:
        return Accelerator(mixed_precision=settings.precision, cpu=settings.device == "cpu", kwargs_handlers=[several])
    except ValueError as error:
        raise InputError(
            f"The precision {settings.precision} does not work on this machine ({str(error).splitlines()[0]}); "
            "choose bf16 or no."
        ) from error


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that is set by the first Ctrl-C or SIGTERM; a second one interrupts at once."""
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield stopping
        return
    before: dict[int, Any] = {}

    def handle(number: int, frame: Any) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, handle)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
