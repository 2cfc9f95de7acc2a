"""Stage `distill`: one evaluation of one branch does what several guided ones do.

The teacher is the trained network, sampled in a few Euler steps with guidance on the audio (two evaluations each).
The student starts as its copy and learns to give, from the same noise at time 1, what the teacher arrives at; its
output there *is* the sample.  Progressive distillation (arXiv 2202.00512) in its shortest form: guidance folded in
(arXiv 2210.03142), all steps in one.  The preset then needs one step and an audio scale of 1.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..sampling.schedule import timesteps
from .batches import Batch, BatchMaker
from .loop import Draw, fit
from .networks import NanoNetworks
from .phases import Phase, TransformerTraining
from .transformer_stage import alternate, kept_scale, weighted_error

if TYPE_CHECKING:
    from .clips import ClipSet
    from .latents import Features

DISTILL_TRAINING = TransformerTraining(
    seconds=480.0,
    rate=3e-4,
    average_decay=0.98,
    audio_dropout=0.0,
    audio_noise=0.1,
    image_dropout=0.0,
    phases=(Phase("distill", 1.0, 21, None, 2, 6.0, 4.0, 0.0, 1.0, moving_share=0.1, crops_between=2),),
)


@dataclass(frozen=True)
class Teaching:
    """How the teacher samples. audio_guidance_scale: guidance, 1 for none. num_steps: Euler steps from pure noise.

    truth: share of the clip's own latents in what the student learns to give; the teacher's mistakes are then not all
    learnt with it.
    """

    audio_guidance_scale: float = 2.0
    num_steps: int = 1
    shift: float = 1.0
    truth: float = 0.0


@torch.no_grad()
def guided_sample(teacher: NanoNetworks, batch: Batch, context: Tensor, noise: Tensor, teaching: Teaching) -> Tensor:
    """Clean latents [B,16,T,h,w] by the teacher's guided steps from `noise`; context latents as given in `context`."""
    known = batch.known()
    latents = known * context + (1 - known) * noise
    silence = torch.zeros_like(batch.audio)
    schedule = (timesteps(teaching.num_steps, teaching.shift) / 1000).tolist()
    for now, following in zip(schedule[:-1], schedule[1:], strict=True):
        times = torch.full((len(noise),), now, device=noise.device)
        clean = teacher(batch, latents, times)
        if teaching.audio_guidance_scale != 1:
            without = teacher(batch, latents, times, silence)
            clean = without + teaching.audio_guidance_scale * (clean - without)
        latents = latents + (following - now) * (latents - clean) / now
        latents = known * context + (1 - known) * latents
    return latents


def student_error(student: NanoNetworks, batch: Batch, context: Tensor, noise: Tensor, target: Tensor) -> Tensor:
    """Squared error [B,1,T,h,w] of the student's single unguided evaluation at pure noise."""
    known = batch.known()
    result = student(batch, known * context + (1 - known) * noise, torch.ones(len(noise), device=noise.device))
    return (result - target).square().mean(dim=1, keepdim=True)


def distill(
    clips: ClipSet,
    features: Features,
    out: Path,
    settings: TransformerTraining = DISTILL_TRAINING,
    teaching: Teaching = Teaching(),  # noqa: B008  (frozen)
    *,
    teacher_folder: Path | None = None,
) -> dict[str, float]:
    """Train the student and export it in place of the teacher, which moves to `out/stages/teacher`.

    Args:
        teacher_folder: exported teacher; by default what stage `transformer` left in `out`.

    Returns:
        the held-out figures of the student, and `error_before` and `error_after`: its weighted error to the guided
        teacher on one held-out batch.
    """
    from .transformer_report import Probe, report

    kept = out / "stages" / "teacher"
    if teacher_folder is None:
        if not (kept / "transformer" / "config.json").exists():
            NanoNetworks.from_folder(out).export(kept)
        teacher_folder = kept
    teacher = NanoNetworks.from_folder(teacher_folder).eval().requires_grad_(False)
    student = copy.deepcopy(teacher).requires_grad_(True)
    train, held_out = (features.ready(clips.split(name)) for name in ("train", "test"))
    scale = kept_scale(out, clips, features, train, settings.seed, teacher_folder)
    maker = BatchMaker(clips, features, scale, settings)
    probe = Probe.fit(clips, features, train)

    def targets(batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        context = batch.context(settings.context_noise, generator)
        noise = torch.randn(batch.clean.shape, generator=generator).to(batch.clean.device)
        sample = guided_sample(teacher, batch, context, noise, teaching)
        return context, noise, torch.lerp(sample, batch.clean.to(sample), teaching.truth)

    def loss(draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        teacher.to(draw.device)
        phase = alternate(settings.phase_at(draw.progress), draw.step)
        batch = maker.draw(maker.choose(train, phase, draw.rng), phase, draw.rng).to(draw.device)
        context, noise, target = targets(batch, draw.generator)
        return weighted_error(student_error(student, batch, context, noise, target), batch, phase), {}

    phase = replace(settings.phases[-1], batch_size=min(4, len(held_out)))
    measured = maker.draw(held_out[: phase.batch_size], phase, np.random.default_rng(settings.seed), plain=True)

    @torch.no_grad()
    def distance() -> float:
        device = next(student.parameters()).device
        teacher.to(device)
        batch = measured.to(device)
        context, noise, target = targets(batch, torch.Generator().manual_seed(settings.seed))
        return weighted_error(student_error(student, batch, context, noise, target), batch, phase).item()

    before = distance()
    result = fit(
        student, loss, settings.loop(), out / "stages" / "distill",
        report=lambda step: {"error": distance(), **report(student, maker, probe, held_out)},
    )  # fmt: skip
    student.export(out)
    return {**result.figures, "error_before": before, "error_after": result.figures["error"]}
