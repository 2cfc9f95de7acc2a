"""A user's films as training material: which are usable, where their cuts are, how they are framed.

All frame numbers count 25 a second, whatever the film's own rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...config.constants import FRAMES_PER_SECOND
from ...errors import InputError, MediaError
from ...media.buckets import BUCKETS
from ...media.cuts import find_cuts
from ...media.faces import Square, cut, face_square, find_faces
from ...media.framing import choose_bucket, resize_and_crop
from ...media.probe import probe
from ...media.video import VideoSource
from ...models.specs import ModelSpec
from ...planning.chunks import NUM_CHUNK_FRAMES
from ..references import reference_frames
from .config import LoraConfig

SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".flv"})
_FACES_LOOKED_AT = 9  # instants of a film


@dataclass(frozen=True)
class Footage:
    """One film. shots: spans [start, stop) without a cut. square: the cut around the face, None for the whole picture.

    height, width: of the pictures that are encoded. prompt: what happens in it, or empty.
    """

    path: Path
    num_frames: int
    shots: tuple[tuple[int, int], ...]
    height: int
    width: int
    square: Square | None
    prompt: str

    def pictures(self, frames: range | list[int], scale: int = 1) -> Iterator[np.ndarray]:
        """uint8 [scale * height, scale * width, 3], RGB, of the frames in the order given (ascending is fastest)."""
        size = (scale * self.height, scale * self.width)
        with VideoSource(self.path) as source:
            for frame in frames:
                picture = source.frame_at(frame / FRAMES_PER_SECOND)
                yield resize_and_crop(picture if self.square is None else cut(picture, self.square), size)


@dataclass(frozen=True)
class ChunkPlace:
    """A chunk of 81 frames in a film, and the frames that may guide it; the first of them is its own first frame."""

    film: int
    start: int
    references: tuple[int, ...]


def find_footage(folder: Path, config: LoraConfig, spec: ModelSpec) -> tuple[list[Footage], list[str]]:
    """The usable films in `folder` (and below it), and one sentence for each that is not.

    Raises:
        InputError: there is no such folder, or no film in it can be used; says why.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the folder that holds your films.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not paths:
        raise InputError(f"{folder} holds no film; put videos with sound in it ({', '.join(sorted(SUFFIXES))}).")
    films, notes = [], []
    for path in paths:
        try:
            films.append(_examine(path, config, spec))
        except InputError as error:
            notes.append(str(error))
    if not films:
        more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
        raise InputError(f"No film in {folder} can be trained on: {notes[0]}{more}")
    return films, notes


def chunk_places(films: list[Footage], config: LoraConfig) -> list[ChunkPlace]:
    """Chunks in all films, every `chunk_stride` frames of every shot.

    Raises:
        InputError: no shot is long enough for a chunk and a reference.
    """
    places = []
    longest = 0
    for film_index, film in enumerate(films):
        for start, stop in film.shots:
            longest = max(longest, stop - start)
            for first in range(start, stop - NUM_CHUNK_FRAMES + 1, config.chunk_stride):
                inside = first - start, first - start + NUM_CHUNK_FRAMES
                try:
                    allowed = reference_frames(config.reference, *inside, stop - start) + start
                except InputError:
                    continue  # nothing of the shot lies where this strategy looks
                rng = np.random.default_rng([config.seed, film_index, first])
                chosen = rng.choice(allowed, min(config.references_per_chunk, len(allowed)), replace=False)
                places.append(ChunkPlace(film_index, first, (first, *sorted(int(frame) for frame in chosen))))
    if not places:
        raise InputError(
            f"The longest shot without a cut lasts {longest / FRAMES_PER_SECOND:.1f} s; a chunk of "
            f"{NUM_CHUNK_FRAMES / FRAMES_PER_SECOND:.2f} s and a reference of kind {config.reference} need more."
        )
    return places


def _examine(path: Path, config: LoraConfig, spec: ModelSpec) -> Footage:
    """Raises InputError, naming the film, if it cannot be used."""
    info = probe(path)
    if info.kind != "video":
        raise MediaError(f"{path.name} is no video.")
    if not info.has_audio:
        raise MediaError(f"{path.name} has no sound; speech is what it would teach.")
    with VideoSource(path) as source:
        num_frames = source.num_frames_25
        if num_frames < NUM_CHUNK_FRAMES:
            raise InputError(
                f"{path.name} lasts {num_frames / FRAMES_PER_SECOND:.1f} s; at least "
                f"{NUM_CHUNK_FRAMES / FRAMES_PER_SECOND:.2f} s are needed."
            )
        square = None
        if config.framing == "face":
            square = _face_square(source, num_frames)
            if square is None:
                raise InputError(f"{path.name} shows no face; leave it out, or use framing: whole.")
        shape = (1, 1) if square is not None else (source.height, source.width)
    sizes = spec.sizes or BUCKETS
    if config.size not in sizes:
        raise InputError(f"{spec.title} has no size {config.size!r}; choose one of {', '.join(sizes)}.")
    height, width = choose_bucket(*shape, sizes[config.size])
    prompt = _prompt(path.with_suffix(".txt"), config)
    return Footage(path, num_frames, _shots(path, num_frames), height, width, square, prompt)


def _prompt(path: Path, config: LoraConfig) -> str:
    if not path.is_file():
        return config.prompt
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The prompt {path} cannot be read ({error}); write it as plain UTF-8 text.") from error


def _shots(path: Path, num_frames: int) -> tuple[tuple[int, int], ...]:
    """Spans between cuts."""
    cuts = [math.ceil(seconds * FRAMES_PER_SECOND - 1e-3) for seconds in find_cuts(path)]
    edges = [0, *(cut for cut in cuts if 0 < cut < num_frames), num_frames]
    return tuple(zip(edges[:-1], edges[1:], strict=True))


def _face_square(source: VideoSource, num_frames: int) -> Square | None:
    """One square for the whole film: the middle of those around its largest face at several instants."""
    squares = []
    for frame in np.linspace(0, num_frames - 1, _FACES_LOOKED_AT).astype(int):
        if faces := find_faces(source.frame_at(frame / FRAMES_PER_SECOND)):
            square = face_square(faces[0])
            squares.append((square.row + square.side / 2, square.column + square.side / 2, square.side))
    if not squares:
        return None
    row, column, side = np.median(squares, axis=0)
    return Square(round(row - side / 2), round(column - side / 2), round(side))
