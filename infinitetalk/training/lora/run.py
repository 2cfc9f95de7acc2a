"""Stage `lora`: adapters of any model of this package, trained on a user's own films.

    python -m infinitetalk train --stage lora --config lora-14b --data FILMS --out MY_LORA

The result is `MY_LORA/lora.safetensors`, written anew at each report, so that it can be tried while training goes on.
"""

from __future__ import annotations

import shutil
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState

from ...models.specs import get_spec
from ..loop import Draw, Every, LoopSettings, fit
from .adapters import add_adapters, load_lora, lora_weights, save_lora
from .config import LoraConfig, read_config
from .encode import StoredChunk, encode_footage
from .examples import draw_batch, draw_times, flow_loss
from .footage import chunk_places, find_footage
from .networks import ModelFiles

DEFAULT_CONFIG = "lora-14b"
_PROBE_CHUNKS = 2  # the same chunks, noise and times at each report
_PROBE_TIMES = (0.35, 0.6, 0.8, 1.0)


def run_lora(arguments: Namespace) -> dict[str, float]:
    """The stage from the command line: `config`, `data`, `out`, and what overrides the configuration.

    Raises:
        UserError: the configuration, the films or the weights cannot be used; says why in one sentence.
    """
    config = read_config(getattr(arguments, "config", None) or DEFAULT_CONFIG)
    given = {"num_steps": getattr(arguments, "steps", None)}
    given |= {name: getattr(arguments, name, None) for name in ("seed", "precision", "reference")}
    config = replace(config, **{name: value for name, value in given.items() if value is not None})
    hours, seconds = (getattr(arguments, name, None) for name in ("hours", "seconds"))
    seconds = 3600 * hours if hours is not None else seconds
    if getattr(arguments, "fresh", False):
        machine = PartialState()
        if machine.is_main_process:
            shutil.rmtree(arguments.out / "stages" / "lora", ignore_errors=True)
        machine.wait_for_everyone()
    return train_lora(config, arguments.data, arguments.out, seconds=seconds)


def train_lora(config: LoraConfig, data: Path, out: Path, *, seconds: float | None = None) -> dict[str, float]:
    """Encode the films in `data`, train the adapters, write `out/lora.safetensors`; returns the last figures.

    Args:
        seconds: of training, if that is to end it before `config.num_steps`.
    Raises:
        UserError: nothing in `data` can be used, or weights are missing or do not fit; says why.
    """
    spec = get_spec(config.model)
    files = ModelFiles.of(spec, config.checkpoints_dir, getattr(torch, config.dtype))
    machine = PartialState()

    films, notes = find_footage(data, config, spec)
    places = chunk_places(films, config)
    if machine.is_main_process:
        for note in notes:
            print(f"Left out: {note}", flush=True)
        total = sum(film.num_frames for film in films) / 25
        print(
            f"{len(films)} films, {total:.0f} s, {len(places)} chunks with references of kind {config.reference}",
            flush=True,
        )
    chunks = encode_footage(
        films,
        places,
        files,
        out / "stages" / "lora-cache",
        device=machine.device,
        rank=machine.process_index,
        num_ranks=machine.num_processes,
    )
    return fit_adapters(config, files, chunks, out, seconds=seconds)


def fit_adapters(
    config: LoraConfig,
    files: ModelFiles,
    chunks: list[StoredChunk],
    out: Path,
    *,
    seconds: float | None = None,
) -> dict[str, float]:
    """Train on chunks that are already encoded; see `train_lora`."""
    spec, transformer = files.spec, files.load("transformer")
    add_adapters(transformer, rank=config.rank, alpha=config.alpha, layers=config.layers, seed=config.seed)
    if config.start_from is not None:
        load_lora(transformer, Path(config.start_from))
    if config.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    target = out / "lora.safetensors"
    facts = {
        "model": spec.name, "rank": str(config.rank), "alpha": f"{config.alpha:g}", "layers": ",".join(config.layers),
        "reference": config.reference, "prediction": spec.prediction,
    }  # fmt: skip
    probe_rng = np.random.default_rng([config.seed, 2])
    probed = probe_rng.choice(len(chunks), min(_PROBE_CHUNKS, len(chunks)), replace=False)

    def loss(draw: Draw):
        batch = draw_batch(chunks, draw.pick(len(chunks), config.batch_size), config, draw.rng).to(draw.device)
        times = draw_times(len(batch.clean), config.shift, draw.generator)
        noise = torch.randn(batch.clean.shape, generator=draw.generator)
        return flow_loss(transformer, spec, batch, times.to(draw.device), noise.to(draw.device)).mean(), {}

    def probe_loss() -> float:
        device, errors = transformer.device, []
        plain = replace(config, audio_dropout=0.0, text_dropout=0.0)
        for number, index in enumerate(probed):
            batch = draw_batch(chunks, np.array([index]), plain, np.random.default_rng([config.seed, 3, number]))
            for time in _PROBE_TIMES:
                generator = torch.Generator().manual_seed(config.seed + number)
                noise = torch.randn(batch.clean.shape, generator=generator).to(device)
                errors.append(flow_loss(transformer, spec, batch.to(device), torch.tensor([time]).to(device), noise))
        return torch.cat(errors).mean().item()

    bare: list[float] = []  # measured once

    def report(step: int) -> dict[str, float]:
        if not bare:
            transformer.disable_adapters()
            bare.append(probe_loss())
            transformer.enable_adapters()
        save_lora(transformer, target, {**facts, "steps": str(step)}, files.dtype)
        return {"probe_loss": probe_loss(), "probe_loss_without": bare[0]}

    settings = LoopSettings(
        num_steps=config.num_steps,
        seconds=seconds,
        rate=config.rate,
        warm_up_steps=config.warm_up_steps,
        weight_decay=config.weight_decay,
        betas=(0.9, 0.99),
        num_parts=config.accumulate,
        average_decay=config.average_decay,
        precision=config.precision,
        log=Every(steps=min(10, config.report_steps)),
        report=Every(steps=config.report_steps),
        save=Every(seconds=60 * config.save_minutes),
        seed=config.seed,
    )
    result = fit(transformer, loss, settings, out / "stages" / "lora", report=report)
    if PartialState().is_main_process:
        save_lora(transformer, target, {**facts, "steps": str(result.step)}, files.dtype)
    num_parameters = sum(tensor.numel() for tensor in lora_weights(transformer).values())
    return {**result.figures, "steps": float(result.step), "parameters": float(num_parameters)}
