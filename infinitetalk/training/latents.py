"""What the transformer is trained on, computed once: latents of every frame and group, and the sound's features.

Each clip is encoded several times, as rendered and as varied pictures of it (mirrored, moved, enlarged, recoloured):
encoding costs a twentieth of rendering, and every variation is another face in another place.

Nano's encoder codes each group of four frames by itself, so a chunk starting at any frame is put together from stored
pieces: the latent of its first frame alone, then those of the groups that follow.  Groups are kept for odd starts
only; chunks therefore start at even frames.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..config.constants import VAE_TEMPORAL_STRIDE
from ..errors import InputError
from .clips import SMALL_SIZE, ClipSet
from .sound_changes import vary_sound

if TYPE_CHECKING:
    from ..models.audio_encoder import SpeechEncoder
    from ..models.nano_vae import NanoVAE

GROUP_STRIDE = 2
LATENT_CELLS = SMALL_SIZE // 8  # latent positions along each side of a picture
_WHOLE = (slice(None), slice(None))
AUDIO_REACH = 2  # frames of sound on each side of a frame's own
_SHAPE_NOISE = 0.02  # on mouth shapes of a clip's second variation, which go from 0 to 1
NUM_VARIATIONS = 2  # of each clip's pictures and sound, the first as rendered


@dataclass(frozen=True)
class Variation:
    """One way to change a clip's pictures, the same for all its frames.

    top, left, zoom: the part that is kept starts there (pixels) and is enlarged `zoom` times to fill the picture.
    colors: [3,4], matrix and offset on colours in [-1,1].
    """

    mirrored: bool
    top: float
    left: float
    zoom: float
    colors: np.ndarray

    @classmethod
    def of(cls, clip: int, number: int, size: int) -> Variation:
        """The clip's variation `number`; number 0 changes nothing."""
        if number == 0:
            return cls(False, 0.0, 0.0, 1.0, np.eye(3, 4))
        rng = np.random.default_rng([clip, number, 5])
        zoom = float(np.exp(rng.uniform(0, 0.14)))
        slack = size - size / zoom
        colors = np.eye(3, 4)
        colors[:, :3] += rng.normal(0, 0.08, (3, 3))
        colors *= np.exp(rng.normal(0, 0.12))
        colors[:, 3] = rng.normal(0, 0.08) + rng.normal(0, 0.04, 3)
        top, left = rng.uniform(0.3, 1) * slack, rng.uniform(0.2, 0.8) * slack  # the chin stays in the picture
        return cls(bool(rng.random() < 0.5), top, left, zoom, colors)

    def pictures(self, frames: Tensor, window: tuple[slice, slice] = _WHOLE) -> Tensor:
        """[N,3,S,S] in [-1,1], changed; of the result the rows and columns `window`."""
        size = frames.shape[-1]
        row, column = (torch.arange(size)[part] for part in window)
        if self.mirrored:
            column = size - 1 - column
        if self.zoom == 1:
            frames = frames[:, :, row[:, None], column]
        else:
            step = 2 / (size * self.zoom)
            rows = row * step + step / 2 + 2 * self.top / size - 1
            columns = column * step + step / 2 + 2 * self.left / size - 1
            grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).float()
            grid = grid[None].expand(len(frames), -1, -1, -1)
            frames = F.grid_sample(frames, grid, mode="bicubic", padding_mode="border", align_corners=False)
        colors = torch.from_numpy(self.colors).float()
        return (torch.einsum("ij,njhw->nihw", colors[:, :3], frames) + colors[:, 3:, None]).clamp(-1, 1)

    def boxes(self, boxes: np.ndarray, size: int) -> np.ndarray:
        """Boxes [...,4] of mouths or eyes (pixels) in the changed pictures."""
        moved = (boxes - np.array([self.top, self.left, self.top, self.left])) * self.zoom
        if self.mirrored:
            moved = moved[..., [0, 3, 2, 1]] * np.array([1, -1, 1, -1]) + np.array([0, size, 0, size])
        return moved


