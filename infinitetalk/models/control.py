"""What steers the transformer from outside, and the pose network of UniAnimate-DiT that makes one part of it.

A branch's `Condition` carries a `Control`: tokens added to those of the patches, and residuals added after the blocks.
UniAnimate gives tokens (`PoseEmbedding`), Uni3C residuals (`models/uni3c.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

_REPEATS = 3  # of the first pose frame, so that 81 frames become 21 groups of four


# (noisy latents [B, 16, T, h, w], embedding of the time [B, dim]) -> residuals of one evaluation.
MakesResiduals = Callable[[Tensor, Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class Control:
    """Of one branch.

    tokens: [B, N, dim], added to the embedded patches. residuals: [B, N, dim] each, the i-th added after block i, asked
    for in order; or what makes them for an evaluation. strength: factor of the residuals.
    tokens_between, residuals_between: (low, high), the times in 0..1000 at which they act; None for all.
    """

    tokens: Tensor | None = None
    residuals: Sequence[Tensor] | MakesResiduals = field(default=())
    strength: float = 1.0
    tokens_between: tuple[float, float] | None = None
    residuals_between: tuple[float, float] | None = None

    def at(self, latents: Tensor, timestep: Tensor, embedding: Tensor, made: dict[int, Sequence[Tensor]]) -> Control:
        """Of one evaluation: what acts then, residuals made.

        made: of this evaluation, by the identity of what makes them; branches that share it share its residuals.
        """
        tokens = self.tokens if _within(timestep, self.tokens_between) else None
        residuals = self.residuals if _within(timestep, self.residuals_between) else ()
        if callable(residuals):
            if id(residuals) not in made:
                made[id(residuals)] = residuals(latents, embedding)
            residuals = made[id(residuals)]
        return replace(self, tokens=tokens, residuals=residuals, tokens_between=None, residuals_between=None)

    def after(self, index: int, tokens: Tensor) -> Tensor:
        """[B, n, dim], the last n tokens that block `index` gave, steered."""
        if self.strength == 0 or index >= len(self.residuals):
            return tokens
        return tokens + self.strength * self.residuals[index][:, -tokens.shape[1] :].to(tokens.dtype)


def _within(timestep: Tensor, between: tuple[float, float] | None) -> bool:
    return between is None or between[0] <= float(timestep.flatten()[0]) <= between[1]


class PoseEmbedding(nn.Module):
    """Skeleton pictures into tokens, and one of the reference into an addition to `y` (ali-vilab/UniAnimate-DiT).

    Parameters are named as in the published file. dim: the transformer's width; y_channels: of `y` (4 mask channels and
    16 latent ones, all of which the reference pose is added to, as published).
    """

    def __init__(self, dim: int = 5120, hidden: int = 64, y_channels: int = 20) -> None:
        super().__init__()
        video, picture = [], []
        for index, stride in enumerate((1, 1, 1, (1, 2, 2), 2, 2)):
            video += [nn.Conv3d(hidden if index else 3, hidden, 3, stride, padding=1), nn.SiLU()]
        for index, stride in enumerate((1, 1, 1, 2, 2, 2)):
            last = index == 5
            picture.append(nn.Conv2d(hidden if index else 3, y_channels if last else hidden, 3, stride, padding=1))
            picture += [] if last else [nn.SiLU()]
        self.dwpose_embedding = nn.Sequential(*video, nn.Conv3d(hidden, dim, (1, 2, 2), (1, 2, 2)))
        self.randomref_embedding_pose = nn.Sequential(*picture)

    def tokens(self, poses: Tensor) -> Tensor:
        """uint8 [B, 3, 4k+1, H, W], RGB → [B, (k+1) * H/16 * W/16, dim]."""
        weight = self.dwpose_embedding[0].weight
        poses = torch.cat([poses[:, :, :1].expand(-1, -1, _REPEATS, -1, -1), poses], dim=2)
        return self.dwpose_embedding(poses.to(weight) / 255).flatten(2).transpose(1, 2)

    def reference(self, pose: Tensor) -> Tensor:
        """uint8 [B, 3, H, W] → [B, 20, 1, H/8, W/8], to be added to every latent frame of `y`."""
        weight = self.randomref_embedding_pose[0].weight
        return self.randomref_embedding_pose(pose.to(weight) / 255)[:, :, None]
