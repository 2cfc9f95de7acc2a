"""Stage `audio`: a small speech encoder learns the mouth from sound alone.

Trained inside the video model the encoder would have to be found through a long, noisy path; alone it takes minutes.
The target is the rendered head's own mouth shapes, of which the jaw counts most.  Every layer gets a linear reader, so
that all hidden states the transformer later sees are aware of the mouth.  Heavy changes to the sound (speed, spectrum,
rooms, noise, band limits) stand in for the voices and microphones that the synthetic speech lacks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.audio_encoder import SAMPLES_PER_FRAME, SpeechEncoder, nano_speech_config
from .clips import ClipSet
from .common import CsvLog, MovingAverage, cosine_rate, load_checkpoint, parameter_groups, save_checkpoint


@dataclass(frozen=True)
class AudioTraining:
    """Settings of the stage. `num_frames` is the longest excerpt, in video frames."""

    seconds: float = 240.0
    num_steps: int = 1200
    batch_size: int = 12
    num_frames: int = 90
    rate: float = 1.5e-3
    weight_decay: float = 0.02
    jaw_weight: float = 3.0
    seed: int = 1


class SpeechReader(nn.Module):
    """The encoder with one linear reader of the mouth shapes per layer; the readers are thrown away afterwards."""

    def __init__(self, num_shapes: int) -> None:
        super().__init__()
        self.encoder = SpeechEncoder(nano_speech_config())
        self.readers = nn.ModuleList(
            nn.Linear(self.encoder.num_channels, num_shapes) for _ in range(self.encoder.num_layers)
        )

    def forward(self, signals: Tensor, num_frames: int) -> Tensor:
        """Signals [B,S] to mouth shapes [L,B,F,K], standardised, one reading per layer."""
        layers = self.encoder(signals, num_frames)
        return torch.stack([reader(layers[:, :, index]) for index, reader in enumerate(self.readers)])


def train_audio(clips: ClipSet, out: Path, settings: AudioTraining) -> dict[str, float]:
    """Train on the clips' sound, export to `out/audio_encoder`, return the held-out correlations."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    train, held_out = clips.split("train"), clips.split("test")
    targets = _standardised_targets(clips, train)
    model = SpeechReader(targets.shape[2])
    average = MovingAverage(model, 0.99)
    optimizer = torch.optim.AdamW(parameter_groups(model, settings.weight_decay), betas=(0.9, 0.98))
    folder = out / "stages" / "audio"
    first_step = load_checkpoint(folder, model, average, optimizer)
    log = CsvLog(folder / "log.csv")
    weights = torch.ones(targets.shape[2])
    weights[0] = settings.jaw_weight
    started = time.monotonic()
    for step in range(first_step, settings.num_steps):
        elapsed = (time.monotonic() - started) / settings.seconds
        progress = max(step / settings.num_steps, elapsed)
        if progress >= 1:
            break
        rate = settings.rate * cosine_rate(int(progress * 1000), 1000, warm_up=0) * min(1, (step + 1) / 50)
        for group in optimizer.param_groups:
            group["lr"] = rate
        signals, shapes = sample_batch(clips, train, targets, settings, rng)
        readings = model(signals, shapes.shape[1])
        error = F.smooth_l1_loss(readings, shapes.expand_as(readings), reduction="none", beta=1.0)
        loss = (error * weights).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update(model)
        if step % 50 == 49:
            average.swap(model)
            log.write(step=step + 1, loss=loss.item(), **held_out_correlations(model, clips, held_out[:40], targets))
            average.swap(model)
            save_checkpoint(folder, model, average, optimizer, step + 1)
            clips = clips.reopened()
            train = clips.split("train")
            targets = _standardised_targets(clips, train)
    average.swap(model)
    report = held_out_correlations(model, clips, held_out, targets)
    model.encoder.save_pretrained(out / "audio_encoder")
    log.write(step=settings.num_steps, loss=0.0, **report)
    return report


def _standardised_targets(clips: ClipSet, train: np.ndarray) -> Tensor:
    """Mouth shapes [N,F,K] with the jaw first, standardised by the training clips' mean and spread."""
    shapes = np.concatenate([clips.jaw[:, :, None], clips.mouth_shapes], axis=2).astype(np.float32)
    center = shapes[train].mean(axis=(0, 1))
    spread = shapes[train].std(axis=(0, 1))
    used = spread > 1e-3  # shapes that the speech never moves teach nothing
    used[0] = True
    return torch.from_numpy((shapes - center)[:, :, used] / spread[used])


