"""Stage `transformer`: flow matching on latents relative to the reference, mouth first.

The network sees (latent - reference latent) / scale, so identity and background cost it nothing, and predicts the clean
latent, so it spends nothing on passing noise through; errors are measured as the velocity's.  First the sound's tokens
learn alone (`training.audio_pretraining`).  Then four phases (`training.phases`): cut-outs around the mouth, where the
sound takes hold because a picture costs a seventh; cut-outs that hold the eyes as well; whole pictures of 7 frames;
whole chunks of 21 with cut-outs in between.
Rotary positions are relative, so what one phase learns holds in the next.

Where references come from and what else is given is `training.references`'s affair.  An adapter for a camera or a
pose is trained by the same functions: `BatchMaker(tracks=...)` hands out the clips' own tracks, and
`TransformerTraining.trainable` names the parameters that learn.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .audio_pretraining import SpeechWindows, pretrain_audio
from .batches import Batch, BatchMaker, relative_scale
from .decoded_crops import CropLoss
from .loop import Draw, fit
from .networks import NanoNetworks, build_networks
from .phases import Phase, TransformerTraining
from .probes import Probes

if TYPE_CHECKING:
    from ..models.nano_vae import NanoVAE
    from .clips import ClipSet
    from .latents import Features
    from .lip_reader import LipReader

TIME_FLOOR = 0.15  # of the squared time that the clean latent's error is divided by
SCALE_FILE = "relative_scale.txt"  # beside exported networks: what relative latents were divided by
STILL_VARIANCE = 0.5  # of relative latents, added to an example's own before its errors are divided by it

# Fine-tuning a finished network on chunks between two references (paper section 3.4: large camera moves).
TWO_REFERENCE_TRAINING = TransformerTraining(
    seconds=900.0,
    rate=3e-4,
    audio_pretraining_steps=0,
    conditioning="two-reference",
    phases=(Phase("between", 1.0, 21, None, 2, 6.0, 4.0, 0.2, 0.6, moving_share=0.5),),
)

# Fine-tuning a finished network by what its decoder shows, always from pure noise, as generation with one step does.
PICTURES_TRAINING = TransformerTraining(
    seconds=5400.0,
    rate=6e-4,
    audio_pretraining_steps=0,
    audio_noise=0.15,
    picture_weight=1.0,
    lips_weight=0.3,
    motion_labels=True,
    phases=(
        Phase("mouths", 0.6, 7, (8, 8), 12, 8.0, 2.0, 0.0, 1.0, moving_share=0.15),
        Phase("chunks", 0.4, 21, None, 2, 24.0, 6.0, 0.0, 1.0, moving_share=0.15, crops_between=2, crop_between=(8, 8)),
    ),
)

# Fine-tuning a finished network to hear better: few faces, much other speech for them, mouths alone at first.
LIPS_TRAINING = TransformerTraining(
    seconds=2700.0,
    rate=6e-4,
    audio_pretraining_steps=0,
    phases=(
        Phase("mouths", 0.5, 9, (8, 8), 16, 8.0, 2.0, 0.1, 0.85),
        Phase("chunks", 0.5, 21, None, 2, 24.0, 6.0, 0.1, 0.85, crops_between=2, crop_between=(8, 8)),
    ),
)


def flow_loss(
    networks: NanoNetworks,
    batch: Batch,
    phase: Phase,
    settings: TransformerTraining,
    generator: torch.Generator,
    probes: Probes | None = None,
    crop_loss: CropLoss | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted squared error of the predicted velocity, and that of the mouth's clean latent alone at high noise."""
    size, device = batch.clean.shape[0], batch.clean.device
    high = torch.rand(size, generator=generator) < phase.high_noise_share
    times = torch.rand(size, generator=generator)
    times = torch.where(high, 0.75 + 0.25 * times, times).clamp(min=0.001)
    times = torch.where(torch.rand(size, generator=generator) < phase.pure_noise_share, 1.0, times).to(device)
    noise = torch.randn(batch.clean.shape, generator=generator).to(device)
    at = times[:, None, None, None, None]
    known = batch.known()
    context = batch.context(settings.context_noise, generator)
    latents = known * context + (1 - known) * ((1 - at) * batch.clean + at * noise)
    result = networks(batch, latents, times)
    error = (result - batch.clean).square().mean(dim=1, keepdim=True)
    # A velocity's error is the clean latent's over t; bounded, lest nearly clean examples take all.
    loss = weighted_error(error / at.square().clamp(min=TIME_FLOOR), batch, phase, settings.closed_weight)
    with torch.no_grad():
        inside = (1 - known) * batch.mouth * (at > 0.75)
        mouth = (error * inside).sum() / inside.sum().clamp(min=1e-6)
    figures = {"mouth_train": mouth}
    if probes is not None and settings.reading_weight:
        read = probes.error(result, batch)
        loss = loss + settings.reading_weight * read
        figures["read"] = read.detach()
    if crop_loss is not None:
        for name, value in crop_loss.errors(result, batch, settings.closed_weight).items():
            loss = loss + (settings.picture_weight if name == "seen" else settings.lips_weight) * value
            figures[name] = value.detach()
    return loss, figures


