"""Stage `vae`: nano's video autoencoder, encoder and decoder together, then the decoder alone.

The latents shall chiefly say what moves.  Three things see to that: the decoder has the reference picture and gets
only the difference from its latent; that difference is taken between pictures in other colours than those to be
decoded, for half of the pieces; and noise is added to it, so that only what is worth its size is coded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..config.constants import VAE_TEMPORAL_STRIDE
from ..models.nano_vae import PATCH, Moved, NanoVAE, shrink
from .clips import ClipSet
from .loop import fit
from .loop_settings import Draw, Every, LoopSettings, Precision
from .vae_pieces import MIDDLE, NUM_FRAMES, PieceMaker, Pieces, PieceSettings, open_photos


@dataclass(frozen=True)
class VaeTraining:
    """Settings of the stage.

    latent_noise: the largest standard deviation of the noise on differences, which start with that of principal
        components at one. difference_cost: of a squared difference.
    mask_cost: of a painted pixel; `free_painting` is the share of it that mouths and eyes are let off.
    flow_weight, trust_weight: of the distance to optical flow where it is trusted, and of the mask to where it is not.
    photos: folder of pictures that are moved and decoded too. final_rate: share of the rate that is left at the end.
    """

    seconds: float = 1200.0
    num_steps: int = 40000
    batch_size: int = 8
    pieces: PieceSettings = field(default_factory=PieceSettings)
    rate: float = 1e-3
    final_rate: float = 0.02
    weight_decay: float = 1e-3
    mouth_weight: float = 5.0
    eyes_weight: float = 3.0
    latent_noise: float = 0.05
    difference_cost: float = 0.002
    mask_cost: float = 0.01
    free_painting: float = 0.0
    flow_weight: float = 0.03
    trust_weight: float = 0.05
    photos: Path | None = None
    freeze_encoder: bool = False
    steps_per_report: int = 400
    precision: Precision = "no"
    seed: int = 2


# The decoder alone, after the transformer or along with it: latents stay what the transformer was trained on.
DECODER_TRAINING = VaeTraining(
    seconds=3600.0, freeze_encoder=True, mask_cost=0.04, free_painting=0.85, trust_weight=0.1
)


def train_vae(clips: ClipSet, out: Path, settings: VaeTraining, start_from: Path | None = None) -> dict[str, float]:
    """Train, export to `out/vae`, return held-out figures.

    start_from: an exported autoencoder to continue; with `freeze_encoder` only the decoder learns, so latents (and the
    transformer trained on them) stay valid.
    """
    maker = PieceMaker(clips, settings.pieces, open_photos(settings.photos))
    if start_from is None:
        torch.manual_seed(settings.seed)
        model = NanoVAE()
        start_from_components(model, maker.draw(48, np.random.default_rng(settings.seed)).frames)
    else:
        model = NanoVAE.from_pretrained(start_from)
    model.encoder.requires_grad_(not settings.freeze_encoder)

    def loss(draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        losses = piece_losses(model, maker.draw(settings.batch_size, draw.rng).to(draw.device), settings)
        return sum(losses.values()), {name: value.detach() for name, value in losses.items()}

    def report(step: int) -> dict[str, float]:
        maker.reopen()
        return held_out_figures(model, clips, clips.split("test")[:6])

    fit(
        model,
        loss,
        LoopSettings(
            num_steps=settings.num_steps, seconds=settings.seconds, rate=settings.rate, final_rate=settings.final_rate,
            weight_decay=settings.weight_decay, betas=(0.9, 0.98), clip_norm=0.5, average_decay=0.995,
            log=Every(steps=min(50, settings.steps_per_report)), report=Every(steps=settings.steps_per_report),
            precision=settings.precision, seed=settings.seed,
        ),
        out / "stages" / ("decoder" if settings.freeze_encoder else "vae"),
        report=report,
        rates=[("painter", 0.6)],  # it starts from somewhere
    )  # fmt: skip
    model.to("cpu")
    if not settings.freeze_encoder:
        set_statistics(model, maker.clips, maker.train[:: max(1, len(maker.train) // 48)])
    model.save_pretrained(out / "vae")
    return held_out_figures(model, clips, clips.split("test")[:24])


def piece_losses(model: NanoVAE, pieces: Pieces, settings: VaeTraining) -> dict[str, Tensor]:
    """The terms of the loss on one batch."""
    batch = len(pieces.frames)
    with torch.set_grad_enabled(not settings.freeze_encoder):
        shown = torch.cat([pieces.shown_frames.flatten(0, 1), pieces.shown_reference, pieces.reference])
        features, patches = model.encoder.frame_features(shrink(shown))
        in_groups = (-1, VAE_TEMPORAL_STRIDE)
        num_moving = NUM_FRAMES * batch
        groups = model.encoder.group_latents(
            features[:num_moving].unflatten(0, in_groups), patches[:num_moving].unflatten(0, in_groups)
        ).unflatten(0, (batch, 3))
        singles = model.encoder.group_latents(features[num_moving:, None], patches[num_moving:, None])
        shown_reference, reference = singles.chunk(2)
        differences = groups - shown_reference[:, None]
    strength = settings.latent_noise * torch.rand(batch, 1, 1, 1, 1, device=groups.device)
    noisy = differences + strength * torch.randn_like(differences)
    # At a film's ends a group stands for the neighbour it lacks.
    ends = torch.rand(2, batch, 1, 1, 1, device=groups.device) < 0.1
    before, after = (torch.where(end, noisy[:, 1], noisy[:, i]) for end, i in zip(ends, (0, 2), strict=True))
    moved = model.decoder(noisy[:, 1], before, after, model.decoder.reference_features(pieces.reference, reference))
    weight = 1 + settings.mouth_weight * pieces.mouth + settings.eyes_weight * pieces.eyes
    losses = picture_losses(moved, pieces.frames[:, MIDDLE].flatten(0, 1), weight.flatten(0, 1))
    trust = pieces.trust.flatten(0, 1)
    share = F.avg_pool2d(trust, 4)
    found = F.avg_pool2d(pieces.flow.flatten(0, 1) * trust, 4) / (share + 0.01)
    losses["flow"] = settings.flow_weight * ((moved.flow - found).abs() * share).mean()
    losses["known"] = settings.trust_weight * (moved.mask - (1 - trust)).abs().mean()
    # Skin that moves is taken from the reference even where a painting would be nearer by a blur.
    new = torch.maximum(pieces.mouth, pieces.eyes).flatten(0, 1)
    losses["mask"] = settings.mask_cost * (moved.mask * (1 - settings.free_painting * new)).mean()
    if not settings.freeze_encoder:
        # Keeps the scale of latents and of differences, so that the noise above keeps its meaning.
        losses["size"] = settings.difference_cost * differences.square().mean() + 2e-4 * singles.square().mean()
    return losses


def picture_losses(moved: Moved, truth: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Absolute errors of pictures [N,3,s,s] and of their detail at three scales, weighted [N,1,s,s]."""
    weight = weight / weight.mean()
    error = moved.frames - truth
    detail = error.new_zeros(())
    finer, finer_weight = error, weight
    for _ in range(3):
        coarser = F.avg_pool2d(finer, 2)
        detail = detail + ((finer - F.interpolate(coarser, scale_factor=2)).abs() * finer_weight).mean()
        finer, finer_weight = coarser, F.avg_pool2d(finer_weight, 2)
    # The painting learns everywhere around mouth and eyes; a mask would never open before a bad one.
    familiar = weight.amin()
    paint_weight = 0.05 + 0.3 * (weight > 1.01 * familiar)
    flow = moved.flow
    rough = flow.diff(dim=2).abs().mean() + flow.diff(dim=3).abs().mean()
    return {
        "color": (error.abs() * weight).mean(),
        "detail": detail,
        "moved": 0.15 * F.avg_pool2d(moved.moved - truth, 2).abs().mean(),
        "painting": ((moved.paint - truth).abs() * paint_weight).mean(),
        "smooth": 0.003 * rough,
    }


