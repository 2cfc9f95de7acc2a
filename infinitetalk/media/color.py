"""Colour matching: each frame takes over the mean and spread of a reference picture in Lab (official
`match_and_blend_colors`).

All frames at once in float32; Lab as in scikit-image (D65, 2 degree observer).

One difference: a channel that does not vary (a frame of one colour) takes the reference's mean. The official code
divides by a spread that is rounding noise there, and shifts the frame by a random amount.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Linear RGB → XYZ, and the white point that XYZ is divided by.
_RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE = (0.95047, 1.0, 1.08883)
# (fx, fy, fz) → (L, a, b)
_F_TO_LAB = ((0.0, 116.0, 0.0), (500.0, -500.0, 0.0), (0.0, 200.0, -200.0))
_LIGHTNESS_OFFSET = -16.0
_CUBE_ROOT_FROM = 0.008856
_CUBE_FROM = 0.2068966
_FLAT = 1e-4  # Lab spread below which a channel does not vary; one step of a byte is 0.03 or more
_PIXELS_AT_ONCE = 1 << 17  # small enough for the processor's cache


@dataclass(frozen=True)
class ColorStatistics:
    """Mean and population standard deviation of each Lab channel of every frame, [frames, 3] each."""

    mean: Tensor
    std: Tensor


def color_statistics(video: Tensor) -> ColorStatistics:
    """Of [B,3,F,H,W] in [-1,1], which is clamped first; B·F frames."""
    return _statistics(_to_lab(_as_unit(video)))


def match_colors(video: Tensor, reference: Tensor | ColorStatistics, strength: float) -> Tensor:
    """Move each frame's colours towards the reference's.

    Args:
        video: [B,3,F,H,W] in [-1,1].
        reference: [B or 1,3,1,h,w] in [-1,1] of any size, or its statistics.
        strength: 0 returns `video` itself, untouched; 1 matches fully; between, both are blended in RGB.
    Returns:
        [B,3,F,H,W] in [-1,1], of the video's type.
    """
    if strength == 0:
        return video
    wanted = reference if isinstance(reference, ColorStatistics) else color_statistics(reference)
    batch, _, num_frames, height, width = video.shape
    frames_at_once = max(1, _PIXELS_AT_ONCE // (height * width))
    matched = torch.empty_like(video)
    for row in range(batch):
        target = ColorStatistics(*(values[min(row, len(values) - 1)] for values in (wanted.mean, wanted.std)))
        for start in range(0, num_frames, frames_at_once):
            part = slice(start, start + frames_at_once)
            matched[row, :, part] = _match(video[row, :, part].float(), target, strength)
    return matched


def _match(frames: Tensor, target: ColorStatistics, strength: float) -> Tensor:
    """[3,F,H,W] in [-1,1] → the same, matched."""
    source = _as_unit(frames[None])
    lab = _to_lab(source)
    found = _statistics(lab)
    gain = torch.where(found.std > _FLAT, target.std.to(lab) / found.std.clamp(min=_FLAT), 0.0)
    lab = lab * gain.T[:, :, None] + (target.mean.to(lab) - found.mean * gain).T[:, :, None]
    blended = torch.lerp(source, _to_rgb(lab), strength)
    return blended.mul_(2.0).sub_(1.0).reshape(frames.shape)


def _as_unit(video: Tensor) -> Tensor:
    """[B,3,F,H,W] in [-1,1] → [3, B·F, H·W] in [0,1]."""
    return (video.float().clamp(-1.0, 1.0) * 0.5 + 0.5).transpose(0, 1).flatten(1, 2).flatten(2)


def _statistics(lab: Tensor) -> ColorStatistics:
    # Spread after subtracting the mean: on nearly constant frames the usual one-pass formula loses everything.
    mean = lab.mean(dim=2)
    std = (lab - mean[:, :, None]).square_().mean(dim=2).sqrt_()
    return ColorStatistics(mean.T, std.T)


def _mix(matrix: Tensor, planes: Tensor) -> Tensor:
    """A 3x3 matrix on the channels of [3, ...]."""
    return (matrix.to(planes) @ planes.flatten(1)).view_as(planes)


def _to_lab(rgb: Tensor) -> Tensor:
    """[3, ...] sRGB in [0,1] → [3, ...] Lab."""
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055).pow_(2.4), rgb / 12.92)
    matrix = torch.tensor(_RGB_TO_XYZ, dtype=torch.float64) / torch.tensor(_WHITE, dtype=torch.float64)[:, None]
    xyz = _mix(matrix, linear)
    root = xyz.clamp(min=1e-12).pow(1.0 / 3.0)
    curved = torch.where(xyz > _CUBE_ROOT_FROM, root, xyz * 7.787 + 16.0 / 116.0)
    lab = _mix(torch.tensor(_F_TO_LAB), curved)
    lab[0] += _LIGHTNESS_OFFSET
    return lab


def _to_rgb(lab: Tensor) -> Tensor:
    """[3, ...] Lab → [3, ...] sRGB clipped to [0,1]."""
    y = (lab[0] + 16.0) / 116.0
    curved = torch.stack([lab[1] / 500.0 + y, y, (y - lab[2] / 200.0).clamp_(min=0.0)])
    xyz = torch.where(curved > _CUBE_FROM, curved.pow(3), (curved - 16.0 / 116.0) / 7.787)
    from_xyz = torch.linalg.inv(torch.tensor(_RGB_TO_XYZ, dtype=torch.float64))
    linear = _mix(from_xyz * torch.tensor(_WHITE, dtype=torch.float64), xyz)
    curve = linear.clamp(min=1e-12).pow(1.0 / 2.4).mul_(1.055).sub_(0.055)
    return torch.where(linear > 0.0031308, curve, linear * 12.92).clamp_(0.0, 1.0)
