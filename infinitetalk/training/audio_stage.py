"""Stage `audio`: a small speech encoder learns from sound alone what the mouth does and what is said.

Trained inside the video model the encoder would have to be found through a long, noisy path; alone it takes minutes.
The targets are the mouth shapes, of which the jaw counts most, and for every frame the group of phonemes that is
spoken. Every layer gets a linear reader of both, so that all hidden states the transformer later sees know the mouth.
Heavy changes to the sound stand in for the voices and microphones that synthetic speech lacks; a part of every batch is
sound without speech, at which the mouth stays closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthetic_people.phones import GROUP_OF, PHONE_GROUPS

from ..models.audio_encoder import SAMPLES_PER_FRAME, SpeechEncoder, nano_speech_config
from .clips import ClipSet
from .loop import Draw, Every, LoopSettings, fit
from .sound_changes import stretched, vary_sound, without_speech
from .speech_data import SpeechSet, speech_of

_LIP_ON_TEETH = GROUP_OF["f"]
_UNKNOWN = -100  # group that counts for nothing in the cross entropy


@dataclass(frozen=True)
class AudioTraining:
    """Settings of the stage. `num_frames` is the longest excerpt, in video frames.

    silent_share: part of the excerpts that is sound without speech; as many have a stretch of it.
    group_weight: of the phoneme groups' cross entropy against the mouth shapes' error.
    closure_weight: of the jaw on p, b, m, and of all shapes on f, v; contacts of the lips are few and short, and what
    eyes notice first.
    """

    seconds: float | None = 1200.0
    num_steps: int | None = 6000
    batch_size: int = 12
    num_frames: int = 110
    rate: float = 1.5e-3
    weight_decay: float = 0.02
    jaw_weight: float = 3.0
    group_weight: float = 0.15
    closure_weight: float = 2.5
    silent_share: float = 0.08
    seed: int = 1
    report_seconds: float = 60.0


class SpeechReader(nn.Module):
    """The encoder with linear readers per layer, of mouth shapes and of phoneme groups; they are thrown away later."""

    def __init__(self, num_shapes: int, start_from: Path | None = None) -> None:
        super().__init__()
        if start_from is None:
            self.encoder = SpeechEncoder(nano_speech_config())
            self.encoder.start_from_filters()
        else:
            self.encoder = SpeechEncoder.from_pretrained(start_from)
        channels, layers = self.encoder.num_channels, range(self.encoder.num_layers)
        self.shape_readers = nn.ModuleList(nn.Linear(channels, num_shapes) for _ in layers)
        self.group_readers = nn.ModuleList(nn.Linear(channels, len(PHONE_GROUPS)) for _ in layers)

    def forward(self, signals: Tensor, num_frames: int) -> tuple[Tensor, Tensor]:
        """Signals [B,S] to standardised mouth shapes [L,B,F,K] and logits of phoneme groups [L,B,F,G], per layer."""
        layers = self.encoder(signals, num_frames).unbind(2)
        shapes = torch.stack([reader(layer) for reader, layer in zip(self.shape_readers, layers, strict=True)])
        groups = torch.stack([reader(layer) for reader, layer in zip(self.group_readers, layers, strict=True)])
        return shapes, groups


@dataclass(frozen=True)
class Standard:
    """Mean and spread [K] of the mouth shapes; shapes that never move are left out (`used`, [K] bool)."""

    center: np.ndarray
    spread: np.ndarray
    used: np.ndarray

    @classmethod
    def of(cls, shapes: np.ndarray) -> Standard:
        spread = shapes.std(axis=(0, 1))
        used = spread > 1e-3
        used[0] = True
        return cls(shapes.mean(axis=(0, 1))[used], np.maximum(spread[used], 1e-3), used)

    def apply(self, shapes: np.ndarray) -> Tensor:
        """[..., K] to standardised [..., used K] float32."""
        return torch.from_numpy(((shapes[..., self.used] - self.center) / self.spread).astype(np.float32))


def train_audio(
    source: SpeechSet | ClipSet,
    out: Path,
    settings: AudioTraining,
    reopen: Callable[[], SpeechSet] | None = None,
    start_from: Path | None = None,
) -> dict[str, float]:
    """Train on speech (or on the sound of clips), export to `out/audio_encoder`, return the held-out figures.

    reopen: gives the speech anew at every report; for a folder that is still being filled.
    start_from: folder of an exported encoder that learns on, whatever its size; what reads its features has to follow.
    """
    torch.manual_seed(settings.seed)
    data = [source if isinstance(source, SpeechSet) else speech_of(source)]
    standard = Standard.of(data[0].shapes[data[0].indices(test=False)])
    model = SpeechReader(int(standard.used.sum()), start_from)
    closed = (0.08 - standard.center[0]) / standard.spread[0]  # below this the lips hardly part
    weights = torch.ones(int(standard.used.sum()))
    weights[0] = settings.jaw_weight

    def loss(draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        signals, shapes, groups = sample_batch(data[0], standard, settings, draw.rng)
        signals, shapes, groups, scale = (t.to(draw.device) for t in (signals, shapes, groups, weights))
        read_shapes, logits = model(signals, shapes.shape[1])
        error = F.smooth_l1_loss(read_shapes, shapes.expand_as(read_shapes), reduction="none", beta=1.0)
        error *= 1 + (settings.closure_weight - 1) * (groups == _LIP_ON_TEETH)[..., None]
        error[..., 0] *= 1 + (settings.closure_weight - 1) * ((groups == 1) | (groups == 2)) * (shapes[..., 0] < closed)
        shape_error = (error * scale).mean()
        entropy = group_entropy(logits, groups.expand(logits.shape[:-1]))
        return shape_error + settings.group_weight * entropy, {
            "shapes": shape_error.detach(),
            "groups": entropy.detach(),
        }

    def report(step: int) -> dict[str, float]:
        if reopen is not None:
            data[0] = reopen()
        return held_out_figures(model, data[0], standard)

    loop = LoopSettings(
        num_steps=settings.num_steps,
        seconds=settings.seconds,
        rate=settings.rate,
        weight_decay=settings.weight_decay,
        average_decay=0.995,
        report=Every(seconds=settings.report_seconds),
        save=Every(seconds=120),
        seed=settings.seed,
    )
    result = fit(model, loss, loop, out / "stages" / "audio", report=report)
    model.encoder.save_pretrained(out / "audio_encoder")
    return result.figures


def group_entropy(logits: Tensor, groups: Tensor) -> Tensor:
    """Mean cross entropy of logits [...,G] against groups [...] where these are known."""
    known = int((groups != _UNKNOWN).sum())
    total = F.cross_entropy(logits.flatten(0, -2), groups.flatten(), ignore_index=_UNKNOWN, reduction="sum")
    return total / max(1, known)


def sample_batch(
    data: SpeechSet, standard: Standard, settings: AudioTraining, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Excerpts of one length at one playing speed: signals [B,S], standardised shapes [B,F,K], groups [B,F] long."""
    num_frames = int(rng.integers(settings.num_frames // 2, settings.num_frames + 1))
    speed = float(np.exp(rng.uniform(np.log(0.8), np.log(1.25))))  # pitch, formants and pace together
    span = min(int(np.ceil(num_frames * speed)), data.num_frames)
    signals, shapes, groups = [], [], []
    for index in rng.choice(data.indices(test=False), settings.batch_size):
        start = int(rng.integers(0, data.num_frames - span + 1))
        signals.append(data.samples(index, start, start + span))
        shapes.append(data.shapes[index, start : start + span])
        groups.append(None if data.groups is None else data.groups[index, start : start + span])
    sound, targets = stretched(torch.from_numpy(np.stack(signals)), standard.apply(np.stack(shapes)), num_frames)
    named = torch.full((settings.batch_size, num_frames), _UNKNOWN)
    if data.groups is not None:
        nearest = np.minimum(((np.arange(num_frames) + 0.5) * span / num_frames).astype(int), span - 1)
        named = torch.from_numpy(np.stack(groups)[:, nearest].astype(np.int64))
    changed = vary_sound(sound, rng)
    _silence_some(changed, targets, named, standard.apply(np.zeros(len(standard.used))), settings.silent_share, rng)
    return changed, targets, named


def _silence_some(
    signals: Tensor, shapes: Tensor, groups: Tensor, closed: Tensor, share: float, rng: np.random.Generator
) -> None:
    """Put sound without speech, and a closed mouth, in place of some excerpts and of a stretch of as many others."""
    num_frames = shapes.shape[1]
    sounds = without_speech(len(signals), signals.shape[1], rng)
    for index, chance in enumerate(rng.random(len(signals))):
        start, stop = 0, num_frames
        if share <= chance < 2 * share:  # music between sentences: it follows speech and speech follows it
            start, stop = np.sort(rng.integers(0, num_frames + 1, 2))
        elif chance >= share:
            continue
        span = slice(start * SAMPLES_PER_FRAME, stop * SAMPLES_PER_FRAME)
        signals[index, span] = sounds[index, span] * float(10 ** rng.uniform(-1.5, 0.2))
        shapes[index, start:stop] = closed
        groups[index, start:stop] = 0


@torch.no_grad()
def held_out_figures(
    model: SpeechReader, data: SpeechSet, standard: Standard, changed_seed: int | None = None
) -> dict[str, float]:
    """Correlation of jaw and all shapes with the truth by the last layer (jaw also by the first), of unseen voices.

    Means over excerpts. lips_closed: readings on p, b, m frames that lie below the excerpt's 30th percentile.
    groups_right: share of frames whose group is named. changed_seed: change the sound as in training first.
    """
    held_out = data.indices(test=True)
    device = next(model.parameters()).device
    first, last, every, closed, right = [], [], [], [], []
    for part in np.array_split(held_out, max(1, len(held_out) // 8)):
        signals = torch.from_numpy(np.stack([data.samples(index) for index in part]))
        if changed_seed is not None:
            signals = vary_sound(signals, np.random.default_rng([changed_seed, int(part[0])]))
        shapes, logits = model(signals.to(device), data.num_frames)
        truth = standard.apply(data.shapes[part]).to(device)
        first.append(correlation(shapes[0, ..., 0], truth[..., 0]))
        last.append(correlation(shapes[-1, ..., 0], truth[..., 0]))
        every.append(correlation(shapes[-1].transpose(1, 2), truth.transpose(1, 2)).mean(1))
        if data.groups is not None:
            groups = torch.from_numpy(data.groups[part].astype(np.int64)).to(device)
            right.append((logits[-1].argmax(-1) == groups).float().mean(1))
            # Of a p only a part is shut, the rest is breath: the truth's own jaw says which.
            rest = torch.from_numpy(data.shapes[part, :, 0] < 0.05).to(device)
            shut = ((groups == 1) | (groups == 2)) & rest
            jaw = shapes[-1, ..., 0]
            low = jaw < torch.quantile(jaw, 0.3, dim=1, keepdim=True)
            closed.append((low & shut).sum(1) / shut.sum(1).clamp(min=1))
    figures = {"jaw_first_layer": first, "jaw_last_layer": last, "shapes": every}
    if data.groups is not None:
        figures |= {"lips_closed": closed, "groups_right": right}
    return {name: float(torch.cat(values).mean()) for name, values in figures.items()}


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlation along the last axis."""
    a = a - a.mean(dim=-1, keepdim=True)
    b = b - b.mean(dim=-1, keepdim=True)
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1) + 1e-8)