@dataclass(frozen=True)
class Features:
    """Normalised latents and speech features of all clips in V variations, memory-mapped.

    single: [N,V,F,16,h,w] float16, every frame alone. groups: [N,V,G,16,h,w], group g covers frames 1+2g to 4+2g.
    speech: [N,V,F,L,C] float16. tail: [16,h,w] float32, latent of a mid-grey frame (the reference's zero tail).
    finished: [N] bool. folder: where all of it lies.
    """

    single: np.ndarray
    groups: np.ndarray
    speech: np.ndarray
    tail: Tensor
    finished: np.ndarray
    folder: Path | None = None

    @property
    def num_variations(self) -> tuple[int, int]:
        """Of the pictures and of the sound."""
        return self.single.shape[1], self.speech.shape[1]

    def ready(self, wanted: np.ndarray) -> np.ndarray:
        """Those of the clips `wanted` whose features are there by now; another process may be adding to them."""
        finished = self.finished if self.folder is None else np.load(self.folder / _FINISHED)
        return wanted[finished[wanted]]

    def chunk(
        self, clip: int, start: int, num_latent_frames: int, variation: int = 0, window: tuple[slice, slice] = _WHOLE
    ) -> np.ndarray:
        """Latents [T,16,h,w] of the chunk that starts at the even frame `start`, of the rows and columns `window`."""
        assert start % GROUP_STRIDE == 0, start
        step = VAE_TEMPORAL_STRIDE // GROUP_STRIDE
        first = start // GROUP_STRIDE
        groups = self.groups[clip, variation, first : first + step * (num_latent_frames - 1) : step, :, *window]
        alone = self.single[clip, variation, start : start + 1, :, *window]
        return np.concatenate([alone, groups]).astype(np.float32)

    def windows(self, clip: int, start: int, num_frames: int, variation: int = 0) -> np.ndarray:
        """Speech features [F,5,L,C] of frames from `start`, each with its neighbours, clamped at the clip's ends."""
        return windows_of(self.speech[clip, variation], start, num_frames)


def windows_of(speech: np.ndarray, start: int, num_frames: int) -> np.ndarray:
    """Features [F,L,C] to windows [num_frames,5,L,C] of frames from `start`, clamped at both ends."""
    index = np.arange(start, start + num_frames)[:, None] + np.arange(-AUDIO_REACH, AUDIO_REACH + 1)
    return speech[np.clip(index, 0, len(speech) - 1)].astype(np.float32)


_ARRAYS = ("single", "groups", "speech")
_FINISHED = "finished.npy"


def load_small(clips: ClipSet, clip: int, start: int, stop: int) -> Tensor:
    """Frames [start, stop) of a clip as the autoencoder reads them: [1,3,F,128,128] in [-1,1]."""
    frames = torch.from_numpy(np.array(clips.small(clip, start, stop)))
    return frames.movedim(-1, 0)[None].float().div_(127.5).sub_(1)


def load_autoencoder(folder: Path) -> NanoVAE:
    """Nano's autoencoder as the stage `vae` exported it."""
    from ..models.nano_vae import NanoVAE

    return NanoVAE.from_pretrained(folder).eval().requires_grad_(False)


def open_features(folder: Path) -> Features:
    """Features as far as `compute_features` has got with them, perhaps in another process.

    Raises:
        InputError: if there are none.
    """
    if not (folder / _FINISHED).exists():
        raise InputError(f"{folder} holds no features; run `train --stage features` with the same --out first.")
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    tail = torch.from_numpy(np.load(folder / "tail.npy"))
    return Features(tail=tail, finished=np.load(folder / _FINISHED), folder=folder, **arrays)


