"""Many frames on one picture, to judge a result at a glance."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .atomic import atomic_output
from .video import open_source

GAP = 4  # pixels between frames
BACKGROUND = (24, 24, 24)
LABEL_COLOR = (235, 235, 235)
LABEL_HEIGHT = 18


def contact_sheet(
    video_or_frames: str | os.PathLike | np.ndarray | Iterable[np.ndarray],
    output_png: str | os.PathLike,
    columns: int = 8,
    labels: Sequence[str] | None = None,
    *,
    num_frames: int = 32,
    tile_width: int | None = None,
) -> Path:
    """Writes a grid of frames, row by row, each under its label.

    Args:
        video_or_frames: a video, of which `num_frames` are taken at equal distances and labelled with their seconds;
            or frames, uint8 [height, width, 3] each.
        columns: of the grid.
        labels: one for each frame; empty ones are allowed.
        tile_width: frames are scaled to it; None keeps their size.

    Raises:
        MediaError: the video cannot be read. OutputError: the picture cannot be written.
    """
    if isinstance(video_or_frames, (str, os.PathLike)):
        frames, seconds = _sample(video_or_frames, num_frames)
        labels = labels if labels is not None else [f"{second:.2f} s" for second in seconds]
    else:
        frames = [np.asarray(frame) for frame in video_or_frames]
    assert frames and columns > 0
    assert labels is None or len(labels) == len(frames), "one label for each frame"
    tiles = [Image.fromarray(frame) for frame in frames]
    if tile_width is not None:
        tiles = [tile.resize((tile_width, round(tile.height * tile_width / tile.width))) for tile in tiles]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    width, height = max(tile.width for tile in tiles), max(tile.height for tile in tiles)
    row_height = height + (LABEL_HEIGHT if labels else 0) + GAP
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, rows * row_height + GAP), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for index, tile in enumerate(tiles):
        left = GAP + index % columns * (width + GAP)
        top = GAP + index // columns * row_height
        sheet.paste(tile, (left, top))
        if labels:
            draw.text((left + 2, top + height + 1), labels[index], fill=LABEL_COLOR, font=font)
    output_png = Path(output_png)
    with atomic_output(output_png) as partial, partial.open("wb") as file:
        sheet.save(file, format="PNG")
    return output_png


def _sample(path: str | os.PathLike, num_frames: int) -> tuple[list[np.ndarray], list[float]]:
    with open_source(path) as source:
        total = source.num_frames_25 or 1
        chosen = sorted({round(i * (total - 1) / max(1, num_frames - 1)) for i in range(num_frames)})
        seconds = [index / 25 for index in chosen]
        return [source.frame_at(second) for second in seconds], seconds
