"""Where a transformer works: the autoencoder's latents as published, or their distance from the reference's.

A `ModelSpec` owns one of the two strategies, `AbsoluteLatents` or `RelativeLatents`; no other code depends on which it
is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_MOTION_EDGE = 1.5  # times the motion region's size


@dataclass(frozen=True)
class LatentSpace:
    """One chunk's map between the autoencoder's latents and the transformer's.

    reference: [1, 16, 1, h, w], or [1, 16, T, h, w] of a reference that moves along with the chunk's targets.
    scale: None leaves latents as they are. motion: [h, w] from 0 to 1, how much of the distance `denormalise` keeps.
    """

    reference: Tensor
    scale: float | None = None
    motion: Tensor | None = None

    def normalise(self, latents: Tensor) -> Tensor:
        """[1, 16, T', h, w] of the autoencoder, T' up to the chunk's T, as the transformer takes them."""
        if self.scale is None:
            return latents
        return (latents - self.reference[:, :, : latents.shape[2]]) / self.scale

    def denormalise(self, latents: Tensor) -> Tensor:
        """[1, 16, T, h, w] of the transformer as the autoencoder takes them."""
        if self.scale is None:
            return latents
        distance = latents * self.scale
        return self.reference + (distance if self.motion is None else distance * self.motion)


@dataclass(frozen=True)
class AbsoluteLatents:
    """As published: the transformer works on the autoencoder's latents."""

    moves_reference = False  # whether a chunk's motion targets move the reference along
    steers_framed_faces = False  # whether control networks take pictures framed on the face

    def space(self, reference: Tensor, *, framed_on_face: bool = False) -> LatentSpace:
        """reference: [1, 16, T, h, w], T 1 or the chunk's."""
        return LatentSpace(reference)


@dataclass(frozen=True)
class RelativeLatents:
    """The transformer works on (latent - reference latent) / scale, so that a small network has only motion to learn.

    motion_region: (row, column, half height, half width) of an ellipse, as shares of a picture framed on the face;
        what the network would move outside fades into the reference (docs/differences.md).
    """

    scale: float
    motion_region: tuple[float, float, float, float] | None = None
    moves_reference = True

    @property
    def steers_framed_faces(self) -> bool:
        return self.motion_region is not None

    def space(self, reference: Tensor, *, framed_on_face: bool = False) -> LatentSpace:
        """reference: [1, 16, T, h, w], T 1 or the chunk's. framed_on_face: the face is where the region expects it."""
        motion = None
        if framed_on_face and self.motion_region is not None:
            motion = motion_weights(self.motion_region, *reference.shape[-2:]).to(reference.device)
        return LatentSpace(reference, self.scale, motion)


@dataclass(frozen=True)
class ReencodedContext:
    """As published: a chunk's last frames are encoded again for the chunk that follows."""

    reuses_latents = False
    fade_in_frames = 0


@dataclass(frozen=True)
class ReusedContext:
    """A chunk's last generated latents go on into the chunk that follows; only their first frame is encoded again.

    fade_in_frames: of a chunk's new frames, so many come out of the last frame before them little by little; what a
        small network draws may jump where one chunk ends and the next begins (docs/differences.md).
    """

    fade_in_frames: int = 0
    reuses_latents = True


def motion_weights(region: tuple[float, float, float, float], height: int, width: int) -> Tensor:
    """[height, width]: 1 inside the ellipse `region`, falling to 0 at 1.5 times its size."""
    import torch

    row, column, half_height, half_width = region
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    distance = torch.hypot((rows[:, None] - row) / half_height, (columns[None] - column) / half_width)
    return ((_MOTION_EDGE - distance) / (_MOTION_EDGE - 1)).clamp(0, 1)
