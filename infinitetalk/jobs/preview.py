"""What a chunk looks like while it is being denoised: a row of small pictures, by a linear map from latents to colours.

A decoder would take seconds; the map takes a millisecond and shows place, light and colour, no detail.
"""

from __future__ import annotations

import io
import time

import torch
from torch import Tensor

NUM_PICTURES = 6
PICTURE_HEIGHT = 64
INTERVAL_SECONDS = 0.5

# Of Wan 2.1's autoencoder: 16 channels and 1 to red, green, blue in [-1, 1], as ComfyUI publishes them (Wan21).
WAN_LATENT_RGB = (
    (-0.1299, -0.1692, 0.2932), (0.0671, 0.0406, 0.0442), (0.3568, 0.2548, 0.1747), (0.0372, 0.2344, 0.1420),
    (0.0313, 0.0189, -0.0328), (0.0296, -0.0956, -0.0665), (-0.3477, -0.4059, -0.2925), (0.0166, 0.1902, 0.1975),
    (-0.0412, 0.0267, -0.1364), (-0.1293, 0.0740, 0.1636), (0.0680, 0.3019, 0.1128), (0.0032, 0.0581, 0.0639),
    (-0.1251, 0.0927, 0.1699), (0.0060, -0.0633, 0.0005), (0.3477, 0.2275, 0.2950), (0.1984, 0.0913, 0.1861),
    (-0.1835, -0.0868, -0.3360),
)  # fmt: skip


class LatentPreview:
    """Previews of one film's chunks, at most one in `INTERVAL_SECONDS`.

    vae: its `config.latent_rgb` is the map, [17][3] (the last row is added); without one Wan's is taken.
    """

    def __init__(self, vae: torch.nn.Module) -> None:
        self._map = torch.tensor(getattr(vae.config, "latent_rgb", None) or WAN_LATENT_RGB)
        self._last = -INTERVAL_SECONDS

    def __call__(self, latents: Tensor) -> bytes | None:
        """JPEG of a row of pictures, evenly spread over normalised latents [1, 16, T, h, w]; None soon after one."""
        now = time.monotonic()
        if now - self._last < INTERVAL_SECONDS:
            return None
        self._last = now
        return as_jpeg(colors(latents, self._map))


def colors(latents: Tensor, latent_rgb: Tensor, count: int = NUM_PICTURES) -> Tensor:
    """uint8 [count, h, w, 3] from normalised latents [1, 16, T, h, w] by a map [17, 3]."""
    frames = torch.linspace(0, latents.shape[2] - 1, min(count, latents.shape[2])).round().long()
    chosen = latents[0, :, frames.to(latents.device)].float().cpu().permute(1, 2, 3, 0)
    pictures = chosen @ latent_rgb[:-1] + latent_rgb[-1]
    return ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def as_jpeg(pictures: Tensor) -> bytes:
    """uint8 [count, h, w, 3] side by side, enlarged smoothly."""
    from PIL import Image

    count, height, width = pictures.shape[:3]
    row = Image.new("RGB", (count * round(width * PICTURE_HEIGHT / height), PICTURE_HEIGHT))
    for index, picture in enumerate(pictures.numpy()):
        small = Image.fromarray(picture).resize((row.width // count, PICTURE_HEIGHT), Image.Resampling.BICUBIC)
        row.paste(small, (index * (row.width // count), 0))
    stored = io.BytesIO()
    row.save(stored, "JPEG", quality=80)
    return stored.getvalue()
