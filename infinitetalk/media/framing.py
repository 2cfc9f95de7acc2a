"""How a picture fits a model's size: bucket, resize and crop, and where each person is.

Rules of the official `wan/multitalk.py`, oddities included (the resized side is rounded up, crop offsets half to even).
A size is always height, then width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

LATENT_STRIDE = 8
_EDGE = 0.05  # share of a person's half that stays background on every side, without boxes

# A person's place in source pixels: top, left, bottom, right.
Box = Sequence[float]


def bucket_key(height: int, width: int, sizes: Mapping[str, tuple[int, int]]) -> str:
    """The ratio (height / width, as the table spells it) nearest to the picture's; the first one of equals."""
    ratio = height / width
    return min(sizes, key=lambda key: abs(float(key) - ratio))


def choose_bucket(height: int, width: int, sizes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Height and width the model should generate for a picture of this shape; see `media.buckets`."""
    return sizes[bucket_key(height, width, sizes)]


def covering_size(height: int, width: int, target: tuple[int, int]) -> tuple[int, int]:
    """The picture scaled until it covers `target`; rounded up, so at times one pixel larger than exact."""
    scale = max(target[0] / height, target[1] / width)
    return math.ceil(scale * height), math.ceil(scale * width)


def crop_offset(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """Top and left of a centred crop; half pixels round to even."""
    return round((size[0] - target[0]) / 2), round((size[1] - target[1]) / 2)


def resize_and_crop(picture: np.ndarray | Image.Image, target: tuple[int, int]) -> np.ndarray:
    """A picture ([H,W,3] bytes or PIL RGB) of any size → bytes [height,width,3] that fill `target`, centre kept.

    Bilinear with antialiasing, as Pillow does it.
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    resized = covering_size(image.height, image.width, target)
    top, left = crop_offset(resized, target)
    if resized != (image.height, image.width):
        image = image.resize((resized[1], resized[0]), resample=Image.Resampling.BILINEAR)
    return np.asarray(image)[top : top + target[0], left : left + target[1]]


def middle_of(height: int, width: int, tall: int, wide: int) -> tuple[float, float, float, float]:
    """Top, left, height and width of the part of a picture that `resize_and_crop` brings to tall x wide."""
    scale = min(height / tall, width / wide)
    return (height - scale * tall) / 2, (width - scale * wide) / 2, scale * tall, scale * wide


def to_network_range(pixels: np.ndarray) -> np.ndarray:
    """Bytes [H,W,3] → float32 [3,H,W] in [-1,1]."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)
    return (planes / np.float32(255) - np.float32(0.5)) * np.float32(2)


def person_masks(
    num_persons: int, source_size: tuple[int, int], target: tuple[int, int], boxes: Sequence[Box] | None = None
) -> np.ndarray:
    """Where each person is, at the latents' resolution.

    Args:
        num_persons: 1 or 2. One person is everywhere.
        source_size: of the picture, before `resize_and_crop`.
        target: of the video.
        boxes: one per person, in source pixels; without them the persons stand in the left and right half.
    Returns:
        uint8 [3, height / 8, width / 8] of 0 and 1: first person, second person, background.
    """
    if num_persons == 1:
        return np.ones((3, target[0] // LATENT_STRIDE, target[1] // LATENT_STRIDE), dtype=np.uint8)
    if num_persons != 2:
        raise ValueError(f"{num_persons} persons were given; expected one or two.")
    if boxes is None:
        boxes = _halves(*source_size)
    if len(boxes) != 2:
        raise ValueError(f"{len(boxes)} boxes were given for two persons; give one for each.")
    masks = np.zeros((3, *source_size), dtype=np.uint8)
    for mask, (top, left, bottom, right) in zip(masks, boxes):
        mask[int(top) : int(bottom), int(left) : int(right)] = 1
    masks[2] = 1 - (masks[0] | masks[1])
    covering = covering_size(*source_size, target)
    top, left = crop_offset(covering, target)
    rows, columns = _nearest(source_size[0], covering[0]), _nearest(source_size[1], covering[1])
    rows, columns = rows[top : top + target[0]], columns[left : left + target[1]]
    rows = rows[_nearest(target[0], target[0] // LATENT_STRIDE)]
    columns = columns[_nearest(target[1], target[1] // LATENT_STRIDE)]
    return masks[:, rows[:, None], columns[None, :]]


def _halves(height: int, width: int) -> list[Box]:
    half = width // 2
    top, bottom = int(height * _EDGE), int(height * (1 - _EDGE))
    left, right = int(half * _EDGE), int(half * (1 - _EDGE))
    # The right person's stretch is the left one's moved by half a picture, rounded after the sum as officially.
    return [(top, left, bottom, right), (top, int(half * _EDGE + half), bottom, int(half * (1 - _EDGE) + half))]


def _nearest(size: int, resized: int) -> np.ndarray:
    """Source index of every pixel after torch's nearest-neighbour resize (single precision, rounded down)."""
    scale = np.float32(size) / np.float32(resized)
    return np.minimum((np.arange(resized, dtype=np.float32) * scale).astype(np.int64), size - 1)