def sample_batch(
    clips: ClipSet, train: np.ndarray, targets: Tensor, settings: AudioTraining, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Excerpts of one length at one playing speed: signals [B,S], shapes [B,F,K]."""
    num_frames = int(rng.integers(settings.num_frames // 2, settings.num_frames + 1))
    speed = float(np.exp(rng.uniform(np.log(0.8), np.log(1.25))))  # pitch, formants and pace together
    span = min(int(np.ceil(num_frames * speed)), clips.num_frames)
    signals, shapes = [], []
    for clip in rng.choice(train, settings.batch_size):
        start = int(rng.integers(0, clips.num_frames - span + 1))
        signals.append(clips.samples(clip)[start * SAMPLES_PER_FRAME : (start + span) * SAMPLES_PER_FRAME])
        shapes.append(targets[clip, start : start + span])
    signal = torch.from_numpy(np.stack(signals).astype(np.float32))
    shape = torch.stack(shapes)
    signal = F.interpolate(signal[:, None], size=num_frames * SAMPLES_PER_FRAME, mode="linear", align_corners=False)
    shape = F.interpolate(shape.transpose(1, 2), size=num_frames, mode="linear", align_corners=False)
    return vary_sound(signal[:, 0], rng), shape.transpose(1, 2)


def vary_sound(signals: Tensor, rng: np.random.Generator) -> Tensor:
    """Change everything about the sound but its timing: signals [B,S] through filters, rooms and noise."""
    batch, num_samples = signals.shape
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    spectrum = torch.fft.rfft(signals, n=num_samples + 4000)
    frequency = torch.linspace(0, 1, spectrum.shape[1])  # of 8 kHz
    # Equaliser: a smooth random curve of up to about +-9 dB, in 12 bands.
    curve = F.interpolate(torch.randn(batch, 1, 12, generator=generator) * 4.5, size=spectrum.shape[1], mode="linear")
    gain = 10 ** (curve[:, 0] / 20)
    # Band limits: a third of the examples lose their treble, a third some bass.
    top = torch.where(torch.rand(batch, 1, generator=generator) < 0.35, 0.35 + 0.6 * _uniform(batch, generator), 2.0)
    low = torch.where(torch.rand(batch, 1, generator=generator) < 0.35, 0.03 * _uniform(batch, generator), -1.0)
    gain = gain * torch.sigmoid((top - frequency) * 60) * torch.sigmoid((frequency - low) * 600)
    # Room: a decaying noise tail of 50 to 250 ms, starting at once.
    tail = torch.randn(batch, 4000, generator=generator) * torch.exp(
        -torch.arange(4000) / (16_000 * (0.01 + 0.06 * _uniform(batch, generator)))
    )
    wet = torch.where(torch.rand(batch, 1, generator=generator) < 0.5, 0.08 * _uniform(batch, generator), 0.0)
    tail = tail * wet
    tail[:, 0] = 1.0
    signals = torch.fft.irfft(spectrum * gain * torch.fft.rfft(tail, n=num_samples + 4000))[:, :num_samples]
    # Noise between hiss and rumble, 3 to 45 dB below the speech.
    slope = 1.2 * _uniform(batch, generator)
    noise = torch.fft.rfft(torch.randn(batch, num_samples, generator=generator))
    bins = torch.arange(1, noise.shape[1] + 1)
    noise = torch.fft.irfft(noise / bins**slope, n=num_samples)
    level = 10 ** (-(3 + 42 * _uniform(batch, generator)) / 20)
    signals = signals + noise / noise.std(dim=1, keepdim=True) * signals.std(dim=1, keepdim=True) * level
    # Overdrive on a few.
    drive = torch.where(torch.rand(batch, 1, generator=generator) < 0.15, 3.0, 0.05)
    signals = signals / (signals.std(dim=1, keepdim=True) + 1e-6)
    return torch.tanh(signals * drive) / drive


def _uniform(batch: int, generator: torch.Generator) -> Tensor:
    return torch.rand(batch, 1, generator=generator)


@torch.no_grad()
def held_out_correlations(
    model: SpeechReader, clips: ClipSet, held_out: np.ndarray, targets: Tensor
) -> dict[str, float]:
    """Mean over clips of the correlation between jaw and reading, by the first and the last layer."""
    by_layer = []
    for part in np.array_split(held_out, max(1, len(held_out) // 8)):
        signals = torch.from_numpy(np.stack([clips.samples(clip) for clip in part]).astype(np.float32))
        readings = model(signals, clips.num_frames)[..., 0]
        jaw = targets[part, :, 0]
        by_layer.append(correlation(readings, jaw))
    layers = torch.cat(by_layer, dim=1).mean(dim=1)
    return {"jaw_first_layer": layers[0].item(), "jaw_last_layer": layers[-1].item()}


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlation along the last axis."""
    a = a - a.mean(dim=-1, keepdim=True)
    b = b - b.mean(dim=-1, keepdim=True)
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1) + 1e-8)
