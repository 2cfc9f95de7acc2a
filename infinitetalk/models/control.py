"""What steers the transformer from outside, and the pose network of UniAnimate-DiT that makes one part of it.

A branch's `Condition` carries a `Control`: tokens added to those of the patches, and residuals added after the blocks.
UniAnimate gives tokens (`PoseEmbedding`), Uni3C (`models/uni3c.py`) and VACE (`models/vace.py`) residuals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

_REPEATS = 3  # of the first pose frame, so that 81 frames become 21 groups of four

Between = tuple[float, float]  # lowest and highest time in 0..1000


@dataclass(frozen=True)
class Evaluation:
    """The inputs of control networks in one evaluation of one branch.

    latents: noisy, [B, 16, T, h, w]. embedding: of the time, [B, dim]; modulation: what blocks make of it, [B, 6, dim].
    tokens: before the blocks, [B, N, dim]. text: projected, [B, L, dim]. shape: (T, rows, columns) of the tokens.
    """

    latents: Tensor
    embedding: Tensor
    modulation: Tensor
    tokens: Tensor
    text: Tensor
    shape: tuple[int, int, int]


MakesResiduals = Callable[[Evaluation], Sequence["Tensor | None"]]


@dataclass(frozen=True)
class Added:
    """What one network adds.

    residuals: [B, N, dim] or None each, the i-th added after block i, read in order; or what makes them for an
        evaluation. by_branch: whether that depends on what branches differ in, their text and tokens.
    strength: factor. between: the times at which it acts; None for all.
    """

    residuals: Sequence[Tensor | None] | MakesResiduals
    strength: float = 1.0
    between: Between | None = None
    by_branch: bool = False

    def at(self, evaluation: Evaluation, made: dict[tuple, Sequence[Tensor | None]]) -> Added:
        """Of one evaluation, made. made: what was made in it, for branches that share it."""
        if not callable(self.residuals):
            return self
        own = (id(evaluation.text), id(evaluation.tokens)) if self.by_branch else ()
        key = (id(self.residuals), *own)
        if key not in made:
            made[key] = self.residuals(evaluation)
        return replace(self, residuals=made[key])


@dataclass(frozen=True)
class Control:
    """Of one branch. tokens: [B, N, dim], added to the embedded patches, at times within `tokens_between`."""

    tokens: Tensor | None = None
    added: tuple[Added, ...] = ()
    tokens_between: Between | None = None

    def at(self, timestep: Tensor, evaluation: Evaluation, made: dict[tuple, Sequence[Tensor | None]]) -> Control:
        """Of one evaluation: what acts then, residuals made."""
        time = float(timestep.flatten()[0])
        tokens = self.tokens if _within(time, self.tokens_between) else None
        added = tuple(each.at(evaluation, made) for each in self.added if each.strength and _within(time, each.between))
        return Control(tokens, added)

    def after(self, index: int, tokens: Tensor) -> Tensor:
        """[B, n, dim], the last n tokens of block `index`, residuals added."""
        for each in self.added:
            residual = each.residuals[index] if index < len(each.residuals) else None
            if residual is not None and each.strength:
                tokens = tokens + each.strength * residual[:, -tokens.shape[1] :].to(tokens.dtype)
        return tokens

    def and_also(self, other: Control | None) -> Control:
        """Both together; of tokens only one may have some."""
        if other is None:
            return self
        assert self.tokens is None or other.tokens is None, "one network gives tokens"
        first = self if other.tokens is None else other
        return Control(first.tokens, (*self.added, *other.added), first.tokens_between)


def _within(time: float, between: Between | None) -> bool:
    return between is None or between[0] <= time <= between[1]


class Residuals(Sequence[Tensor]):
    """Of one evaluation, to be read in order: all 20 of Uni3C at once would be 7 GB at 480p in bfloat16.

    The one read last stays, because several branches take it.
    """

    def __init__(self, made: Iterator[Tensor], places: Sequence[int]) -> None:
        """places: the blocks after which they are added, ascending."""
        self._made, self._places, self._length = made, list(places), places[-1] + 1
        self._at, self._last = -1, None

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Tensor | None:
        if not 0 <= index < len(self):
            raise IndexError(index)
        assert index >= self._at, "residuals are made in order, once"
        while self._at < index and self._places and self._places[0] <= index:
            self._at, self._last = self._places.pop(0), next(self._made)
        return self._last if self._at == index else None


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
