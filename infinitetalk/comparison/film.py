"""The comparison as one film: both side by side, or one behind a line that sweeps across."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import InputError, OutputError, writing_failed
from ..media.ffmpeg_tools import ensure_ffmpeg_on_path
from .sides import Side

Layout = Literal["side", "wipe"]
SWEEP_SECONDS = 4.0  # of the line from left to right and back
_LABEL_SHARE = 0.055  # height of a label in the picture's height
_LINE_PIXELS = 2
_GAP_PIXELS = 4


def export_film(
    first: Side,
    second: Side,
    output: Path,
    *,
    layout: Layout = "side",
    report: Callable[[float], None] | None = None,
) -> Path:
    """Write both films as one mp4, as long as both last.

    The sound is the first one's, or the second one's where the first has none.

    Args:
        report: called with the share that is written, 0 to 1.

    Raises:
        InputError: they have no instant in common.
        OutputError: if it cannot be written; nothing is left of it.
    """
    os.environ.setdefault("FFMPEG_BINARY", ensure_ffmpeg_on_path()["ffmpeg"])  # moviepy reads it when it is imported
    from moviepy import VideoClip, VideoFileClip

    output = Path(output)
    partial = output.with_name(f".{output.stem}.partial.mp4")
    with VideoFileClip(str(first.film)) as left, VideoFileClip(str(second.film)) as right:
        height = _even(max(left.h, right.h))
        widths = [_even(clip.w * height / clip.h) for clip in (left, right)]
        labels = [_label(side.label, height) for side in (first, second)]
        starts = first.start_seconds, second.start_seconds
        begin = max(starts)
        duration = min(start + clip.duration for start, clip in zip(starts, (left, right), strict=True)) - begin
        if duration <= 0:
            raise InputError(f"{first.label} and {second.label} have no instant in common; compare others.")

        def frame(seconds: float) -> np.ndarray:
            pictures = []
            for clip, start, width, label, corner in zip(
                (left, right), starts, widths, labels, ("left", "right"), strict=True
            ):
                picture = clip.get_frame(min(begin - start + seconds, clip.duration - 1e-3))
                pictures.append(_labelled(_fit(picture, width, height), label, corner))
            if layout == "side":
                gap = np.zeros((height, _GAP_PIXELS, 3), np.uint8)
                return np.concatenate([pictures[0], gap, pictures[1]], axis=1)
            return wipe(pictures[0], _within(pictures[1], widths[0], height), sweep(seconds))

        clip = VideoClip(frame, duration=duration)
        sounding, from_ = (left, starts[0]) if left.audio is not None else (right, starts[1])
        if sounding.audio is not None:
            last = min(sounding.audio.duration, begin - from_ + duration)  # a track may end before its pictures
            clip = clip.with_audio(sounding.audio.subclipped(begin - from_, last))
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            clip.write_videofile(
                str(partial), fps=left.fps, codec="libx264", audio_codec="aac", preset="veryfast",
                ffmpeg_params=["-crf", "18", "-pix_fmt", "yuv420p", "-movflags", "+faststart"],
                temp_audiofile=str(output.with_name(f".{output.stem}.partial.m4a")),
                logger=_progress(report),
            )  # fmt: skip
            os.replace(partial, output)
        except OSError as error:
            partial.unlink(missing_ok=True)
            if error.errno is None:  # moviepy's own words about ffmpeg
                raise OutputError(f"The comparison could not be written to {output}; is the disk full?") from error
            raise writing_failed(str(output), error) from error
    return output


def sweep(seconds: float) -> float:
    """Where the line stands, 0 left to 1 right: slow at the edges, back after `SWEEP_SECONDS`."""
    return 0.5 - 0.5 * math.cos(2 * math.pi * seconds / SWEEP_SECONDS)


def wipe(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """The first picture left of the line and the second right of it; uint8 [height, width, 3] all three."""
    width = first.shape[1]
    edge = round(share * width)
    picture = second.copy()
    picture[:, :edge] = first[:, :edge]
    picture[:, max(0, edge - _LINE_PIXELS // 2) : min(width, edge + _LINE_PIXELS // 2)] = 255
    return picture


def _even(pixels: float) -> int:
    return 2 * round(pixels / 2)


def _fit(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    import cv2

    if picture.shape[:2] == (height, width):
        return picture
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def _within(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The whole picture in its own shape, as large as fits, on black; as the page shows it."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    rows, columns = min(height, round(picture.shape[0] * scale)), min(width, round(picture.shape[1] * scale))
    top, left = (height - rows) // 2, (width - columns) // 2
    framed = np.zeros((height, width, 3), np.uint8)
    framed[top : top + rows, left : left + columns] = _fit(picture, columns, rows)
    return framed


def _label(text: str, height: int) -> np.ndarray:
    """Light words on a dark plate, uint8 [h, w, 3]."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(max(11, round(height * _LABEL_SHARE)))
    left, top, right, bottom = font.getbbox(text)
    pad = max(4, (bottom - top) // 3)
    plate = Image.new("RGB", (int(right - left + 2 * pad), int(bottom - top + 2 * pad)), (20, 20, 20))
    ImageDraw.Draw(plate).text((pad - left, pad - top), text, font=font, fill=(245, 245, 245))
    return np.asarray(plate)


def _labelled(picture: np.ndarray, label: np.ndarray, corner: str) -> np.ndarray:
    height, width = min(label.shape[0], picture.shape[0]), min(label.shape[1], picture.shape[1])
    picture = picture.copy()
    start = 0 if corner == "left" else picture.shape[1] - width
    picture[-height:, start : start + width] = label[:height, :width]
    return picture


def _progress(report: Callable[[float], None] | None) -> Any:
    if report is None:
        return None
    from proglog import ProgressBarLogger

    class Logger(ProgressBarLogger):
        def bars_callback(self, bar: str, attr: str, value: int, old_value: int | None = None) -> None:
            total = self.bars[bar]["total"]
            if bar == "frame_index" and attr == "index" and total:
                report(min(1.0, value / total))

    return Logger()
