"""The comparison as one film: both side by side, or one behind a line that sweeps across."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..config.constants import FRAMES_PER_SECOND
from ..errors import InputError, writing_failed
from .sides import Side

if TYPE_CHECKING:
    from ..media.video import VideoSource

Layout = Literal["side", "wipe"]
SWEEP_SECONDS = 4.0  # of the line from left to right and back
_LABEL_SHARE = 0.055  # height of a label in the picture's height
_LINE_PIXELS = 2
_GAP_PIXELS = 4
_CRF = 18


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
    from ..media.mux import check_film_path, frames_of, mux_film
    from ..media.probe import probe
    from ..media.soundtrack import Soundtrack
    from ..media.video import VideoSource
    from ..media.writer import SegmentWriter

    output = Path(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise writing_failed(str(output), error) from error
    check_film_path(output)
    pictures = output.with_name(f".{output.stem}.{os.getpid()}.pictures.mp4")
    with VideoSource(first.film) as left, VideoSource(second.film) as right:
        begin = max(first.start_seconds, second.start_seconds)
        ends = [side.start_seconds + film.duration_seconds for side, film in ((first, left), (second, right))]
        duration = min(ends) - begin
        if duration <= 0:
            raise InputError(f"{first.label} and {second.label} have no instant in common; compare others.")
        rate = Fraction(left.fps or FRAMES_PER_SECOND).limit_denominator(1001)
        count = frames_of(duration, rate)
        frames = _frames((first, second), (left, right), layout, [begin + float(k / rate) for k in range(count)])
        try:
            height, width = (head := next(frames)).shape[:2]
            SegmentWriter(width, height, crf=_CRF, rate=rate).write(
                pictures, _reported(itertools.chain([head], frames), count, report)
            )
            sounding = next((side for side in (first, second) if probe(side.film).has_audio), None)
            if sounding is None:
                os.replace(pictures, output)
            else:
                sound = Soundtrack(sounding.film, duration, skip_seconds=begin - sounding.start_seconds)
                mux_film([pictures], sound, duration, output, rate=rate)
        except OSError as error:
            raise writing_failed(str(output), error) from error
        finally:
            pictures.unlink(missing_ok=True)
    return output


def _frames(
    sides: tuple[Side, Side], films: tuple[VideoSource, VideoSource], layout: Layout, instants: list[float]
) -> Iterator[np.ndarray]:
    """The comparison at each of the `instants` of the whole film, uint8 [height, width, 3]."""
    height = _even(max(film.height for film in films))
    widths = [_even(film.width * height / film.height) for film in films]
    labels = [_label(side.label, height) for side in sides]
    for seconds in instants:
        left, right = (
            _labelled(_fit(film.frame_at(seconds - side.start_seconds), width, height), label, corner)
            for side, film, width, label, corner in zip(sides, films, widths, labels, ("left", "right"), strict=True)
        )
        if layout == "side":
            yield np.concatenate([left, np.zeros((height, _GAP_PIXELS, 3), np.uint8), right], axis=1)
        else:
            yield wipe(left, _within(right, widths[0], height), sweep(seconds - instants[0]))


def _reported(frames: Iterable[np.ndarray], count: int, report: Callable[[float], None] | None) -> Iterator[np.ndarray]:
    """The frames as they are; `report` hears the share of `count` that was taken."""
    for index, frame in enumerate(frames, start=1):
        yield frame
        if report is not None:
            report(min(1.0, index / count))


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
