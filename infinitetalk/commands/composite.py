"""`infinitetalk composite RESULT --source FILM`: background compositing of a film that was made before."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..config.constants import FRAMES_PER_SECOND
from ..errors import InputError
from .arguments import CommandParser, command_parser
from .terminal import Meter, output_beside, print_result

if TYPE_CHECKING:
    from ..media.video import Source

_LARGEST_DIFFERENCE = 25.0  # of 255 outside the mask; beyond it the two films do not show the same frame


def build_parser() -> CommandParser:
    parser = command_parser(
        "composite", "Put the source's own pixels around the person who speaks; the person stays as generated."
    )
    parser.add_argument("result", help="a generated film that keeps the whole picture (framing: whole)")
    parser.add_argument("--source", required=True, metavar="FILE", help="the film or picture it was made from")
    parser.add_argument("--person", metavar="N|X,Y", help="choose who stays: number from the left, or a point")
    parser.add_argument("--output", metavar="FILE", help="the new film (default: RESULT-composited.mp4 here)")
    return parser


def main(argv: Sequence[str]) -> None:
    """Run the command. Raises UserError."""
    from ..media.atomic import check_output
    from ..media.video import open_source
    from ..vision.people import parse_choice

    options = build_parser().parse_args(argv)
    result_path = Path(options.result)
    person = parse_choice(options.person)
    output = output_beside(options.output, f"{result_path.stem}-composited.mp4", ".mp4", result_path)
    check_output(output)
    with open_source(result_path) as result, open_source(options.source) as source:
        if result.num_frames_25 is None:
            raise InputError(f"{result_path.name} is a picture; give the generated film.")
        films = _Films(result, source, result_path)
        point = person if isinstance(person, tuple) else _point_of(person, films, Path(options.source).name)
        _write(films, point, output, options)
    difference = float(np.mean(films.differences))
    result = {"film": str(output), "frames": films.num_frames, "difference_before": round(difference, 3)}
    print_result(result, _warnings(films, difference), options.json)


class _Films:
    """A result and the source it was made from, both as frames of the result's size and rate."""

    def __init__(self, result: Source, source: Source, result_path: Path) -> None:
        from ..media.probe import probe

        info = probe(result_path)
        self._result, self._source = result, source
        self.result_path = result_path
        self.size = result.height, result.width
        self.has_audio = info.has_audio
        # A film may have the rate of its source instead of the model's.
        self.rate = Fraction(info.fps or FRAMES_PER_SECOND).limit_denominator(1001)
        self.num_frames = max(1, round(result.duration_seconds * self.rate))
        self.differences: list[float] = []  # of each frame, outside the mask, before compositing
        self.num_lost = 0  # frames in which the person was lost

    def of_result(self, frame: int) -> np.ndarray:
        """[H, W, 3] uint8."""
        return self._result.frame_at(float(frame / self.rate))

    def of_source(self, frame: int) -> np.ndarray:
        """[H, W, 3] uint8."""
        from ..media.framing import resize_and_crop

        return resize_and_crop(self._source.frame_at(float(frame / self.rate)), self.size)

    def composited(self, point: tuple[float, float]) -> Iterator[np.ndarray]:
        """Frames [H, W, 3] with the person under `point` from the result and the rest from the source."""
        from ..vision.subject_mask import composite, feathered, follow_person, outside_difference

        frames = range(self.num_frames)
        # The person may lean out of the source's mask in the result and the other way round: both are kept.
        there = follow_person((self.of_source(k) for k in frames), point)
        here = follow_person((self.of_result(k) for k in frames), point)
        for frame, in_source, in_result in zip(frames, there, here):
            self.num_lost += not (in_source.followed and in_result.followed)
            alpha = feathered(np.maximum(in_source.alpha, in_result.alpha))
            generated, original = self.of_result(frame), self.of_source(frame)
            self.differences.append(outside_difference(generated, original, alpha))
            yield composite(generated, original, alpha)


def _point_of(person: int | None, films: _Films, name: str) -> tuple[float, float]:
    """Where the N-th person, or the only one, is in the source's first frame."""
    from ..vision.people import choose, find_people

    people = find_people(films.of_source(0))
    if not people:
        raise InputError(f"No face was found in {name}; say where the person is with --person 0.5,0.4.")
    chosen = choose(people, person, name)
    return chosen.x, chosen.y


def _write(films: _Films, point: tuple[float, float], output: Path, options: argparse.Namespace) -> None:
    from ..media.mux import mux_film
    from ..media.writer import SegmentWriter

    height, width = films.size
    meter = Meter("compositing", options.json)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".composite-") as folder:
        segment = Path(folder) / "pictures.mp4"
        pictures = meter.watch(films.composited(point), films.num_frames)
        SegmentWriter(width, height, rate=films.rate).write(segment, pictures)
        if films.has_audio:
            seconds = float(films.num_frames / films.rate)
            mux_film([segment], films.result_path, seconds, output, rate=films.rate)
        else:
            os.replace(segment, output)


def _warnings(films: _Films, difference: float) -> list[str]:
    warnings = []
    if difference > _LARGEST_DIFFERENCE:
        warnings.append(
            f"Around the person the two films differ by {difference:.0f} of 255; were both made from the same picture, "
            "with the framing that keeps it whole?"
        )
    if films.num_lost:
        warnings.append(
            f"The person was lost in {films.num_lost} of {films.num_frames} frames; the last mask was kept there."
        )
    return warnings
