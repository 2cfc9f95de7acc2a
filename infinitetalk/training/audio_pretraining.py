"""Before the first picture: the sound's tokens learn to predict what the face does.

In a short training the transformer spends most of its time finding out that the audio tokens mean anything; until
they do, their gradients are noise.  The truth of the clips says directly what they have to carry: mouth shapes, of
which the jaw is the first, eyelids, brows, head pose.  Here nano's `AudioProjection` learns that, alone, through linear
readers that are thrown away: a step costs a thousandth of one with pictures.

A hundred clips are soon known by heart (jaw correlation on unseen voices 0.58).  Speech without pictures costs next to
nothing to make, and its mouth shapes are as true; with two thousand pieces of it the same steps reach 0.80.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..models.audio_projection import AudioProjection
from .audio_stage import correlation
from .latents import windows_of
from .loop import Draw, Every, LoopSettings, fit
from .sound_changes import vary_sound

if TYPE_CHECKING:
    from ..models.audio_encoder import SpeechEncoder
    from .clips import ClipSet
    from .latents import Features
    from .speech_data import SpeechSet

NUM_LATENT_FRAMES = 9
BATCH_SIZE = 32
JAW_WEIGHT = 4.0
FEATURE_NOISE = 0.25  # of speech features, whose spread is one
MOST_EXCERPTS = 1800


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


@dataclass(frozen=True)
class SpeechWindows:
    """Speech without pictures: features [N,F,L,C] float16, mouth shapes [N,F,K] with the jaw first, is_test [N]."""

    features: np.ndarray
    shapes: np.ndarray
    is_test: np.ndarray


@torch.inference_mode()
def hear_speech(speech: SpeechSet, encoder: SpeechEncoder, most: int = MOST_EXCERPTS, seed: int = 0) -> SpeechWindows:
    """Features of all excerpts held out and of at most `most` others, every second of those with changed sound."""
    rng = np.random.default_rng(seed)
    train = rng.permutation(speech.indices(test=False))[:most]
    chosen = np.concatenate([speech.indices(test=True), train])
    shape = (len(chosen), speech.num_frames, encoder.num_layers, encoder.num_channels)
    features = np.empty(shape, np.float16)
    for row, index in enumerate(chosen):
        signal = torch.from_numpy(speech.samples(int(index)))[None]
        changed = vary_sound(signal, rng) if not speech.is_test[index] and row % 2 else signal
        features[row] = encoder(changed, speech.num_frames)[0].numpy()
    return SpeechWindows(features, speech.shapes[chosen].astype(np.float32), speech.is_test[chosen])


def motion_truths(clips: ClipSet) -> np.ndarray:
    """What a face does besides its mouth, [N,F,5]: eyelids, brows, and the head's distance from the clip's mean pose.

    How a person holds the head as a rule does not follow from any sound.
    """
    pose = clips.pose - clips.pose.mean(axis=1, keepdims=True)
    return np.concatenate([clips.lids[..., None], clips.brows[..., None], pose], axis=2).astype(np.float32)


def standardised(values: np.ndarray, like: np.ndarray) -> Tensor:
    """Values [...,K] less the mean of `like` [N,F,K], over its spread; what never moves stays small."""
    center, spread = like.mean(axis=(0, 1)), like.std(axis=(0, 1))
    return torch.from_numpy(((values - center) / np.maximum(spread, 1e-3)).astype(np.float32))


def pretrain_audio(
    projection: AudioProjection,
    clips: ClipSet,
    features: Features,
    folder: Path,
    num_steps: int,
    seed: int = 3,
    speech: SpeechWindows | None = None,
) -> dict[str, float]:
    """Train `projection` in place on clips whose features are ready; returns held-out correlations.

    Only clips whose head and camera move little teach the head's pose: that of the others comes from elsewhere.

    Args:
        speech: two steps of three learn mouth shapes from it.
    """
    train, held_out = (features.ready(clips.split(name)) for name in ("train", "test"))
    calm = train[clips.motion[train] == 0]
    train = calm if len(calm) else train
    mouths = clips.mouth_shapes[train] if speech is None else speech.shapes[~speech.is_test]
    others = motion_truths(clips)
    targets = torch.cat([standardised(clips.mouth_shapes, mouths), standardised(others, others[train])], dim=2)
    weight = torch.ones(targets.shape[2])
    weight[0] = JAW_WEIGHT
    torch.manual_seed(seed)
    model = Listener(projection, targets.shape[2])
    num_frames = 4 * (NUM_LATENT_FRAMES - 1) + 1

    def of_clips(chosen: np.ndarray, rng: np.random.Generator, variations: int) -> tuple[Tensor, Tensor]:
        starts = rng.integers(0, clips.num_frames - num_frames + 1, len(chosen))
        sounds = rng.integers(0, variations, len(chosen))
        windows = [features.windows(c, s, num_frames, n) for c, s, n in zip(chosen, starts, sounds, strict=True)]
        wanted = torch.stack([targets[c, s : s + num_frames] for c, s in zip(chosen, starts, strict=True)])
        return torch.from_numpy(np.stack(windows)), wanted

    if speech is not None:
        spoken = standardised(speech.shapes, mouths)
        unseen = np.flatnonzero(~speech.is_test)

    def of_speech(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        chosen = rng.choice(unseen, BATCH_SIZE)
        starts = rng.integers(0, speech.features.shape[1] - num_frames + 1, BATCH_SIZE)
        windows = [windows_of(speech.features[c], s, num_frames) for c, s in zip(chosen, starts, strict=True)]
        wanted = torch.stack([spoken[c, s : s + num_frames] for c, s in zip(chosen, starts, strict=True)])
        return torch.from_numpy(np.stack(windows)), wanted

    def loss(draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        if speech is not None and draw.step % 3:
            windows, wanted = of_speech(draw.rng)
        else:
            windows, wanted = of_clips(draw.rng.choice(train, BATCH_SIZE), draw.rng, features.num_variations[1])
        windows = windows + FEATURE_NOISE * torch.randn(windows.shape, generator=draw.generator)
        predicted = model(windows.to(draw.device))[..., : wanted.shape[2]]
        error = nn.functional.smooth_l1_loss(predicted, wanted.to(draw.device), reduction="none")
        return (error * weight[: wanted.shape[2]].to(draw.device)).mean(), {}

    def report(step: int) -> dict[str, float]:
        windows, wanted = of_clips(np.resize(held_out, max(24, len(held_out))), np.random.default_rng(0), 1)
        device = next(model.parameters()).device
        agreement = correlation(model(windows.to(device)).cpu().transpose(1, 2), wanted.transpose(1, 2)).mean(dim=0)
        names = ("lids", "brows", "yaw", "pitch", "roll")
        groups = dict(zip(names, agreement[-len(names) :].tolist(), strict=True))
        return {"jaw": agreement[0].item(), "shapes": agreement[: -len(names)].mean().item(), **groups}

    settings = LoopSettings(
        num_steps=num_steps, rate=1.5e-3, weight_decay=0.03, average_decay=0.98, report=Every(steps=200), seed=seed
    )
    return fit(model, loss, settings, folder, report=report).figures
