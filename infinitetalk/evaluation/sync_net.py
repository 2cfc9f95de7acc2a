"""The studio sync score: do these lips belong to this sound? An own small network, trained on the synthetic clips.

Two towers look at five frames of the mouth and at the sound around them, and put both on a sphere, near each other when
they belong together. The score is read as SyncNet's is (Chung and Zisserman 2016; LSE-D and LSE-C of Prajwal et al.
2020), but network, data and scale are others: **its numbers do not compare with LSE-D and LSE-C.**

    B windows, S edge of a mouth crop (48), W frames of a window (5), M mel frames of a window (28), D embedding
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import CheckpointError
from .landmarks import OUTER_LIPS

CROP = 48  # pixels
WINDOW = 5  # frames, 0.2 s
CROP_MARGIN = 1.9  # side of the crop, in widths of the lips
SETTLE_FRAMES = 25  # the crop follows the head over about a second, not the lips within it
SAMPLE_RATE, HOP, FFT_SAMPLES = 16_000, 160, 512
MELS = 40
MELS_PER_FRAME = 4  # 25 frames and 100 mel frames a second
MEL_MARGIN = 4  # mel frames on each side of the five pictures' own 20
MEL_WINDOW = WINDOW * MELS_PER_FRAME + 2 * MEL_MARGIN  # 28
MAX_OFFSET = 15  # frames that the score slides the sound by, as SyncNet does
WEIGHTS = Path(__file__).with_name("sync_net.safetensors")


class SyncNet(nn.Module):
    """Mouth windows and sound windows onto one unit sphere."""

    def __init__(self, width: int = 20, num_features: int = 64) -> None:
        super().__init__()
        self.num_features = num_features
        self.mouth = nn.Sequential(
            _block(WINDOW, width, 5, 2),  # 24
            _block(width, 2 * width, 3, 2),  # 12
            _block(2 * width, 3 * width, 3, 2),  # 6
            _block(3 * width, 4 * width, 3, 2),  # 3
            nn.Flatten(),
            nn.Linear(9 * 4 * width, 2 * num_features),
            nn.ReLU(),
            nn.Linear(2 * num_features, num_features),
        )
        self.sound = nn.Sequential(
            _block(1, width, 5, (2, 1)),  # 20 x 28
            _block(width, 2 * width, 3, 2),  # 10 x 14
            _block(2 * width, 3 * width, 3, 2),  # 5 x 7
            _block(3 * width, 4 * width, 3, (1, 2)),  # 5 x 4
            nn.Flatten(),
            nn.Linear(20 * 4 * width, 2 * num_features),
            nn.ReLU(),
            nn.Linear(2 * num_features, num_features),
        )
        self.log_temperature = nn.Parameter(torch.tensor(-2.3))  # of the training's comparison, exp -> 0.1

    def embed_mouth(self, windows: Tensor) -> Tensor:
        """[B,W,S,S] standardised brightness to [B,D] of length 1."""
        return nn.functional.normalize(self.mouth(windows), dim=1)

    def embed_sound(self, windows: Tensor) -> Tensor:
        """[B,40,M] log mel to [B,D] of length 1."""
        return nn.functional.normalize(self.sound(windows[:, None]), dim=1)


def _block(inputs: int, outputs: int, kernel: int, stride: int | tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2), nn.GroupNorm(4, outputs), nn.ReLU()
    )


@cache
def load_sync_net(path: Path = WEIGHTS) -> SyncNet:
    """The trained network, in evaluation mode.

    Raises:
        CheckpointError: the weights are missing.
    """
    if not path.exists():
        raise CheckpointError(
            f"{path} is missing; train it with `python -m infinitetalk train --stage sync --data DIR --out DIR`."
        )
    tensors = {name: value.float() for name, value in load_file(path).items()}
    net = SyncNet(width=tensors["mouth.0.0.weight"].shape[0])
    net.load_state_dict(tensors)
    return net.eval().requires_grad_(False)


def lip_boxes(points: np.ndarray) -> np.ndarray:
    """Boxes around the lips [F,4] (first row, first column, last row, last column) of `face_points` [F,478,3]."""
    lips = points[:, OUTER_LIPS, :2]
    low, high = lips.min(axis=1), lips.max(axis=1)
    return np.concatenate([low[:, ::-1], high[:, ::-1]], axis=1)


def mouth_crops(frames: np.ndarray, boxes: np.ndarray, zoom: float = 1.0) -> np.ndarray:
    """Brightness of the mouth [F,48,48] uint8 from frames [F,H,W,3] and `lip_boxes` [F,4].

    The crop keeps one size and moves slowly: it must not take the lips' motion out of the picture. Frames without a
    box (NaN) use their neighbours'.
    """
    from scipy.ndimage import median_filter, uniform_filter1d

    boxes = _filled(boxes)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    middle = uniform_filter1d(median_filter(middle, (SETTLE_FRAMES, 1), mode="nearest"), SETTLE_FRAMES // 3, axis=0,
                              mode="nearest")  # fmt: skip
    side = CROP_MARGIN / zoom * float(np.median(boxes[:, 3] - boxes[:, 1]))
    crops = np.empty((len(frames), CROP, CROP), np.uint8)
    for index, frame in enumerate(frames):
        row, column = middle[index] - side / 2
        crops[index] = _cut(frame, row, column, side)
    return crops


def _cut(frame: np.ndarray, row: float, column: float, side: float) -> np.ndarray:
    """A square of `side` pixels at (row, column), as brightness [48,48]; beyond the edge its border is repeated."""
    first_row, first_column = int(np.floor(row)), int(np.floor(column))
    last_row, last_column = int(np.ceil(row + side)), int(np.ceil(column + side))
    height, width = frame.shape[:2]
    rows = np.clip(np.arange(first_row, last_row), 0, height - 1)
    columns = np.clip(np.arange(first_column, last_column), 0, width - 1)
    view = cv2.cvtColor(np.ascontiguousarray(frame[rows][:, columns]), cv2.COLOR_RGB2GRAY)
    return cv2.resize(view, (CROP, CROP), interpolation=cv2.INTER_AREA if side >= CROP else cv2.INTER_LINEAR)


def _filled(boxes: np.ndarray) -> np.ndarray:
    known = np.isfinite(boxes[:, 0])
    assert known.any(), "no frame has a mouth"
    frames = np.arange(len(boxes))
    return np.stack([np.interp(frames, frames[known], column[known]) for column in boxes.T], axis=1)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Log mel spectrogram [40, 100 a second] of sound [samples] at 16 kHz; mean 0 and spread 1 over the recording."""
    signal = torch.from_numpy(np.array(samples, np.float32))
    spectrum = torch.stft(
        signal, FFT_SAMPLES, HOP, window=torch.hann_window(FFT_SAMPLES), center=True, return_complex=True
    ).abs()
    power = torch.log(_mel_filters() @ spectrum**2 + 1e-6).numpy()
    return ((power - power.mean()) / (power.std() + 1e-6)).astype(np.float32)


