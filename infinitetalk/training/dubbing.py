"""Other speech for a clip's face: the latents its mouth would have, put together from those that it has.

A few hundred rendered clips are few voices and few sentences; speech without pictures costs a hundredth of them. Where
the mouth's shapes are known, as they are of made speech, a clip shows nearly everything its own mouth does: for every
group of four frames the latents of the clip's groups that look most alike are averaged, and what still differs in
shape is added by a linear map from shapes to latents, fitted to that clip. It is the mean that a network trained on
squared errors is to predict anyway. What is not the mouth follows nothing in the sound and has to be left out of the
loss (`Batch.dubbed`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..config.constants import VAE_TEMPORAL_STRIDE
from .latents import GROUP_STRIDE, windows_of

if TYPE_CHECKING:
    from .audio_pretraining import SpeechWindows
    from .clips import ClipSet
    from .latents import Features

ALIKE = 4  # groups that are averaged: more are smoother, fewer sharper
RIDGE = 20.0  # of shapes, whose spreads are about 0.2, over some 70 groups
SHAPE_WEIGHTS = (3.0, 1.5, 1.5, 1.0, 1.0, 1.0, 2.0)  # jaw first, press last (`synthetic.visemes.SHAPES`)


@dataclass(frozen=True)
class Dub:
    """shapes: [F,K] of the mouth. windows: [F,5,L,C] of audio features."""

    shapes: np.ndarray
    windows: np.ndarray


class Dubbing:
    """Draws pieces of speech, and what a clip's face does while it says them."""

    def __init__(self, clips: ClipSet, features: Features, speech: SpeechWindows) -> None:
        self.clips, self.features, self.speech = clips, features, speech
        self.unseen = np.flatnonzero(~speech.is_test)

    def draw(self, num_frames: int, rng: np.random.Generator) -> Dub:
        """Any excerpt that is not held out, from any frame."""
        excerpt = int(rng.choice(self.unseen))
        start = int(rng.integers(0, self.speech.shapes.shape[1] - num_frames + 1))
        shapes = self.speech.shapes[excerpt, start : start + num_frames]
        return Dub(shapes, windows_of(self.speech.features[excerpt], start, num_frames))

    def chunk(self, clip: int, variation: int, shapes: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
        """Latents [T,16,h,w] of a chunk in which the clip's mouth has the `shapes` [F,K]."""
        own = np.asarray(self.clips.mouth_shapes[clip], np.float32)  # [F,K]
        groups = self.features.groups[clip, variation, :, :, *window].astype(np.float32)
        starts = GROUP_STRIDE * np.arange(len(groups))[:, None] + 1 + np.arange(VAE_TEMPORAL_STRIDE)
        seen = own[starts].reshape(len(groups), -1)
        wanted = shapes[1:].reshape((len(shapes) - 1) // VAE_TEMPORAL_STRIDE, -1)
        weights = np.tile(np.asarray(SHAPE_WEIGHTS, np.float32), VAE_TEMPORAL_STRIDE)
        later = _like(groups, seen * weights, wanted * weights)
        first = int(np.argmin(np.square((own - shapes[0]) * SHAPE_WEIGHTS).sum(axis=1)))
        alone = self.features.single[clip, variation, first : first + 1, :, *window].astype(np.float32)
        return np.concatenate([alone, later])


def _like(latents: np.ndarray, seen: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Latents for the shapes `wanted` [M,S] from `latents` [N,...] whose shapes are `seen` [N,S]: [M,...]."""
    centred = seen - seen.mean(axis=0)
    flat = latents.reshape(len(latents), -1)
    products = centred.T @ centred + RIDGE * np.eye(seen.shape[1], dtype=np.float32)
    to_latents = np.linalg.solve(products, centred.T @ (flat - flat.mean(axis=0)))
    distances = np.square(wanted[:, None] - seen[None]).sum(axis=2)
    nearest = np.argpartition(distances, ALIKE, axis=1)[:, :ALIKE]
    found = flat[nearest].mean(axis=1) + (wanted - seen[nearest].mean(axis=1)) @ to_latents
    return found.reshape(len(wanted), *latents.shape[1:]).astype(np.float32)
