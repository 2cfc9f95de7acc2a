"""Stage `vae`: nano's video autoencoder, from principal components to a network that keeps mouths.

Training pieces are 48x48 cut-outs of nine frames, most of them around the mouth, so that far more pictures are seen
in the same time; the network is convolutional and its loss is local.  Colours, orientation and invented textures are
varied strongly, because the pictures it will meet in use are photographs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.nano_vae import PATCH, NanoVAE
from .clips import ClipSet
from .common import CsvLog, MovingAverage, cosine_rate, load_checkpoint, parameter_groups, save_checkpoint


@dataclass(frozen=True)
class VaeTraining:
    """Settings of the stage. `latent_noise` is relative to the latents' own spread.

    detail_weight: of places that differ from their surroundings (eyes, teeth, edges), which few pixels are.
    """

    seconds: float = 600.0
    num_steps: int = 6000
    batch_size: int = 8
    crop_size: int = 48
    num_frames: int = 9
    rate: float = 1.5e-3
    weight_decay: float = 1e-3
    mouth_weight: float = 6.0
    mouth_share: float = 0.6
    latent_noise: float = 0.06
    detail_weight: float = 0.0
    freeze_encoder: bool = False
    seed: int = 2


# The decoder alone, after the transformer: latents stay what the transformer was trained on.
DECODER_TRAINING = VaeTraining(
    seconds=700.0, batch_size=5, crop_size=64, rate=1.2e-3, mouth_weight=3.0, mouth_share=0.4, detail_weight=8.0,
    freeze_encoder=True,
)


def train_vae(clips: ClipSet, out: Path, settings: VaeTraining, start_from: Path | None = None) -> dict[str, float]:
    """Train, export to `out/vae`, return held-out figures.

    start_from: an exported autoencoder to continue; with `freeze_encoder` only the decoder learns, so latents (and the
    transformer trained on them) stay valid.
    """
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    train, held_out = clips.split("train"), clips.split("test")
    if start_from is None:
        model = NanoVAE()
        start_from_components(model, _pieces(clips, train, 96, settings, rng)[0])
    else:
        model = NanoVAE.from_pretrained(start_from)
    model.encoder.requires_grad_(not settings.freeze_encoder)
    average = MovingAverage(model, 0.995)
    optimizer = torch.optim.AdamW(parameter_groups(model, settings.weight_decay), betas=(0.9, 0.97))
    folder = out / "stages" / ("decoder" if settings.freeze_encoder else "vae")
    first_step = load_checkpoint(folder, model, average, optimizer)
    log = CsvLog(folder / "log.csv")
    spread = _spread(model)
    started = time.monotonic()
    for step in range(first_step, settings.num_steps):
        progress = max(step / settings.num_steps, (time.monotonic() - started) / settings.seconds)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * cosine_rate(int(progress * 1000), 1000, warm_up=0) * min(1, (step + 1) / 40)
        video, mouth = _pieces(clips, train, settings.batch_size, settings, rng)
        with torch.set_grad_enabled(not settings.freeze_encoder):
            latents = model.encode(video).latent_dist.mode()
        noisy = latents + settings.latent_noise * spread * torch.randn_like(latents)
        weight = 1 + settings.mouth_weight * mouth + settings.detail_weight * local_detail(video)
        loss = reconstruction_loss(model.decode(noisy).sample, video, weight)
        # Keeps the latents' scale near where it started, so that the noise above keeps its meaning.
        loss = loss + 1e-4 * (latents / spread).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        average.update(model)
        if step % 100 == 99:
            average.swap(model)
            log.write(step=step + 1, loss=loss.item(), **held_out_figures(model, clips, held_out[:8]))
            average.swap(model)
            save_checkpoint(folder, model, average, optimizer, step + 1)
            clips = clips.reopened()
            train = clips.split("train")
    average.swap(model)
    report = held_out_figures(model, clips, held_out[:24])
    if not settings.freeze_encoder:
        mean, std = latent_moments(model, clips, train[:: max(1, len(train) // 48)])
        model.register_to_config(latents_mean=mean.tolist(), latents_std=[std] * len(mean))
    model.save_pretrained(out / "vae")
    log.write(step=settings.num_steps, loss=0.0, **report)
    return report


def start_from_components(model: NanoVAE, video: Tensor) -> None:
    """Set the linear paths of encoder and decoder to the principal components of 8x8 patches of `video` [B,3,F,H,W]."""
    frames = video[:, :, ::4].transpose(1, 2).flatten(0, 1)
    patches = F.pixel_unshuffle(frames, PATCH).movedim(1, -1).flatten(0, -2)  # [n, 192]
    center = patches.mean(dim=0)
    _, values, components = torch.linalg.svd(patches - center, full_matrices=False)
    components = components[: model.config.z_dim]
    spread = (values[: model.config.z_dim] / len(patches) ** 0.5).square().mean().sqrt()
    with torch.no_grad():
        encode, decode = model.encoder.patch_to_latent, model.decoder.latent_to_patch
        encode.weight.copy_((components / spread)[:, :, None, None])
        encode.bias.copy_(-(components / spread) @ center)
        decode.weight.copy_((components.T * spread)[:, :, None, None])
        decode.bias.copy_(center)


def reconstruction_loss(result: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Absolute error of pixels, of their differences to neighbours, and to the frame before, weighted [B,1,F,H,W]."""
    error = result - truth
    weight = weight / weight.mean()
    down = (error.diff(dim=3).abs() * weight[..., 1:, :]).mean()
    right = (error.diff(dim=4).abs() * weight[..., 1:]).mean()
    later = (error.diff(dim=2).abs() * weight[:, :, 1:]).mean()
    return (error.abs() * weight).mean() + 2 * (error.square() * weight).mean() + 0.5 * (down + right + later)


