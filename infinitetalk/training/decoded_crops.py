"""What generated latents look like: mouths decoded in training, and how far they are from the true pictures.

An error of latents counts what eyes do not see, and misses what they do: moving latents along the direction in which a
mouth opens raises every probe of them while the decoded lips stay where they were.  Here one group of four frames of
each example goes through nano's own decoder, which does not learn, and the picture's error goes back through it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config.constants import VAE_TEMPORAL_STRIDE
from ..models.nano_vae import PATCH, PICTURE_SCALE, NanoVAE

if TYPE_CHECKING:
    from .batches import Batch
    from .clips import ClipSet
    from .latents import Variation
    from .lip_reader import LipReader
    from .references import Given

CELLS = 6  # latent positions along each side of what is decoded: a mouth, and the chin that falls with it
CELL_PIXELS = PATCH * PICTURE_SCALE
MOUTH_WEIGHT = 6.0  # of a mouth's pixels, against 1 around it
DETAIL_SCALES = 3
STILL_ERROR = 0.03  # of pictures in [-1,1], added to what the reference alone would be wrong by


@dataclass(frozen=True)
class DecodedCrop:
    """One group of frames of each of B examples, as pictures of s pixels around the mouth, colours in [-1,1].

    group: [B] latent frame that stands for it. top, left: [B] first latent position in the example's own cut-out.
    frames: [B,4,3,s,s]. reference: [B,3,s,s]. mouth: [B,4,1,s,s], 1 where it is. closed: [B,4], 1 where p, b or m
        shuts the lips. counts: [B], 0 where there is nothing to compare with.
    """

    group: Tensor
    top: Tensor
    left: Tensor
    frames: Tensor
    reference: Tensor
    mouth: Tensor
    closed: Tensor
    counts: Tensor

    def to(self, device: torch.device | str) -> DecodedCrop:
        """The same on another device."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items()})


