"""Pictures to judge by eye what the figures cannot say: one PNG for each question."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..media.contact_sheet import contact_sheet
from .blinks import LID_CLOSED
from .clip_figures import fitted
from .face_measures import FaceMeasures
from .films import Film
from .landmarks import EYES
from .lipsync import runs
from .minute import chunk_spans
from .real_figures import RealFilm
from .seams import border_frames
from .sync_net import lip_boxes
from .truth import HeldOutClip

TILE = 192  # pixels wide
# What to look for, and the true shape that is strongest there.
INSTANTS = (("a", "jaw"), ("i e", "stretch"), ("o sh", "funnel"), ("u w", "pucker"), ("f v", "tuck"))
_APART = 6  # frames between two chosen closures


def phoneme_instants(clip: HeldOutClip, closures: int = 3) -> list[tuple[str, int]]:
    """Names and frames of instants worth a look: some lip closures, then the strongest moment of each other shape."""
    middles = [(start + stop - 1) // 2 for start, stop in runs(clip.closures) if stop > start]
    chosen = middles[:: max(1, len(middles) // closures)][:closures]
    instants = [("p b m", frame) for frame in chosen]
    for name, shape in INSTANTS:
        if shape in clip.shapes and clip.shapes[shape].max() > 0.2:
            free = clip.shapes[shape] * ~np.isin(np.arange(clip.num_frames), chosen)
            instants.append((name, int(np.argmax(free))))
    return instants


def phoneme_sheet(films: list[Film], clips: list[HeldOutClip], true: list[FaceMeasures], folder: Path) -> list[Path]:
    """Whole faces and close mouths at the instants of phonemes: true renders above, generated below."""
    faces, mouths, labels = [], [], []
    for film, clip, measures in zip(films, clips, true, strict=True):
        instants = phoneme_instants(clip)
        truth = fitted(clip.video, film.frames)
        scale = truth.shape[1] / clip.video.shape[1]
        for who, frames in (("true", truth), ("nano", film.frames)):
            for name, frame in instants:
                faces.append(frames[frame])
                mouths.append(_close(frames[frame], _square(measures, scale)))
                labels.append(f"{who}: {name}, {frame / 25:.2f} s")
            for _ in range(len(instants), 3 + len(INSTANTS)):
                faces.append(np.zeros_like(truth[0]))
                mouths.append(np.zeros((TILE, TILE, 3), np.uint8))
                labels.append("")
    columns = 3 + len(INSTANTS)
    return [
        contact_sheet(faces, folder / "phonemes.png", columns, labels, tile_width=TILE),
        contact_sheet(mouths, folder / "phonemes_close.png", columns, labels),
    ]


def _square(measures: FaceMeasures, scale: float) -> tuple[int, int, int]:
    """Row, column and side of the square around the mouth, the same for a whole clip."""
    boxes = lip_boxes(measures.points) * scale
    top, left, bottom, right = np.nanmedian(boxes, axis=0)
    side = int(2.2 * (right - left))
    return int((top + bottom) / 2 - side / 2), int((left + right) / 2 - side / 2), side


def _close(frame: np.ndarray, square: tuple[int, int, int]) -> np.ndarray:
    row, column, side = square
    height, width = frame.shape[:2]
    rows = np.clip(np.arange(row, row + side), 0, height - 1)
    columns = np.clip(np.arange(column, column + side), 0, width - 1)
    return cv2.resize(frame[rows][:, columns], (TILE, TILE), interpolation=cv2.INTER_CUBIC)


def blink_sheet(films: list[Film], clips: list[HeldOutClip], true: list[FaceMeasures], folder: Path) -> list[Path]:
    """The eyes from before to after a true blink, true renders above, generated below; none if the truth has none."""
    tiles, labels = [], []
    for film, clip, measures in zip(films, clips, true, strict=True):
        blinks = [] if clip.lids is None else runs(clip.lids > LID_CLOSED)
        if not blinks:
            continue
        middle = (blinks[0][0] + blinks[0][1] - 1) // 2
        truth = fitted(clip.video, film.frames)
        scale = truth.shape[1] / clip.video.shape[1]
        eyes = np.nanmedian(measures.points, axis=0)[[index for eye in EYES for index in eye], :2] * scale
        (left, _), (right, _) = eyes.min(axis=0), eyes.max(axis=0)
        side = int(1.5 * (right - left))
        square = int(eyes[:, 1].mean() - side / 2), int((left + right) / 2 - side / 2), side
        for who, frames in (("true", truth), ("nano", film.frames)):
            for offset in (-6, -3, -2, -1, 0, 1, 2, 4):
                frame = int(np.clip(middle + offset, 0, len(frames) - 1))
                tiles.append(_close(frames[frame], square)[TILE // 4 : -TILE // 4])
                labels.append(f"{who}: {frame / 25:.2f} s")
    return [contact_sheet(tiles, folder / "blinks.png", 8, labels)] if tiles else []


def border_sheet(film: Film, folder: Path, most: int = 4) -> list[Path]:
    """Three frames before and after some chunk borders."""
    borders = border_frames(len(film.frames))
    if not borders:
        return []
    chosen = [borders[index] for index in np.linspace(0, len(borders) - 1, min(most, len(borders))).astype(int)]
    frames = [border + offset for border in chosen for offset in range(-3, 3)]
    frames = [min(frame, len(film.frames) - 1) for frame in frames]
    labels = [f"frame {frame}" + (", new chunk" if frame in chosen else "") for frame in frames]
    return [contact_sheet([film.frames[frame] for frame in frames], folder / "borders.png", 6, labels, tile_width=TILE)]


def minute_sheet(film: Film, portrait: np.ndarray, folder: Path) -> list[Path]:
    """The portrait, and three frames of each of five chunks from the first to the last."""
    spans = chunk_spans(len(film.frames))
    chosen = [spans[index] for index in sorted({round(share * (len(spans) - 1) / 4) for share in range(5)})]
    height, width = film.frames.shape[1:3]
    tiles, labels = [cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA)], ["portrait"]
    for start, stop in chosen:
        for frame in np.linspace(start, stop - 1, 3).astype(int):
            tiles.append(film.frames[frame])
            labels.append(f"{frame / 25:.1f} s")
    return [contact_sheet(tiles, folder / "minute.png", 8, labels, tile_width=TILE)]


def real_sheet(films: list[RealFilm], folder: Path, columns: int = 8) -> list[Path]:
    """From the most closed to the widest generated mouth, one row per film."""
    tiles, labels = [], []
    for one in films:
        openness = np.nan_to_num(one.measures.openness, nan=0.0)
        order = np.argsort(openness, kind="stable")
        for column, frame in enumerate(order[np.linspace(0, len(order) - 1, columns).astype(int)]):
            tiles.append(one.film.frames[frame])
            labels.append(one.name[:28] if column == 0 else f"{frame / 25:.1f} s")
    return [contact_sheet(tiles, folder / "real.png", columns, labels, tile_width=TILE)] if tiles else []