@cache
def _mel_filters() -> Tensor:
    """[40, 257] triangles, equally spaced from 60 Hz to 7.6 kHz on the mel scale of O'Shaughnessy."""
    mel = np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 7600 / 700), MELS + 2)
    corners = 700 * (10 ** (mel / 2595) - 1)
    bins = np.linspace(0, SAMPLE_RATE / 2, FFT_SAMPLES // 2 + 1)
    rise = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    fall = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    return torch.from_numpy(np.maximum(0, np.minimum(rise, fall)).astype(np.float32))


def mouth_windows(crops: np.ndarray, middles: np.ndarray) -> Tensor:
    """[B,5,48,48] around each of `middles`, each window standardised by itself."""
    return standardised(torch.from_numpy(crops[middles[:, None] + np.arange(-(WINDOW // 2), WINDOW // 2 + 1)]).float())


def standardised(windows: Tensor) -> Tensor:
    """Windows [B,W,S,S] with mean 0 and spread 1 each: light and skin are not what is judged."""
    mean = windows.mean(dim=(1, 2, 3), keepdim=True)
    return (windows - mean) / (windows.std(dim=(1, 2, 3), keepdim=True) + 4.0)


def sound_windows(mel: np.ndarray, middles: np.ndarray) -> Tensor:
    """[B,40,28] around the frames `middles`; beyond the recording its ends are repeated."""
    first = MELS_PER_FRAME * (middles - WINDOW // 2) - MEL_MARGIN
    columns = np.clip(first[:, None] + np.arange(MEL_WINDOW), 0, mel.shape[1] - 1)
    return torch.from_numpy(np.ascontiguousarray(mel[:, columns].transpose(1, 0, 2)))


@dataclass(frozen=True)
class SyncScore:
    """distance: of lips and sound at the best offset, 0 to 2, mean over windows; small is good.

    confidence: how far that lies below the median over all offsets; large is good, 0 when the sound does not matter.
    offset: frames by which the lips come after the sound at the best fit.
    """

    distance: float
    confidence: float
    offset: int


@torch.inference_mode()
def sync_score(net: SyncNet, crops: np.ndarray, samples: np.ndarray, max_offset: int = MAX_OFFSET) -> SyncScore:
    """Score `mouth_crops` [F,48,48], at least five, against their sound [640 F]."""
    mouth, sound = embed_film(net, crops, samples)
    num_windows = len(mouth)
    assert num_windows > 0, len(crops)
    by_offset = {}
    for offset in range(-max_offset, max_offset + 1):
        a = mouth[max(0, offset) : num_windows + min(0, offset)]
        b = sound[max(0, -offset) : num_windows - max(0, offset)]
        if len(a):
            by_offset[offset] = float((a - b).norm(dim=1).mean())
    best = min(by_offset, key=by_offset.get)
    return SyncScore(by_offset[best], float(np.median(list(by_offset.values()))) - by_offset[best], best)


@torch.inference_mode()
def embed_film(net: SyncNet, crops: np.ndarray, samples: np.ndarray | None) -> tuple[Tensor, Tensor | None]:
    """Embeddings of every window of a film, mouth and sound: [F-4,D] each; no sound, no second part."""
    middles = np.arange(WINDOW // 2, len(crops) - WINDOW // 2)
    mouth = torch.cat([net.embed_mouth(mouth_windows(crops, part)) for part in _parts(middles)])
    if samples is None:
        return mouth, None
    mel = log_mel(samples)
    return mouth, torch.cat([net.embed_sound(sound_windows(mel, part)) for part in _parts(middles)])


def _parts(middles: np.ndarray) -> list[np.ndarray]:
    return np.array_split(middles, max(1, len(middles) // 128))