def start_from_components(model: NanoVAE, frames: Tensor) -> None:
    """Set the linear code and what is painted from it to principal components of `frames` [B,n,3,s,s]."""
    patches = F.pixel_unshuffle(shrink(frames[:, MIDDLE.start]), PATCH).movedim(1, -1).flatten(0, -2)  # [n, 192]
    center = patches.mean(dim=0)
    _, values, components = torch.linalg.svd(patches - center, full_matrices=False)
    components = components[: model.config.z_dim]
    spread = (values[: model.config.z_dim] / len(patches) ** 0.5).square().mean().sqrt()
    with torch.no_grad():
        encode, paint = model.encoder.patch_to_latent, model.decoder.painter.latent_to_patch
        encode.weight.copy_((components / spread)[:, :, None, None])
        encode.bias.copy_(-(components / spread) @ center)
        paint.weight.copy_((components.T * spread)[:, :, None, None])
        paint.bias.copy_(center)


@torch.no_grad()
def held_out_figures(model: NanoVAE, clips: ClipSet, held_out: np.ndarray, num_frames: int = 33) -> dict[str, float]:
    """Signal to noise in dB of whole pictures, mouths and eyes, decoded from a clip's first frame; and of that frame.

    spread: root mean square of the differences from the first frame's latent. still_drift: how far a still video's
    latents differ in time.
    """
    errors: dict[str, list[float]] = {"": [], "mouth_": [], "eyes_": [], "frozen_mouth_": []}
    spreads = []
    for clip in held_out:
        video = load_pictures(clips, clip, 0, num_frames).to(model.device)
        latents = model.encode(shrink(video)).latent_dist.mode()
        result = model.decode(latents, video[:, :, 0]).sample.clamp(-1, 1)
        spreads.append((latents - latents[:, :, :1]).square().mean().item())
        error = ((result - video) / 2).square().mean(dim=1)[0]
        frozen = ((video[:, :, :1] - video) / 2).square().mean(dim=1)[0]
        errors[""].append(error.mean().item())
        for name, boxes in (("mouth_", clips.mouth_boxes[clip]), ("eyes_", clips.eye_boxes[clip])):
            for frame, box in enumerate(np.round(np.nan_to_num(boxes[:num_frames])).clip(0).astype(int)):
                errors[name].append(error[frame, box[0] : box[2], box[1] : box[3]].mean().item())
                if name == "mouth_":
                    errors["frozen_mouth_"].append(frozen[frame, box[0] : box[2], box[1] : box[3]].mean().item())
    still = shrink(video[:, :, :1]).expand(-1, -1, 9, -1, -1)
    latents = model.encode(still).latent_dist.mode()
    figures = {f"{name}psnr": -10 * float(np.log10(np.nanmean(values))) for name, values in errors.items()}
    return figures | {
        "spread": float(np.mean(spreads)) ** 0.5,
        "still_drift": (latents[:, :, 1:] - latents[:, :, :1]).abs().max().item(),
    }


