"""How far the transformer's training has come, on clips it never sees: does the sound move the face, and enough?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .audio_stage import correlation
from .latents import LATENT_CELLS
from .phases import Phase
from .references import Given

if TYPE_CHECKING:
    from .batches import BatchMaker
    from .clips import ClipSet
    from .latents import Features
    from .networks import NanoNetworks

PROBE_CELLS = 6  # latent positions along each side, around the mouth's middle, that the probe reads
WHOLE_CHUNK = Phase("report", 1.0, 21, None, 1, 1.0, 1.0, 0.0, 1.0)
MOST_CLIPS = 6


@dataclass(frozen=True)
class Probe:
    """Ridge regression from the mouth's relative latents to the jaw of a group's four frames."""

    weights: Tensor  # [features + 1, 4]

    @classmethod
    def fit(cls, clips: ClipSet, features: Features, train: np.ndarray) -> Probe:
        """Fit on every fourth stored group of the training clips, reference: the clip's first frame."""
        inputs, targets = [], []
        for clip in train[:: max(1, len(train) // 150)]:
            starts = np.arange(0, features.groups.shape[2], 4)
            reference = features.single[clip, 0, 0].astype(np.float32)
            relative = features.groups[clip, 0, starts].astype(np.float32) - reference
            inputs.append(_around(torch.from_numpy(relative), mouth_middle(clips, clip)))
            frames = 2 * starts[:, None] + 1 + np.arange(4)
            targets.append(torch.from_numpy(clips.jaw[clip][frames] - clips.jaw[clip, :1]).float())
        x, y = torch.cat(inputs), torch.cat(targets)
        x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
        penalty = 0.02 * x.square().mean() * len(x) * torch.eye(x.shape[1])
        return cls(torch.linalg.solve(x.T @ x + penalty, x.T @ y))

    def read(self, relative: Tensor, middle: np.ndarray) -> Tensor:
        """Jaw [4 T'], less that of the reference, of groups' relative latents [T',16,h,w] (unscaled).

        middle: row and column of the mouth's middle, in latent positions.
        """
        x = _around(relative, middle)
        return (torch.cat([x, torch.ones(len(x), 1)], dim=1) @ self.weights).flatten()

    def quality(self, clips: ClipSet, features: Features, held_out: np.ndarray) -> float:
        """Mean correlation with the jaw on true latents of held-out clips: the most that generated ones can reach."""
        values = []
        for clip in held_out[:24]:
            latents = torch.from_numpy(features.chunk(clip, 0, 21)[1:])
            relative = latents - torch.from_numpy(features.single[clip, 0, 0].astype(np.float32))
            jaw = torch.from_numpy(clips.jaw[clip, 1:81]).float()
            values.append(correlation(self.read(relative, mouth_middle(clips, clip)), jaw).item())
        return float(np.mean(values))


def mouth_middle(clips: ClipSet, clip: int) -> np.ndarray:
    """Row and column of the mouth's middle in a clip's first frame, in latent positions."""
    return clips.mouth_boxes[clip, 0].reshape(2, 2).mean(axis=0) * LATENT_CELLS / clips.size


def _around(latents: Tensor, middle: np.ndarray) -> Tensor:
    """Positions around a place, flattened: [T,16,h,w] to [T, 16 * cells * cells]."""
    top, left = (int(np.clip(round(m - PROBE_CELLS / 2), 0, LATENT_CELLS - PROBE_CELLS)) for m in middle)
    return latents[:, :, top : top + PROBE_CELLS, left : left + PROBE_CELLS].flatten(1)


@torch.no_grad()
def report(networks: NanoNetworks, maker: BatchMaker, probe: Probe, held_out: np.ndarray) -> dict[str, float]:
    """One step from pure noise on the first chunks of held-out clips, with the clip's own sound and another's.

    mouth, eyes, rest: error as a share of the variance; 1 is no better than keeping the reference. mouth_other: with
    another clip's sound. jaw: correlation over time of the jaw that the probe reads with the true one, clips' mean;
    jaw_other: the same with other sound. slope: of the regression of that probe on the probe of true latents:
    below 1 the mouth moves too little.
    """
    clips = maker.clips
    calm = held_out[clips.motion[held_out] == 0]
    chosen = (calm if len(calm) else held_out)[:MOST_CLIPS]
    given = Given(0, 0, 1, opens=True)
    second = maker.settings.conditioning in ("fl2v", "two-reference")
    if second:
        given = Given(0, 0, 1, opens=True, second=80 if maker.settings.conditioning == "fl2v" else 90)
    device = next(networks.parameters()).device
    whole = maker.collate([maker.example(int(clip), given, WHOLE_CHUNK) for clip in chosen], second=second).to(device)
    known = whole.known()
    noise = torch.randn(whole.clean.shape, generator=torch.Generator().manual_seed(11)).to(device)
    latents = known * whole.clean + (1 - known) * noise
    times = torch.ones(len(chosen), device=device)
    figures = {}
    for suffix, audio in (("", whole.audio), ("_other", whole.audio.roll(1, dims=0))):
        result = networks(whole, latents, times, audio)
        error = (result - whole.clean).square()
        parts = {"mouth": whole.mouth, "eyes": whole.eyes, "rest": (1 - whole.mouth) * (1 - whole.eyes)}
        for name, part in parts.items():
            if name == "mouth" or not suffix:
                inside = (1 - known) * part
                figures[name + suffix] = (
                    (error * inside).sum() / (whole.clean.square() * inside).sum().clamp(min=1e-6)
                ).item()
        jaws, slopes = [], []
        for index, clip in enumerate(chosen):
            made, true = (
                probe.read(latents[index, :, 1:].transpose(0, 1).cpu() * maker.scale, mouth_middle(clips, clip))
                for latents in (result, whole.clean)
            )
            jaw = torch.from_numpy(np.asarray(clips.jaw[clip, 1:81], np.float32))
            jaws.append(correlation(made, jaw).item())
            spread = true - true.mean()
            slopes.append(((made - made.mean()) * spread).sum().item() / spread.square().sum().item())
        figures["jaw" + suffix] = float(np.mean(jaws))
        if not suffix:
            figures["slope"] = float(np.mean(slopes))
    return figures