def local_detail(video: Tensor) -> Tensor:
    """How much pixels [B,3,F,H,W] differ from the mean of their 5x5 surroundings: [B,1,F,H,W], spread a little."""
    frames = video.mean(dim=1).flatten(0, 1)[:, None]
    smooth = F.avg_pool2d(frames, 5, stride=1, padding=2, count_include_pad=False)
    detail = F.avg_pool2d((frames - smooth).abs(), 3, stride=1, padding=1)
    return detail[:, 0].unflatten(0, (video.shape[0], -1))[:, None]


def _spread(model: NanoVAE) -> float:
    """Standard deviation that raw latents are kept near; principal components start at one."""
    return float(model.config.latents_std[0])


def _pieces(
    clips: ClipSet, train: np.ndarray, batch: int, settings: VaeTraining, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Cut-outs [B,3,F,s,s] in [-1,1] and their mouth masks [B,1,F,s,s]."""
    size, num_frames = settings.crop_size, settings.num_frames
    videos = np.empty((batch, num_frames, size, size, 3), np.uint8)
    mouths = np.zeros((batch, num_frames, size, size), np.float32)
    for row in range(batch):
        clip = int(rng.choice(train))
        start = int(rng.integers(0, clips.num_frames - num_frames + 1))
        top, left = (int(v) for v in rng.integers(0, clips.size - size + 1, 2))
        boxes = clips.mouth_boxes[clip, start : start + num_frames]
        if rng.random() < settings.mouth_share:
            middle = boxes[0].reshape(2, 2).mean(axis=0) + rng.uniform(-14, 14, 2)
            top, left = (int(np.clip(v - size / 2, 0, clips.size - size)) for v in middle)
        videos[row] = clips.frames(clip, start, start + num_frames)[:, top : top + size, left : left + size]
        for frame, box in enumerate(boxes - np.array([top, left, top, left])):
            r0, c0, r1, c1 = np.clip(np.round(box), 0, size).astype(int)
            mouths[row, frame, r0:r1, c0:c1] = 1
    video = torch.from_numpy(videos).movedim(-1, 1).float().div_(127.5).sub_(1)
    return _varied(video, torch.from_numpy(mouths)[:, None], rng)


def _varied(video: Tensor, mouth: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random colours, orientation, stillness and, for some, an invented texture drifting in place of the picture."""
    batch, _, num_frames, size, _ = video.shape
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    for row in np.flatnonzero(rng.random(batch) < 0.12):
        video[row] = _drifting_texture(num_frames, size, rng)
        mouth[row] = 0
    for row in np.flatnonzero(rng.random(batch) < 0.08):
        video[row] = video[row, :, :1]
    mixing = torch.eye(3) + 0.12 * normal(batch, 3, 3) * (torch.rand(batch, 1, 1, generator=generator) < 0.6)
    gain = torch.exp(0.2 * normal(batch, 1, 1, 1, 1))
    video = torch.einsum("bij,bjfhw->bifhw", mixing, video) * gain + 0.12 * normal(batch, 1, 1, 1, 1)
    if rng.random() < 0.5:
        video, mouth = video.flip(-1), mouth.flip(-1)
    if rng.random() < 0.15:
        video, mouth = video.transpose(-1, -2), mouth.transpose(-1, -2)
    return video.clamp(-1, 1).contiguous(), mouth.contiguous()


def _drifting_texture(num_frames: int, size: int, rng: np.random.Generator) -> Tensor:
    """Coloured noise with a natural 1/f spectrum and a few hard-edged shapes, [3,F,s,s], moving a little."""
    wide = size + 16
    frequency = np.hypot(np.fft.fftfreq(wide)[:, None], np.fft.rfftfreq(wide)[None]) + 1 / wide
    noise = rng.normal(size=(3, *frequency.shape)) + 1j * rng.normal(size=(3, *frequency.shape))
    picture = np.fft.irfft2(noise / frequency ** rng.uniform(0.8, 1.6), s=(wide, wide))
    picture = 0.45 * picture / picture.std() + rng.normal(0, 0.2, (3, 1, 1))
    for _ in range(rng.integers(0, 5)):
        r0, c0 = rng.integers(0, wide - 8, 2)
        r1, c1 = r0 + rng.integers(4, 40), c0 + rng.integers(4, 40)
        picture[:, r0:r1, c0:c1] = 0.5 * picture[:, r0:r1, c0:c1] + rng.normal(0, 0.4, (3, 1, 1))
    track = np.cumsum(rng.normal(0, rng.uniform(0, 0.8), (num_frames, 2)), axis=0)
    corners = np.clip(np.round(8 + track), 0, 16).astype(int)
    frames = [picture[:, r : r + size, c : c + size] for r, c in corners]
    return torch.from_numpy(np.stack(frames, axis=1).astype(np.float32)).clamp(-1, 1)


@torch.no_grad()
def held_out_figures(model: NanoVAE, clips: ClipSet, held_out: np.ndarray, num_frames: int = 33) -> dict[str, float]:
    """Signal to noise in dB of whole pictures and of the mouth, and how far a still video's latents differ in time."""
    errors, mouth_errors = [], []
    for clip in held_out:
        video = load_video(clips, clip, 0, num_frames)
        result = model.decode(model.encode(video).latent_dist.mode()).sample.clamp(-1, 1)
        error = ((result - video) / 2).square().mean(dim=1)[0]
        errors.append(error.mean().item())
        for frame, box in enumerate(np.round(clips.mouth_boxes[clip, :num_frames]).astype(int)):
            mouth_errors.append(error[frame, max(0, box[0]) : box[2], max(0, box[1]) : box[3]].mean().item())
    still = model.encode(video[:, :, :1].expand(-1, -1, 9, -1, -1)).latent_dist.mode()
    drift = (still[:, :, 1:] - still[:, :, :1]).abs().max().item()
    return {
        "psnr": -10 * float(np.log10(np.mean(errors))),
        "mouth_psnr": -10 * float(np.log10(np.nanmean(mouth_errors))),
        "still_drift": drift,
    }


@torch.no_grad()
def latent_moments(model: NanoVAE, clips: ClipSet, chosen: np.ndarray) -> tuple[Tensor, float]:
    """Per-channel mean [16] and one common standard deviation of raw latents."""
    latents = torch.cat([model.encode(load_video(clips, clip, 0, 17)).latent_dist.mode() for clip in chosen])
    mean = latents.mean(dim=(0, 2, 3, 4))
    return mean, (latents - mean[:, None, None, None]).square().mean().sqrt().item()


def load_video(clips: ClipSet, clip: int, start: int, stop: int) -> Tensor:
    """Frames [start, stop) of a clip as [1,3,F,H,W] in [-1,1]."""
    return torch.from_numpy(np.array(clips.frames(clip, start, stop))).movedim(-1, 0)[None].float().div_(127.5).sub_(1)
