"""What can be read from latents, linearly: mouth shapes and eyelids; and a loss on it.

Squared errors of latents count every direction alike, and most of what a mouth's latents do follows from no sound:
where the head is, how the light falls. The few directions in which a mouth opens or a lid falls are what eyes look at.
They are found by ridge regression on true latents, and errors along them count once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .phases import Phase
from .references import Given

if TYPE_CHECKING:
    from .batches import Batch, BatchMaker

WHOLE_CHUNK = Phase("readings", 1.0, 21, None, 1, 1.0, 1.0, 0.0, 1.0)
MOST_CLIPS = 120
RIDGE = 0.01


def moments(latents: Tensor, mask: Tensor) -> Tensor:
    """Moments of latents [B,16,T,h,w] up to the second order around the middle of `mask` [B,1,T,h,w]: [B,T,96].

    They do not depend on where in the picture the mask is, so cut-outs are read like whole pictures.
    """
    rows, columns = (torch.arange(n, dtype=torch.float32, device=mask.device) for n in mask.shape[3:])
    total = mask.sum(dim=(3, 4), keepdim=True).clamp(min=1e-3)
    share = mask / total
    r = (rows[:, None] - (share * rows[:, None]).sum(dim=(3, 4), keepdim=True)).expand_as(mask)
    c = (columns - (share * columns).sum(dim=(3, 4), keepdim=True)).expand_as(mask)
    weights = torch.cat([share * power for power in (torch.ones_like(r), r, c, r * r, c * c, r * c)], dim=1)
    return torch.einsum("bcthw,bkthw->btck", latents.float(), weights).flatten(2)


@dataclass(frozen=True)
class Probes:
    """Linear readers of a group's four frames. mouth: [97, 4 (K-1)]; eyes: [97, 4]; and the spreads of the truths."""

    mouth: Tensor
    eyes: Tensor
    mouth_spread: Tensor
    eyes_spread: Tensor

    @classmethod
    def fit(cls, maker: BatchMaker, train: np.ndarray) -> Probes:
        """From training clips, the reference being each clip's first frame."""
        mouths, eyes, truths = [], [], []
        for clip in train[:: max(1, len(train) // MOST_CLIPS)]:
            batch = maker.collate([maker.example(int(clip), Given(0, 0, 1, opens=True), WHOLE_CHUNK)], second=False)
            mouths.append(moments(batch.clean, batch.mouth)[0, 1:])
            eyes.append(moments(batch.clean, batch.eyes)[0, 1:])
            truths.append(batch.truth[0])
        truth = torch.cat(truths)
        return cls(*(_ridge(torch.cat(x), t) for x, t in ((mouths, _mouth(truth)), (eyes, _eyes(truth)))),
                   *(t.std(dim=0).clamp(min=1e-3) for t in (_mouth(truth), _eyes(truth))))  # fmt: skip

    def error(self, result: Tensor, batch: Batch) -> Tensor:
        """Squared error of what is read from `result` [B,16,T,h,w], as a share of the truths' variance; a number."""
        given = (batch.known()[:, 0, 1:, 0, 0] > 0) | (batch.dubbed[:, None] > 0)  # the truth is of the clip's speech
        total = result.new_zeros(())
        for part, weights, spread, truth in (
            (batch.mouth, self.mouth, self.mouth_spread, _mouth(batch.truth)),
            (batch.eyes, self.eyes, self.eyes_spread, _eyes(batch.truth)),
        ):
            seen = moments(result, part)[:, 1:]
            read = torch.cat([seen, torch.ones_like(seen[..., :1])], dim=-1) @ weights.to(result.device)
            counts = ~given & (part.sum(dim=(1, 3, 4))[:, 1:] > 1)
            error = ((read - truth) / spread.to(result.device)).square().mean(dim=-1)
            total = total + (error * counts).sum() / counts.sum().clamp(min=1)
        return total / 2

    def quality(self, maker: BatchMaker, held_out: np.ndarray) -> tuple[float, float]:
        """Correlation of probes of true latents with the jaw and the lids, of clips not fit on; the most there is."""
        pairs: list[list[float]] = [[], []]
        for clip in held_out:
            batch = maker.collate([maker.example(int(clip), Given(0, 0, 1, opens=True), WHOLE_CHUNK)], second=False)
            for index, (part, weights, truth) in enumerate(
                ((batch.mouth, self.mouth, _mouth(batch.truth)), (batch.eyes, self.eyes, _eyes(batch.truth)))
            ):
                seen = moments(batch.clean, part)[0, 1:]
                read = torch.cat([seen, torch.ones_like(seen[..., :1])], dim=-1) @ weights
                every = truth.shape[-1] // 4  # the first of each frame's truths
                first = read[:, ::every].flatten(), truth[0, :, ::every].flatten()
                pairs[index].append(float(np.corrcoef(*first)[0, 1]))
        return tuple(float(np.nanmean(values)) for values in pairs)


def _ridge(x: Tensor, y: Tensor) -> Tensor:
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    scale = x.square().mean(dim=0) * len(x) * RIDGE
    return torch.linalg.solve(x.T @ x + torch.diag(scale + 1e-6), x.T @ y)


def _mouth(truth: Tensor) -> Tensor:
    """The mouth's part of truths [...,4,K], per group [...,4 (K-1)]; the jaw first."""
    return truth[..., :-1].flatten(-2)


def _eyes(truth: Tensor) -> Tensor:
    return truth[..., -1:].flatten(-2)
