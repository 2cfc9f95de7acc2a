"""Valid files of unusual kinds: depths, shapes, rates and lengths at the ends of what their formats allow."""

from __future__ import annotations

from pathlib import Path


def make_odd_media(folder: Path, portrait: Path) -> dict[str, Path]:
    """One file of every kind, by its name."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [*_pictures(folder, portrait), *_sounds(folder), *_films(folder)]
    return {file.name: file for file in sorted(made)}


def _pictures(folder: Path, portrait: Path) -> list[Path]:
    import numpy as np
    from PIL import Image

    face = Image.open(portrait).convert("RGB").resize((96, 96))
    gray = np.asarray(face.convert("L"), np.uint16) * 257
    clear = face.convert("RGBA")
    clear.putalpha(0)
    pictures = {
        "sixteen-bit.png": Image.fromarray(gray), "one-bit.png": face.convert("1"), "palette.png": face.convert("P"),
        "clear.png": clear, "gray-alpha.png": face.convert("LA"), "cmyk.jpg": face.convert("CMYK"),
        "gray.jpg": face.convert("L"), "thin.png": face.resize((16, 3000)), "flat.png": face.resize((3000, 16)),
        "smallest.png": face.resize((16, 16)), "odd.png": face.resize((97, 61)), "black.png": Image.new("RGB", (96,
        96)),
        "large.png": Image.new("RGB", (6000, 6000), (90, 60, 40)), "clear.webp": clear,
    }  # fmt: skip
    for name, picture in pictures.items():
        picture.save(folder / name)
    turned = [face.rotate(5 * index) for index in range(3)]
    for name in ("moving.webp", "moving.png"):
        turned[0].save(folder / name, save_all=True, append_images=turned[1:], duration=40)
    turned[0].save(folder / "still.gif", save_all=True, append_images=turned[1:], duration=0)
    return [folder / name for name in (*pictures, "moving.webp", "moving.png", "still.gif")]


def _sounds(folder: Path) -> list[Path]:
    import numpy as np
    import soundfile

    tone = (0.3 * np.sin(np.arange(6400) / 20)).astype(np.float32)
    gaps = tone.copy()
    gaps[100:200] = np.nan
    gaps[300:400] = np.inf
    sounds = {
        "nan.wav": (gaps, 16_000, "FLOAT"), "loud.wav": (tone * 1e30, 16_000, "FLOAT"), "double.wav": (tone * 1e300,
        16_000, "DOUBLE"),
        "silent.wav": (tone * 0, 16_000, "PCM_16"), "eight.wav": (np.stack([tone] * 8, 1), 48_000, "PCM_24"),
        "fast.wav": (np.tile(tone, 20), 384_000, "PCM_16"), "slow.wav": (tone[:40], 100, "PCM_16"),
        "one.wav": (tone[:1], 16_000, "PCM_16"),
        "none.wav": (tone[:0], 16_000, "PCM_16"), "bytes.wav": (tone, 8_000, "PCM_U8"), "law.wav": (tone, 8_000,
        "ULAW"),
        "many.wav": (np.stack([tone[:800]] * 64, 1), 16_000, "PCM_16"), "none.flac": (tone[:0], 16_000, "PCM_16"),
        "first-rate.wav": (tone[:10], 1, "PCM_16"), "huge-rate.wav": (np.tile(tone, 5), 2**31 - 1, "PCM_16"),
    }  # fmt: skip
    for name, (samples, rate, kind) in sounds.items():
        soundfile.write(folder / name, samples.clip(-1e300, 1e300) if kind == "DOUBLE" else samples, rate, kind)
    return [folder / name for name in sounds]


def _films(folder: Path) -> list[Path]:
    shapes = {  # width, height, frames, frames per second, pixel format
        "one-frame.mp4": (64, 64, 1, 25, "yuv420p"), "fast.mp4": (64, 64, 40, 1000, "yuv420p"), "slow.mp4": (64, 64, 2,
        1, "yuv420p"),
        "odd.mp4": (65, 33, 6, 25, "yuv444p"), "wide.mp4": (1024, 16, 6, 25, "yuv420p"), "tall.mkv": (16, 1024, 6, 25,
        "yuv420p"),
        "tiny.mkv": (2, 2, 6, 25, "yuv420p"), "ten-bit.mkv": (64, 64, 6, 25, "yuv420p10le"), "silent.mkv": (64, 64, 6,
        30, "yuv420p"),
    }  # fmt: skip
    for name, shape in shapes.items():
        _write_film(folder / name, *shape)
    return [folder / name for name in shapes]


def _write_film(file: Path, width: int, height: int, frames: int, rate: int, pixels: str) -> None:
    import av
    import numpy as np

    with av.open(str(file), "w", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate, options={"threads": "1"})
        video.width, video.height, video.pix_fmt = width, height, pixels
        for index in range(frames):
            picture = np.full((height, width, 3), 20 + 5 * index, np.uint8)
            picture[: height // 2] = 200
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
