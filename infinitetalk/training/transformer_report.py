"""How far the transformer's training has come, on clips it never sees: does the sound move the mouth?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .audio_stage import correlation
from .clips import ClipSet
from .latents import Features
from .transformer_stage import Batch, BatchMaker, NanoNetworks, Phase, context_mask, predict

PROBE_ROWS, PROBE_COLUMNS = 6, 6  # latent cells around the mouth's middle that the probe reads


@dataclass(frozen=True)
class Probe:
    """Ridge regression from the mouth's relative latents to the jaw of a group's four frames."""

    weights: Tensor  # [features + 1, 4]

    @classmethod
    def fit(cls, clips: ClipSet, features: Features, train: np.ndarray) -> Probe:
        """Fit on every fourth stored group of the training clips, reference: the clip's first frame."""
        inputs, targets = [], []
        for clip in train[:: max(1, len(train) // 250)]:
            starts = np.arange(0, features.groups.shape[2], 4)
            reference = features.single[clip, 0, 0].astype(np.float32)
            relative = features.groups[clip, 0, starts].astype(np.float32) - reference
            middle = clips.mouth_boxes[clip, 0].reshape(2, 2).mean(axis=0) / 8
            inputs.append(_around(torch.from_numpy(relative), middle))
            frames = 2 * starts[:, None] + 1 + np.arange(4)
            targets.append(torch.from_numpy(clips.jaw[clip][frames] - clips.jaw[clip, :1]).float())
        x, y = torch.cat(inputs), torch.cat(targets)
        x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
        penalty = 0.02 * x.square().mean() * len(x) * torch.eye(x.shape[1])
        return cls(torch.linalg.solve(x.T @ x + penalty, x.T @ y))

    def read(self, relative: Tensor, middle: np.ndarray) -> Tensor:
        """Jaw [4 T'] of groups' relative latents [T',16,h,w] (unscaled) around `middle` (row, column in cells)."""
        x = _around(relative, middle)
        return (torch.cat([x, torch.ones(len(x), 1)], dim=1) @ self.weights).flatten()

    def quality(self, clips: ClipSet, features: Features, held_out: np.ndarray) -> float:
        """Mean correlation with the jaw on true latents of held-out clips: the most that generated ones can reach."""
        values = []
        for clip in held_out[:24]:
            latents = torch.from_numpy(features.chunk(clip, 0, 21)[1:])
            relative = latents - torch.from_numpy(features.single[clip, 0, 0].astype(np.float32))
            middle = clips.mouth_boxes[clip, 0].reshape(2, 2).mean(axis=0) / 8
            jaw = torch.from_numpy(clips.jaw[clip, 1:81]).float()
            values.append(correlation(self.read(relative, middle), jaw).item())
        return float(np.mean(values))


def _around(latents: Tensor, middle: np.ndarray) -> Tensor:
    """Cells around a place, flattened: [T,16,h,w] to [T, 16 * rows * columns]."""
    top = int(np.clip(round(middle[0] - PROBE_ROWS / 2), 0, latents.shape[2] - PROBE_ROWS))
    left = int(np.clip(round(middle[1] - PROBE_COLUMNS / 2), 0, latents.shape[3] - PROBE_COLUMNS))
    return latents[:, :, top : top + PROBE_ROWS, left : left + PROBE_COLUMNS].flatten(1)


@torch.no_grad()
def report(
    networks: NanoNetworks, maker: BatchMaker, probe: Probe, held_out: np.ndarray, phase: Phase
) -> dict[str, float]:
    """Errors of the mouth at pure noise, with the clip's own sound and another's, as shares of its variance.

    `right` and `other` are 1 where the network does no better than keeping the reference. `heard` is the correlation of
    the mouth's latents predicted from pure noise with the true ones, along time and with each clip's mean removed.
    """
    rng = np.random.default_rng(11)
    generator = torch.Generator().manual_seed(11)
    batch = maker.draw(held_out[np.arange(phase.batch_size) % len(held_out)], phase, rng, plain=True)
    known = context_mask(batch)
    noise = torch.randn(batch.clean.shape, generator=generator)
    latents = known * batch.clean + (1 - known) * noise
    times = torch.ones(len(noise))
    inside = (1 - known) * batch.mouth
    figures = {}
    variance = (batch.clean.square() * inside).sum()
    for name, audio in (("right", batch.audio), ("other", batch.audio.roll(1, dims=0))):
        result = predict(networks, batch, latents, times, audio)
        figures[name] = (((result - batch.clean).square() * inside).sum() / variance).item()
        figures[f"heard_{name}"] = _agreement(result, batch, inside)
        if name == "right":
            outside = (1 - known) * (1 - batch.mouth)
            figures["outside"] = (
                ((result - batch.clean).square() * outside).sum() / (batch.clean.square() * outside).sum()
            ).item()
    return figures


def _agreement(result: Tensor, batch: Batch, inside: Tensor) -> float:
    """Correlation over time of predicted and true mouth latents, each clip's own mean removed."""
    start = int(batch.num_context.max())
    weight = inside[:, :, start:]
    a, b = result[:, :, start:], batch.clean[:, :, start:]
    a, b = (v - v.mean(dim=2, keepdim=True) for v in (a, b))
    product, own, other = ((x * y * weight).sum() for x, y in ((a, b), (a, a), (b, b)))
    return (product / (own * other).sqrt().clamp(min=1e-6)).item()