def crop(
    clips: ClipSet,
    clip: int,
    given: Given,
    variation: Variation,
    corner: tuple[int, int],
    size: tuple[int, int],
    closed: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """One example's part of a `DecodedCrop`: a group after what is given, those in which lips shut twice as often.

    variation: of pictures as large as the clip's. corner, size: of the example's cut-out, in latent positions.
    closed: [T], share of each latent frame's time in which p, b or m shuts the lips.
    """
    chances = np.where(np.arange(len(closed)) < max(1, given.num_context), 0, 1 + closed)
    group = int(rng.choice(len(closed), p=chances / chances.sum()))
    start = given.start + 1 + VAE_TEMPORAL_STRIDE * (group - 1)
    boxes = variation.boxes(clips.mouth_boxes[clip, start : start + VAE_TEMPORAL_STRIDE], clips.size)
    middle = (boxes[:, :2].min(axis=0) + boxes[:, 2:].max(axis=0)) / 2 / CELL_PIXELS
    top, left = (
        int(np.clip(round(m - CELLS / 2), first, first + length - CELLS))
        for m, first, length in zip(middle, corner, size, strict=True)
    )
    pixels = tuple(slice(CELL_PIXELS * first, CELL_PIXELS * (first + CELLS)) for first in (top, left))

    def pictures(first: int, count: int) -> np.ndarray:
        stored = torch.from_numpy(np.array(clips.frames(clip, first, first + count))).movedim(-1, 1)
        return variation.pictures(stored.float().div_(127.5).sub_(1), pixels).numpy()

    rows, columns = (np.arange(part.start, part.stop) + 0.5 for part in pixels)
    edges = boxes[:, :, None]
    mouth = ((rows > edges[:, 0]) & (rows < edges[:, 2]))[:, :, None] & (
        (columns > edges[:, 1]) & (columns < edges[:, 3])
    )[:, None]
    return {
        "group": np.array(group),
        "top": np.array(top - corner[0]),
        "left": np.array(left - corner[1]),
        "frames": pictures(start, VAE_TEMPORAL_STRIDE),
        "reference": pictures(given.reference, 1)[0],
        "mouth": mouth[:, None].astype(np.float32),
        "closed": np.asarray(clips.closures[clip, start : start + VAE_TEMPORAL_STRIDE], np.float32),
    }


class CropLoss(nn.Module):
    """Nano's decoder and a lip reader, both fixed, and the errors of the decoded crop.

    Not part of what learns: kept out of checkpoints and averages by whoever holds it.
    """

    def __init__(self, vae: NanoVAE, scale: float, reader: LipReader | None = None) -> None:
        super().__init__()
        self.reader = reader
        self.decoder = vae.decoder.requires_grad_(False).to(memory_format=torch.channels_last)
        self.scale = scale
        self.register_buffer("mean", torch.tensor(vae.config.latents_mean)[:, None, None])
        self.std = vae.config.latents_std[0]

    def decode(self, clean: Tensor, batch: Batch) -> Tensor:
        """Frames [B,4,3,s,s] of the batch's crops, from relative latents `clean` [B,16,T,h,w]."""
        seen = batch.crop
        last = clean.shape[2] - 1
        rows = torch.arange(CELLS, device=clean.device)

        def cut(latents: Tensor, frame: Tensor) -> Tensor:
            index = torch.arange(len(latents), device=latents.device)[:, None, None]
            at = (index, slice(None), frame[:, None, None])
            return latents[*at, (seen.top[:, None] + rows)[:, :, None], (seen.left[:, None] + rows)[:, None]].movedim(
                -1, 1
            )

        moved = [
            cut(clean, group) * self.scale * self.std
            for group in (seen.group, seen.group - 1, (seen.group + 1).clamp(max=last))
        ]
        latent = cut(batch.reference, torch.zeros_like(seen.group)) * self.std + self.mean
        moved = self.decoder(*moved, self.decoder.reference_features(seen.reference, latent))
        return moved.frames.unflatten(0, (-1, VAE_TEMPORAL_STRIDE))

    def errors(self, clean: Tensor, batch: Batch, closed_weight: float = 1.0) -> dict[str, Tensor]:
        """Of the decoded crops, numbers that are about 1 where nothing moves.

        seen: error over that of showing the reference alone. lips: squared error of what the reader reads, in
        variances, shut lips weighted.
        """
        return self.compare(self.decode(clean, batch), batch, closed_weight)

    def compare(self, frames: Tensor, batch: Batch, closed_weight: float = 1.0) -> dict[str, Tensor]:
        """As `errors`, of frames [B,4,3,s,s] that are decoded."""
        seen = batch.crop
        still = picture_error(seen.reference[:, None].expand_as(seen.frames), seen)
        ratio = picture_error(frames, seen) / (STILL_ERROR + still)
        errors = {"seen": (ratio * seen.counts).sum() / seen.counts.sum().clamp(min=1)}
        if self.reader is not None:
            errors["lips"] = self.reader.error(frames, batch, closed_weight)
        return errors


def picture_error(frames: Tensor, seen: DecodedCrop) -> Tensor:
    """Absolute errors [B] of frames [B,4,3,s,s], and of their detail at three scales, mouths weighted."""
    error = (frames.float() - seen.frames).flatten(0, 1)
    weight = (1 + (MOUTH_WEIGHT - 1) * seen.mouth).flatten(0, 1)
    weight = weight / weight.mean(dim=(2, 3), keepdim=True)
    total = (error.abs() * weight).mean(dim=(1, 2, 3))
    for _ in range(DETAIL_SCALES):
        coarser = F.avg_pool2d(error, 2)
        detail = error - F.interpolate(coarser, scale_factor=2)
        total = total + (detail.abs() * weight).mean(dim=(1, 2, 3))
        error, weight = coarser, F.avg_pool2d(weight, 2)
    return total.unflatten(0, (-1, VAE_TEMPORAL_STRIDE)).mean(dim=1)