@torch.inference_mode()
def compute_features(clips: ClipSet, vae: NanoVAE, speech_encoder: SpeechEncoder, folder: Path) -> Features:
    """Encode the clips that have been rendered since the last run; the arrays have room for all from the start.

    Raises:
        InputError: if the folder holds features of other clips or networks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    num_groups = (clips.num_frames - 1 - VAE_TEMPORAL_STRIDE) // GROUP_STRIDE + 1
    head = (clips.num_clips, NUM_VARIATIONS)
    shapes = {
        "single": (*head, clips.num_frames, 16, LATENT_CELLS, LATENT_CELLS),
        "groups": (*head, num_groups, 16, LATENT_CELLS, LATENT_CELLS),
        "speech": (*head, clips.num_frames, speech_encoder.num_layers, speech_encoder.num_channels),
    }
    arrays = {name: _open_array(folder / f"{name}.npy", shapes[name]) for name in _ARRAYS}
    done = folder / _FINISHED
    finished = np.load(done) if done.exists() else np.zeros(clips.num_clips, bool)
    mean = torch.tensor(vae.config.latents_mean)[:, None, None]
    std = torch.tensor(vae.config.latents_std)[:, None, None]
    grey = vae.encode(torch.zeros(1, 3, 1, SMALL_SIZE, SMALL_SIZE)).latent_dist.mode()[0, :, 0]
    tail = ((grey - mean) / std).clone()
    np.save(folder / "tail.npy", tail.numpy())
    vae = vae.to(memory_format=torch.channels_last)
    starts = torch.arange(num_groups)[:, None] * GROUP_STRIDE + 1 + torch.arange(VAE_TEMPORAL_STRIDE)
    missing = np.flatnonzero(clips.is_finished & ~finished)
    # Held-out clips first, to measure by.
    for count, clip in enumerate(sorted(missing, key=lambda clip: not clips.is_test[clip]), start=1):
        frames = load_small(clips, clip, 0, clips.num_frames)[0].transpose(0, 1)
        signal = torch.from_numpy(np.array(clips.samples(clip), np.float32))[None]
        rng = np.random.default_rng([int(clip), 6])
        for number in range(1 if clips.is_test[clip] else NUM_VARIATIONS):
            pictures = Variation.of(clip, number, SMALL_SIZE).pictures(frames)
            hidden, patches = vae.encoder.frame_features(pictures)
            single = vae.encoder.group_latents(hidden[:, None], patches[:, None])
            groups = vae.encoder.group_latents(hidden[starts], patches[starts])
            arrays["single"][clip, number] = ((single - mean) / std).numpy()
            arrays["groups"][clip, number] = ((groups - mean) / std).numpy()
            if speech_encoder.articulation is not None and not clips.is_test[clip]:
                # What the mouth in the picture does, not what the sound says of it: see `articulation_stage`.
                shapes = torch.from_numpy(np.array(clips.mouth_shapes[clip], np.float32))
                shapes += _SHAPE_NOISE * number * torch.from_numpy(rng.standard_normal(shapes.shape, np.float32))
                spoken = speech_encoder.articulation.say(shapes)
                arrays["speech"][clip, number] = spoken.reshape(arrays["speech"].shape[2:]).numpy()
                continue
            sound = signal if number == 0 else vary_sound(signal, rng)
            arrays["speech"][clip, number] = speech_encoder(sound, clips.num_frames)[0].numpy()
        finished[clip] = True
        if count % 10 == 0 or count == len(missing):
            for array in arrays.values():
                array.flush()
            partial = done.with_name("finished.part.npy")
            np.save(partial, finished)
            os.replace(partial, done)
        if count % 40 == 0 or count == len(missing):
            print(f"features of {count} of {len(missing)} new clips", flush=True)
    return Features(tail=tail, finished=finished, folder=folder, **arrays)


def _open_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A float16 memory map to write to, made if it is not there."""
    if not path.exists():
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    array = np.lib.format.open_memmap(path, mode="r+")
    if array.shape != shape:
        raise InputError(
            f"{path} has the shape {array.shape}, expected {shape}: it was made for other clips or networks; remove it."
        )
    return array