def weighted_error(error: Tensor, batch: Batch, phase: Phase, closed_weight: float = 1.0) -> Tensor:
    """Mean of an error [B,1,T,h,w] where nothing is given, mouth and eyes weighted, lips that are shut most of all.

    Each example counts against its own variance: what a turning head or a moving camera leaves unexplained is many
    times what a mouth does, and would drown it.
    """
    own = 1 - batch.dubbed[:, None, None, None, None]
    mouth = (phase.mouth_weight - 1) * batch.mouth * (1 + (closed_weight - 1) * batch.closed)
    weight = (1 - batch.known()) * (mouth + own * (1 + (phase.eye_weight - 1) * batch.eyes))
    over = (1, 2, 3, 4)
    total = weight.sum(dim=over).clamp(min=1e-6)  # of an example whose every frame is given: nothing
    variance = (batch.clean.square().mean(dim=1, keepdim=True) * weight).sum(dim=over) / total
    return ((error * weight).sum(dim=over) / total / (STILL_VARIANCE + variance)).mean()


def train_transformer(
    clips: ClipSet,
    features: Features,
    out: Path,
    settings: TransformerTraining,
    *,
    stage: str = "transformer",
    start_from: Path | None = None,
    speech: SpeechWindows | None = None,
    vae: NanoVAE | None = None,
    reader: LipReader | None = None,
) -> dict[str, float]:
    """Run the phases within the budget, export to `out/transformer` and `out/image_encoder`.

    Continues from the newest checkpoint of `out/stages/<stage>`; clips whose features are added meanwhile join in.

    Args:
        start_from: folder of exported networks to start from, instead of new ones.
        vae: whose decoder shows what `settings.picture_weight` counts; without it nothing is looked at.
        reader: of lips, for what `settings.lips_weight` counts.
        speech: without pictures; the sound's tokens learn from it, and `settings.dubbed_share` of the examples say it.

    Raises:
        InputError: no features yet, or `settings.trainable` names nothing.
    """
    from .transformer_report import Probe, report

    torch.manual_seed(settings.seed)
    folder = out / "stages" / stage
    held_out = features.ready(clips.split("test"))
    train = features.ready(clips.split("train"))
    if not len(train) or not len(held_out):
        raise InputError(f"{len(train)} training and {len(held_out)} held-out clips have features; compute some first.")
    if start_from is None:
        networks = build_networks(settings, *features.speech.shape[3:5])
        if settings.audio_pretraining_steps:
            projection, own = networks.transformer.audio_projection, out / "stages" / "audio_pretraining"
            pretrain_audio(projection, clips, features, own, settings.audio_pretraining_steps, settings.seed, speech)
    else:
        networks = NanoNetworks.from_folder(start_from)
    choose_trainable(networks, settings.trainable)
    if vae is None:
        settings = replace(settings, picture_weight=0.0)
    scale = kept_scale(out, clips, features, train, settings.seed, start_from)
    maker = BatchMaker(clips, features, scale, settings, speech=speech)
    crop_loss = CropLoss(vae, scale, reader) if settings.picture_weight else None
    probe = Probe.fit(clips, features, train)
    quality = probe.quality(clips, features, held_out)
    probes = Probes.fit(maker, train)
    jaw, lids = probes.quality(maker, held_out)
    print(
        f"relative scale {scale:.4f}, probe on true latents {quality:.3f}, probes jaw {jaw:.3f}, lids {lids:.3f}",
        flush=True,
    )

    def loss(draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        phase = alternate(settings.phase_at(draw.progress), draw.step)
        batch = maker.draw(maker.choose(train, phase, draw.rng), phase, draw.rng)
        if crop_loss is not None:
            crop_loss.to(draw.device)
        return flow_loss(networks, batch.to(draw.device), phase, settings, draw.generator, probes, crop_loss)

    def measure(step: int) -> dict[str, float]:
        nonlocal train
        train = features.ready(clips.split("train"))
        return report(networks, maker, probe, held_out)

    faster = [(name, settings.audio_rate_factor) for name in ("audio_projection", "audio_attn")]
    result = fit(networks, loss, settings.loop(), folder, report=measure, rates=faster)
    networks.export(out)
    shutil.copyfile(out / "stages" / SCALE_FILE, out / SCALE_FILE)
    return {**result.figures, "steps": float(result.step), "relative_scale": scale}


def choose_trainable(networks: NanoNetworks, pattern: str | None) -> None:
    """Let only parameters learn whose name `pattern` (a regular expression) is found in; None: all.

    Raises:
        InputError: if it is found in none.
    """
    if pattern is None:
        return
    chosen = [name for name, _ in networks.named_parameters() if re.search(pattern, name)]
    if not chosen:
        raise InputError(f"No parameter's name contains {pattern!r}; names look like transformer.blocks.0.attn1.to_q.")
    for name, parameter in networks.named_parameters():
        parameter.requires_grad_(name in chosen)


def alternate(phase: Phase, step: int) -> Phase:
    """The phase as the step sees it: cut-outs in between, four times as many, if it wants them."""
    if phase.crops_between == 0 or step % 3 >= phase.crops_between:
        return phase
    return replace(
        phase,
        crop=phase.crop_between,
        batch_size=4 * phase.batch_size,
        mouth_weight=phase.mouth_weight / 3,
        eye_weight=phase.eye_weight / 3,
    )


def known_scale(*folders: Path) -> float:
    """What relative latents were divided by, as it is written in the first of the folders that says so.

    Raises:
        InputError: none does.
    """
    for folder in folders:
        if (folder / SCALE_FILE).exists():
            return float((folder / SCALE_FILE).read_text())
    places = " nor in ".join(str(folder) for folder in folders)
    raise InputError(f"{SCALE_FILE} is neither in {places}; it is written when a transformer is trained.")


def kept_scale(
    out: Path, clips: ClipSet, features: Features, train: np.ndarray, seed: int, start_from: Path | None = None
) -> float:
    """The scale of relative latents, measured once: more clips must not change it once training has begun.

    start_from: exported networks that the training goes on from, whose scale it then is, if it is written beside them.
    """
    file = out / "stages" / SCALE_FILE
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        if start_from is not None and (start_from / SCALE_FILE).exists():
            shutil.copyfile(start_from / SCALE_FILE, file)
        else:
            file.write_text(f"{relative_scale(clips, features, train, np.random.default_rng(seed)):.4f}\n")
    return float(file.read_text())
