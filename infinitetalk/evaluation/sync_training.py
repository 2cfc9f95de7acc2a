"""Training of the studio sync score's network on synthetic clips: minutes on one processor thread.

    figures = train_sync(open_clips(data), out, SyncTraining())

Which windows of a clip belong to which of its sounds? Only windows of the same clip are compared with each other, so
that a voice that goes with a face, or a room with a picture, is of no help.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from .sync_net import (
    CROP,
    MELS,
    WINDOW,
    SyncNet,
    log_mel,
    mouth_crops,
    mouth_windows,
    sound_windows,
    standardised,
    sync_score,
)

_LOOSE = 1.35  # crops are taken this much wider, so that training can move and scale within them


class Clips(Protocol):
    """What training needs of `infinitetalk.training.clips.ClipSet`: F frames a clip, boxes around the lips [N,F,4]."""

    mouth_boxes: np.ndarray

    @property
    def num_frames(self) -> int: ...

    def split(self, name: str) -> np.ndarray: ...

    def frames(self, clip: int, start: int, stop: int) -> np.ndarray: ...

    def samples(self, clip: int) -> np.ndarray: ...


@dataclass(frozen=True)
class SyncTraining:
    """A step compares `clips_per_step` times `windows_per_clip` windows of mouth and sound."""

    seconds: float = 420.0
    num_steps: int = 4000
    clips_per_step: int = 4
    windows_per_clip: int = 24
    rate: float = 1.5e-3
    weight_decay: float = 0.02
    most_clips: int = 250
    width: int = 20  # channels of the first convolution; the others follow
    near: int = 2  # frames: windows that close are hardly wrong, and are not held against each other
    seed: int = 5


def train_sync(clips: Clips, out: Path, settings: SyncTraining, start_from: Path | None = None) -> dict[str, float]:
    """Train, write `out/sync_net.safetensors` (half precision) and return the held-out clips' scores.

    start_from: weights of an earlier training to go on from, with `settings.width` as theirs.

    Returns:
        chance of picking the right of 24 sounds, distance, confidence, and share of clips with the right offset.
    """
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    train = clips.split("train")
    train = rng.permutation(train)[: settings.most_clips]
    held_out = clips.split("test")
    crops = {clip: _crops(clips, clip, 1 / _LOOSE) for clip in train}
    mels = {clip: log_mel(np.asarray(clips.samples(clip))) for clip in train}
    net = SyncNet(settings.width)
    if start_from is not None:
        net.load_state_dict({name: value.float() for name, value in load_file(start_from).items()})
    optimizer = torch.optim.AdamW(net.parameters(), settings.rate, weight_decay=settings.weight_decay)
    started, running = time.monotonic(), None
    for step in range(settings.num_steps):
        progress = max(step / settings.num_steps, (time.monotonic() - started) / settings.seconds)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * min(1, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * progress)))
        loss = _loss(net, [_draw(crops[clip], mels[clip], settings, rng)
                           for clip in rng.choice(train, settings.clips_per_step)], settings.near)  # fmt: skip
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if step % 100 == 99:
            print(f"sync step {step + 1} loss {running:.3f} {time.monotonic() - started:.0f} s", flush=True)
    net.eval()
    out.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in net.state_dict().items()},
              out / "sync_net.safetensors")  # fmt: skip
    return held_out_scores(net, clips, held_out)


def _crops(clips: Clips, clip: int, zoom: float) -> np.ndarray:
    return mouth_crops(clips.frames(clip, 0, clips.num_frames), clips.mouth_boxes[clip], zoom)


def _draw(
    crops: np.ndarray, mel: np.ndarray, settings: SyncTraining, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Windows of one clip, changed as cameras and rooms would: mouth [B,5,48,48], sound [B,40,28], middles [B]."""
    choices = np.arange(WINDOW // 2, len(crops) - WINDOW // 2)
    middles = np.sort(rng.choice(choices, min(settings.windows_per_clip, len(choices)), replace=False))
    windows = torch.from_numpy(crops[middles[:, None] + np.arange(-(WINDOW // 2), WINDOW // 2 + 1)]).float()
    # One small move, scale and mirror for the whole clip: within a film the camera is one.
    scale = rng.uniform(0.85, 1.15) / _LOOSE
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    tilt = rng.uniform(-0.15, 0.15)
    theta = torch.tensor(
        [[[scale * mirror, -tilt * scale, rng.uniform(-0.12, 0.12)], [tilt * scale, scale, rng.uniform(-0.12, 0.12)]]],
        dtype=torch.float32,
    ).expand(len(windows), -1, -1)
    grid = F.affine_grid(theta, [len(windows), WINDOW, CROP, CROP], align_corners=False)
    windows = F.grid_sample(windows, grid, padding_mode="border", align_corners=False)
    if rng.random() < 0.4:  # a soft lens or a small original
        windows = F.avg_pool2d(windows, 3, 1, 1)
    windows = 255 * (windows / 255).clamp(0, 1) ** rng.uniform(0.7, 1.4)
    windows = windows + torch.randn_like(windows) * rng.uniform(0, 6)
    tone = np.interp(np.arange(MELS), np.linspace(0, MELS, 6), rng.normal(0, 0.3, 6)).astype(np.float32)
    sound = sound_windows(mel, middles) + torch.from_numpy(tone)[None, :, None]
    sound = torch.maximum(sound, torch.tensor(rng.uniform(-3.0, -0.8)))  # hiss hides what is quiet
    if rng.random() < 0.5:
        first = int(rng.integers(0, MELS - 6))
        sound[:, first : first + int(rng.integers(1, 7))] = sound.mean()
    return standardised(windows), sound.float() + 0.05 * torch.randn_like(sound).float(), torch.from_numpy(middles)


def _loss(net: SyncNet, batch: list[tuple[Tensor, Tensor, Tensor]], near: int) -> Tensor:
    """Cross entropy of picking a window's sound among the clip's other sounds, and the other way round."""
    mouth = net.embed_mouth(torch.cat([item[0] for item in batch]))
    sound = net.embed_sound(torch.cat([item[1] for item in batch]))
    losses, start = [], 0
    for _, _, middles in batch:
        stop = start + len(middles)
        fit = mouth[start:stop] @ sound[start:stop].T / net.log_temperature.exp()
        apart = (middles[:, None] - middles[None]).abs()
        fit = fit.masked_fill((apart > 0) & (apart <= near), -1e4)
        right = torch.arange(len(middles))
        losses.append(F.cross_entropy(fit, right) + F.cross_entropy(fit.T, right))
        start = stop
    return torch.stack(losses).mean() / 2


def held_out_scores(net: SyncNet, clips: Clips, held_out: np.ndarray) -> dict[str, float]:
    """How well the trained network reads true clips it has not seen."""
    hits, scores = [], []
    for clip in held_out:
        crops, samples = _crops(clips, clip, 1.0), np.asarray(clips.samples(clip))
        scores.append(sync_score(net, crops, samples))
        middles = np.arange(WINDOW // 2 + 3, len(crops) - WINDOW // 2, 6)
        with torch.inference_mode():
            fit = (
                net.embed_mouth(mouth_windows(crops, middles))
                @ net.embed_sound(sound_windows(log_mel(samples), middles)).T
            )
        hits.append((fit.argmax(dim=1) == torch.arange(len(middles))).float().mean().item())
    return {
        "right_of_24": float(np.mean(hits)),
        "distance": float(np.mean([score.distance for score in scores])),
        "confidence": float(np.mean([score.confidence for score in scores])),
        "offset_right": float(np.mean([abs(score.offset) <= 1 for score in scores])),
    }
