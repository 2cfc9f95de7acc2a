"""Any photograph as upright 8-bit sRGB."""

from __future__ import annotations

import io
import os

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..errors import MediaError
from .picture_files import DAMAGED, open_picture
from .probe import check_image_size, check_readable, decode_errors, require_source

MAX_SIDE = 4096  # pixels; the largest model works at 1280, so nothing that could be seen is lost
NEUTRAL = (128, 128, 128)  # behind transparent pixels: neither a white nor a black halo


def load_image(path: str | os.PathLike, max_side: int = MAX_SIDE) -> np.ndarray:
    """A picture as a viewer shows it: turned by EXIF, on neutral grey where transparent, in sRGB.

    Of a file with several pictures (HDR gain maps, depth maps, pages, animations) the first is taken.

    Args:
        max_side: the longer side is scaled down to this; JPEGs are decoded at a fraction of their size at once.

    Returns:
        uint8 [height, width, 3], RGB.

    Raises:
        MediaError: anything `probe` refuses, a video or a sound.
    """
    path = check_readable(path)
    try:
        opened = open_picture(path)
    except (UnidentifiedImageError, Image.DecompressionBombError):
        info = require_source(path)  # says what it is instead
        raise MediaError(f"{info.path.name} is a video, a picture was expected; choose a picture.") from None
    except DAMAGED as error:
        raise decode_errors(path, error) from error
    with opened:
        check_image_size(path, opened)
        try:
            opened.draft(None, _fit(opened.size, max_side))
            opened.load()
            profile = opened.info.get("icc_profile")
            upright = ImageOps.exif_transpose(opened)
            # Reduced before colours are converted: a 50-megapixel CMYK scan needs no 50-megapixel conversion.
            image = _shrink(_to_8_bit(upright), max_side)
            image = _to_srgb(image, profile)
        except DAMAGED as error:
            raise decode_errors(path, error) from error
    return np.array(image, dtype=np.uint8)


def _fit(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    scale = min(1.0, max_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _shrink(image: Image.Image, max_side: int) -> Image.Image:
    size = _fit(image.size, max_side)
    if size == image.size:
        return image
    # Transparent pixels may hide any colour: without premultiplying it would bleed into the edges.
    if image.mode in ("RGBA", "LA"):
        premultiplied = {"RGBA": "RGBa", "LA": "La"}[image.mode]
        return image.convert(premultiplied).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0).convert(image.mode)
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _to_8_bit(image: Image.Image) -> Image.Image:
    """One of L, LA, RGB, RGBA, CMYK; Pillow itself would clip 16-bit grey instead of scaling it."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        if image.mode == "F":
            full = 1.0 if values.max(initial=0) <= 1.0 else 255.0 if values.max() <= 255 else 65535.0
        else:
            full = 65535.0 if image.mode != "I" or values.max(initial=0) > 255 else 255.0
        return Image.fromarray(np.clip(np.nan_to_num(values) / full * 255 + 0.5, 0, 255).astype(np.uint8), "L")
    if image.mode in ("P", "1", "PA", "La", "RGBa", "RGBX"):
        has_alpha = "transparency" in image.info or image.mode in ("PA", "La", "RGBa")
        return image.convert("RGBA" if has_alpha else "RGB")
    if image.mode in ("RGB", "L") and "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    return image.convert("RGB")  # YCbCr, LAB, HSV


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    alpha = None
    if image.mode in ("RGBA", "LA"):
        alpha = image.getchannel("A")
        image = image.convert("RGB" if image.mode == "RGBA" else "L")
    image = _apply_profile(image, profile)
    if alpha is None:
        return image
    backdrop = Image.new("RGB", image.size, NEUTRAL)
    backdrop.paste(image, mask=alpha)
    return backdrop


def _apply_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Telephones tag Display P3 and printers CMYK; taken for sRGB, the first looks pale and the second garish."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            if converted is not None:  # only with inPlace
                return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile, or one for another mode: shown as viewers without colour management do
    return image.convert("RGB")