@torch.no_grad()
def set_statistics(model: NanoVAE, clips: ClipSet, chosen: np.ndarray) -> None:
    """Write into the configuration the latents' mean per channel, their one common spread, and a map to colours."""
    latents, colors = [], []
    for clip in chosen:
        video = shrink(load_pictures(clips, clip, 0, 17))
        latents.append(model.encode(video).latent_dist.mode()[0].flatten(1).T)
        groups = torch.cat(
            [video[:, :, :1], video[:, :, 1:].unflatten(2, (-1, VAE_TEMPORAL_STRIDE)).mean(dim=3)], dim=2
        )
        colors.append(F.avg_pool2d(groups[0].transpose(0, 1), PATCH).transpose(0, 1).flatten(1).T)
    raw, wanted = torch.cat(latents), torch.cat(colors)
    mean = raw.mean(dim=0)
    std = (raw - mean).square().mean().sqrt()
    known = torch.cat([(raw - mean) / std, torch.ones(len(raw), 1)], dim=1)
    latent_rgb = torch.linalg.lstsq(known, wanted).solution
    model.register_to_config(
        latents_mean=mean.tolist(), latents_std=[std.item()] * len(mean), latent_rgb=latent_rgb.tolist()
    )


def load_pictures(clips: ClipSet, clip: int, start: int, stop: int) -> Tensor:
    """Frames [start, stop) of a clip as they are, [1,3,F,S,S] in [-1,1]."""
    return torch.from_numpy(np.array(clips.frames(clip, start, stop))).movedim(-1, 0)[None].float().div_(127.5).sub_(1)


def load_video(clips: ClipSet, clip: int, start: int, stop: int) -> Tensor:
    """Frames [start, stop) of a clip as they are encoded, [1,3,F,S/2,S/2] in [-1,1]."""
    return shrink(load_pictures(clips, clip, start, stop))
