"""Odd files, made on the spot: the tests need no downloads and show what they are about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest


def write_sound(path: Path, samples: np.ndarray, rate: int, codec: str, layout: str = "mono") -> Path:
    """float32 [channels, samples] through an encoder of FFmpeg's."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        form = stream.codec_context.format.name
        resampler = av.AudioResampler(form, layout, rate, frame_size=stream.codec_context.frame_size or None)
        packed = np.ascontiguousarray(samples.T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    times: Sequence[float],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: float = 0,
    rate: Fraction | int = 25,
    options: dict[str, str] | None = None,
    sound: np.ndarray | None = None,
    sound_rate: int = 16000,
    sound_codec: str = "aac",
) -> Path:
    """Frames uint8 [height, width, 3] shown from `times` (seconds) on, with a sound [1, samples] if there is one."""
    base = Fraction(1, 1000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"crf": "4", **(options or {})})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = pix_fmt, base
        if rotation:
            stream.set_display_rotation(rotation)
        audio = container.add_stream(sound_codec, rate=sound_rate, layout="mono") if sound is not None else None
        for pixels, seconds in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = round(seconds / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for start in range(0, 0 if audio is None else sound.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(sound[:, start : start + 1024], np.float32), "fltp", "mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = sound_rate, start, Fraction(1, sound_rate)
            container.mux(audio.encode(frame))
        if audio is not None:
            container.mux(audio.encode(None))
    return path


def beep(
    num_samples: int, rate: int, at_seconds: float = 1.0, num_channels: int = 1, width: float = 0.04
) -> np.ndarray:
    """Silence with one 440 Hz tone of `width` seconds from `at_seconds` on: float32 [channels, samples]."""
    time = np.arange(num_samples) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * time) * ((time >= at_seconds) & (time < at_seconds + width))
    return np.repeat(tone[None].astype(np.float32), num_channels, axis=0)


def onset_seconds(signal: np.ndarray, rate: int) -> float:
    """When float32 [samples] first becomes loud."""
    return float(np.flatnonzero(np.abs(signal) > 0.1)[0]) / rate


def grey_frames(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Frames that tell their index: level 8·index (see `index_of`), up to 30 of them."""
    return [np.full((height, width, 3), 8 * (i % 30) + 8, np.uint8) for i in range(count)]


def index_of(frame: np.ndarray) -> int:
    """Of a frame of `grey_frames`, modulo 30."""
    return round((float(frame.mean()) - 8) / 8)


@pytest.fixture
def quadrants() -> np.ndarray:
    """Red and green above, blue and white below: uint8 [48, 64, 3]."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32], image[:24, 32:], image[24:, :32], image[24:, 32:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 255
    return image


@pytest.fixture
def corners() -> Callable[[np.ndarray], str]:
    """Names the colours of the four corners, row by row."""
    names = {(1, 0, 0): "R", (0, 1, 0): "G", (0, 0, 1): "B", (1, 1, 1): "W", (0, 0, 0): "K"}

    def read(frame: np.ndarray) -> str:
        spots = (frame[4, 4], frame[4, -5], frame[-5, 4], frame[-5, -5])
        return "".join(names[tuple(int(v > 128) for v in spot)] for spot in spots)

    return read
