"""Opening pictures with Pillow: only the formats that the page promises.

Pillow knows some forty formats. A few run other programs (PostScript), some decompress without a limit (FITS), and none
of them is what a visitor's camera writes.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import struct
import warnings
from pathlib import Path

from PIL import Image

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
PICTURES = "a JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP or TIFF picture"
# What Pillow's decoders raise for damaged files.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, MemoryError, IndexError, KeyError, OverflowError)


def open_picture(path: Path) -> Image.Image:
    """The file's header read; pixels are decoded by `load`.

    Raises:
        UnidentifiedImageError: of none of `FORMATS`. DecompressionBombError: more pixels than Pillow itself accepts.
        One of `DAMAGED`: the header is damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `probe.check_image_size` has its own limits
        return Image.open(path, formats=_known_formats())


def forget_other_formats() -> None:
    """Let nothing in this process open another format, a library such as gradio included."""
    known = _known_formats()
    Image.init()
    Image.ID[:] = [name for name in Image.ID if name in known]
    for name in [name for name in Image.OPEN if name not in known]:
        del Image.OPEN[name]


@functools.cache
def _known_formats() -> tuple[str, ...]:
    """`FORMATS` that this Pillow has decoders for; HEIC's comes from pi-heif (libheif), whole pictures from tiles."""
    from pi_heif import register_heif_opener

    for plugin in ("Jpeg", "Mpo", "Png", "WebP", "Gif", "Bmp", "Tiff", "Avif"):
        with contextlib.suppress(ImportError):
            importlib.import_module(f"PIL.{plugin}ImagePlugin")
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return tuple(name for name in FORMATS if name in Image.OPEN)
