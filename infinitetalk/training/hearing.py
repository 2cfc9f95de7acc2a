"""Before the first picture: the sound's tokens learn to tell what the face does.

In a short training the transformer spends most of its time finding out that the audio tokens mean anything; until
they do, their gradients are noise.  The truth of the clips says directly what they have to carry: jaw, mouth shapes,
eyelids, brows, head pose.  Here nano's `AudioProjection` learns that, alone, through linear readers that are thrown
away: a step costs a thousandth of one with pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..models.audio_projection import AudioProjection
from .audio_stage import correlation
from .loop import Draw, Every, LoopSettings, fit

if TYPE_CHECKING:
    from .clips import ClipSet
    from .latents import Features

NUM_LATENT_FRAMES = 9
BATCH_SIZE = 32
JAW_WEIGHT = 4.0


class Listener(nn.Module):
    """The projection with one linear reader for the first latent frame and one for those of four film frames."""

    def __init__(self, projection: AudioProjection, num_truths: int) -> None:
        super().__init__()
        self.projection = projection
        width = projection.context_tokens * projection.output_dim
        self.first = nn.Linear(width, num_truths)
        self.later = nn.Linear(width, projection.scale * num_truths)

    def forward(self, audio: Tensor) -> Tensor:
        """Windows of speech features [B,F,5,L,C] to truths [B,F,K]."""
        tokens = self.projection(audio).flatten(2)
        later = self.later(tokens[:, 1:]).unflatten(2, (self.projection.scale, -1)).flatten(1, 2)
        return torch.cat([self.first(tokens[:, :1]), later], dim=1)


def truths(clips: ClipSet, train: np.ndarray) -> Tensor:
    """What a face does, [N,F,K], jaw first, standardised over the clips `train`; what never moves is left out.

    Of the head's pose, its distance from the clip's mean: how a person holds the head, no sound tells.
    """
    pose = clips.pose - clips.pose.mean(axis=1, keepdims=True)
    columns = [clips.jaw[..., None], clips.mouth_shapes, clips.lids[..., None], clips.brows[..., None], pose]
    values = np.concatenate(columns, axis=2).astype(np.float32)
    center, spread = values[train].mean(axis=(0, 1)), values[train].std(axis=(0, 1))
    moves = spread > 1e-3
    moves[0] = True
    return torch.from_numpy((values - center)[:, :, moves] / np.maximum(spread[moves], 1e-6))


def learn_to_hear(
    projection: AudioProjection, clips: ClipSet, features: Features, folder: Path, num_steps: int, seed: int = 3
) -> dict[str, float]:
    """Train `projection` in place on clips whose features are ready; returns held-out correlations.

    Only clips whose head and camera move little teach the head's pose: that of the others comes from elsewhere.
    """
    train, held_out = (features.ready(clips.split(name)) for name in ("train", "test"))
    calm = train[clips.motion[train] == 0]
    train = calm if len(calm) else train
    targets = truths(clips, train)
    weight = torch.ones(targets.shape[2])
    weight[0] = JAW_WEIGHT
    torch.manual_seed(seed)
    model = Listener(projection, targets.shape[2])

    def read(chosen: np.ndarray, rng: np.random.Generator, variations: int) -> tuple[Tensor, Tensor]:
        num_frames = 4 * (NUM_LATENT_FRAMES - 1) + 1
        starts = rng.integers(0, clips.num_frames - num_frames + 1, len(chosen))
        sounds = rng.integers(0, variations, len(chosen))
        windows = [features.windows(c, s, num_frames, n) for c, s, n in zip(chosen, starts, sounds, strict=True)]
        wanted = torch.stack([targets[c, s : s + num_frames] for c, s in zip(chosen, starts, strict=True)])
        return torch.from_numpy(np.stack(windows)), wanted

    def loss(draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        windows, wanted = read(draw.rng.choice(train, BATCH_SIZE), draw.rng, features.num_variations[1])
        error = nn.functional.smooth_l1_loss(model(windows.to(draw.device)), wanted.to(draw.device), reduction="none")
        return (error * weight.to(draw.device)).mean(), {}

    def report(step: int) -> dict[str, float]:
        windows, wanted = read(np.resize(held_out, max(24, len(held_out))), np.random.default_rng(0), 1)
        device = next(model.parameters()).device
        agreement = correlation(model(windows.to(device)).cpu().transpose(1, 2), wanted.transpose(1, 2)).mean(dim=0)
        return {"jaw": agreement[0].item(), "all": agreement.mean().item()}

    settings = LoopSettings(
        num_steps=num_steps, rate=1.5e-3, weight_decay=0.02, average_decay=0.98, report=Every(steps=200), seed=seed
    )
    return fit(model, loss, settings, folder, report=report).figures
