"""What a training leaves behind while it runs: checkpoints that a kill cannot break, a table of figures, a plot of it.

A checkpoint is one folder, `step-000001200`, written under another name, synced to the disk and renamed: it is there
whole or not at all. The table has one row per step; a training that continues from a checkpoint first drops the rows
of steps that it will take again.
"""

from __future__ import annotations

import csv
import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import CheckpointError, writing_failed
from ..media.atomic import atomic_output

_CHECKPOINT = re.compile(r"step-(\d{9})")


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the latest step in `folder`; None if there is none."""
    found = [path for path in folder.glob("step-*") if _CHECKPOINT.fullmatch(path.name)] if folder.is_dir() else []
    return max(found, key=lambda path: path.name, default=None)


def save_checkpoint(folder: Path, step: int, weights: Mapping[str, Mapping[str, Tensor]], state: Any) -> Path:
    """Write the checkpoint of `step` and then remove older ones.

    weights: by file name without ending, each a table of tensors. state: anything that `torch.load` reads with
    `weights_only=True`.

    Raises:
        OutputError: if the place cannot be written or the disk is full.
    """
    final = folder / f"step-{step:09d}"
    partial = folder / f".{final.name}.part"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, tensors in weights.items():
            save_file(
                {key: value.detach().cpu().contiguous() for key, value in tensors.items()},
                partial / f"{name}.safetensors",
            )
        torch.save(state, partial / "state.pt")
        for path in [*partial.iterdir(), partial]:
            _sync(path)
        if final.exists():  # of a training that was begun again in the same folder
            shutil.rmtree(final)
        os.replace(partial, final)
        _sync(folder)
    except OSError as error:
        raise writing_failed(final, error) from error
    for old in folder.glob("*step-*"):
        if old.name.removeprefix(".").removesuffix(".part") != final.name and _CHECKPOINT.search(old.name):
            shutil.rmtree(old)
    return final


@torch.no_grad()
def load_checkpoint(path: Path, weights: Mapping[str, Mapping[str, Tensor]]) -> Any:
    """Copy a checkpoint's tensors into those of `weights` in place; returns its state.

    Raises:
        CheckpointError: the checkpoint is of another network, or damaged; names the file and the key.
    """
    for name, tensors in weights.items():
        file = path / f"{name}.safetensors"
        try:
            stored = load_file(file)
        except Exception as error:  # safetensors' own error type, or the system's
            raise CheckpointError(f"{file} cannot be read ({error}); remove {path} and train again.") from error
        for key in sorted(tensors.keys() ^ stored.keys()):
            kind = "lacks" if key in tensors else "has a weight of another network,"
            raise CheckpointError(f"{file} {kind} {key}; continue with the settings it was begun with, or a new --out.")
        for key, tensor in tensors.items():
            if stored[key].shape != tensor.shape:
                raise CheckpointError(
                    f"{file} holds {key} as {list(stored[key].shape)}, the network has {list(tensor.shape)}; "
                    "continue with the settings it was begun with, or a new --out."
                )
            tensor.copy_(stored[key])
    return torch.load(path / "state.pt", weights_only=True)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # folders cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class CsvLog:
    """A table of figures on disk, one row per step; later rows may bring new columns.

    Args:
        step: steps already taken; rows of later ones, left by a training that was killed, are dropped.
    """

    def __init__(self, path: Path, step: int = 0) -> None:
        self.path = path
        self.rows = [row for row in read_log(path) if row["step"] <= step]
        self.columns = list(dict.fromkeys(name for row in self.rows for name in row))
        # Written anew also where nothing is dropped: a kill may have left half a line at the end.
        path.parent.mkdir(parents=True, exist_ok=True)
        self._rewrite()

    def write(self, step: int, **figures: float) -> dict[str, float]:
        """Add a row, or more figures to the row of the same step; returns the row."""
        row = {"step": step, **figures}
        again = bool(self.rows) and self.rows[-1]["step"] == step
        if again:
            row = self.rows[-1] = {**self.rows[-1], **figures}
        else:
            self.rows.append(row)
        new = [name for name in row if name not in self.columns]
        self.columns += new
        if again or new:
            self._rewrite()
        else:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(self._cells(row))
        return row

    def _cells(self, row: Mapping[str, float]) -> list[str]:
        return [_text(row[name]) if name in row else "" for name in self.columns]

    def _rewrite(self) -> None:
        with atomic_output(self.path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if self.columns:
                writer.writerow(self.columns)
            writer.writerows(self._cells(row) for row in self.rows)


def read_log(path: Path) -> list[dict[str, float]]:
    """The rows of a table written by `CsvLog`; half a last line, left by a kill, is not counted."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    return [{name: float(cell) for name, cell in row.items() if cell} for row in csv.DictReader(lines)]


def _text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def plot_log(table: Path, picture: Path) -> bool:
    """Draw every figure of a table over the steps, a panel each; False where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return False
    rows = read_log(table)
    names = [name for name in dict.fromkeys(key for row in rows for key in row) if name not in ("step", "seconds")]
    if not names:
        return True
    num_columns = min(3, len(names))
    num_rows = math.ceil(len(names) / num_columns)
    figure = Figure(figsize=(4.2 * num_columns, 2.6 * num_rows))
    figure.subplots_adjust(left=0.07, right=0.99, bottom=0.12 / num_rows, top=1 - 0.12 / num_rows, hspace=0.35)
    for axis, name in zip(figure.subplots(num_rows, num_columns, squeeze=False).flat, names, strict=False):
        points = [(row["step"], row[name]) for row in rows if name in row and math.isfinite(row[name])]
        steps, values = zip(*points, strict=True) if points else ((), ())
        axis.plot(steps, values, marker="." if len(points) < 40 else None, linewidth=1)
        if name == "loss" and points and 0 < 20 * min(values) < max(values):
            axis.set_yscale("log")
            axis.minorticks_off()
        axis.set_title(name.replace("_", " "), fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    for axis in figure.axes[len(names) :]:
        axis.set_axis_off()
    with atomic_output(picture) as partial:
        figure.savefig(partial, format="png", dpi=110)
    return True
