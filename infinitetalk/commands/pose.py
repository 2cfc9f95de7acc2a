"""`infinitetalk pose FILM`: a person's movement as a recorded sequence, and a film of its skeletons."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.constants import FRAMES_PER_SECOND
from ..config.pose import FASTEST, SLOWEST
from ..errors import InputError
from .arguments import CommandParser, command_parser, number_between
from .picture_sizes import MAX_SECONDS, MAX_SIDE, film_size, resized
from .terminal import Meter, output_beside, print_result

if TYPE_CHECKING:
    import numpy as np

    from ..vision.pose import PoseSequence

_TOLERANCE_SECONDS = 0.02  # half a frame


def build_parser() -> CommandParser:
    parser = command_parser(
        "pose", "Read a person's movement from a film: a recorded sequence, and a film of its skeletons."
    )
    parser.add_argument("film", help="a film or picture, or a recorded sequence (.npz)")
    parser.add_argument("--output", metavar="FILE", help="skeleton film (default: FILM-pose.mp4 here)")
    parser.add_argument("--sequence", metavar="FILE", help="recorded sequence (default: next to the film, .npz)")
    parser.add_argument("--person", metavar="N|X,Y", help="choose the person: number from the left, or a point")
    parser.add_argument("--fit-to", metavar="PICTURE", help="retarget the movement to the body of the person in it")
    parser.add_argument("--start", default="0", metavar="SECONDS", help="where in the film to begin (default: 0)")
    parser.add_argument("--seconds", metavar="SECONDS", help="length (default: to the end of the film)")
    parser.add_argument(
        "--speed", default="1", metavar="NUMBER", help=f"{SLOWEST:g} to {FASTEST:g} times as fast (default: 1)"
    )
    parser.add_argument("--accept-cuts", action="store_true", help="read on across changes of shot")
    parser.add_argument("--overlay", action="store_true", help="draw over the darkened film, to check it")
    parser.add_argument("--checkpoints-dir", metavar="DIR", help="where a DWPose file may lie (dw-ll_ucoco_384.onnx)")
    return parser


def main(argv: Sequence[str]) -> None:
    """Run the command. Raises UserError."""
    from ..media.images import load_image
    from ..vision.pose_edit import retarget, retime
    from ..vision.pose_extract import read_picture_pose
    from ..vision.pose_file import save_pose

    options = build_parser().parse_args(argv)
    film = Path(options.film)
    start = number_between(options, "start", 0, MAX_SECONDS)
    speed = number_between(options, "speed", SLOWEST, FASTEST)
    seconds = number_between(options, "seconds", 0.04, MAX_SECONDS)
    if _is_recorded(film) and options.overlay:
        raise InputError("A recorded sequence has no film to draw over; leave --overlay out or give the film.")
    output = output_beside(options.output, f"{film.stem}-pose.mp4", ".mp4", film)
    kept = output_beside(options.sequence, str(output.with_suffix(".npz")), ".npz", film)
    sequence, warnings, reader = _read(film, options, start, None if seconds is None else seconds * speed)
    start_in_sequence = start if _is_recorded(film) else 0.0
    if _is_recorded(film) and start >= sequence.seconds:
        raise InputError(f"{film.name} is {sequence.seconds:.1f} s long, so nothing begins at {start:g} s.")
    left = (sequence.seconds - start_in_sequence) / speed
    if seconds is not None and left < seconds - _TOLERANCE_SECONDS:
        warnings += (f"The movement ends after {left:.1f} of {seconds:g} s; the last pose is held.",)
    frames = max(1, round(FRAMES_PER_SECOND * (left if seconds is None else seconds)))
    sequence = retime(sequence, frames, start_seconds=start_in_sequence, speed=speed)
    if options.fit_to is not None:
        reference = read_picture_pose(load_image(options.fit_to, MAX_SIDE), Path(options.fit_to).name)
        sequence = retarget(sequence, reference)
    _write_skeletons(sequence, output, options, start, speed)
    save_pose(sequence, kept)
    result = {
        "film": str(output),
        "sequence": str(kept),
        "frames": frames,
        "reader": reader,
        "person_seen": round(float(sequence.has_person.mean()), 4),
        "filled": round(float(sequence.filled.any(axis=1).mean()), 4),
    }
    print_result(result, warnings, options.json)


def _is_recorded(film: Path) -> bool:
    return film.suffix.lower() == ".npz"


def _read(
    film: Path, options: argparse.Namespace, start: float, max_seconds: float | None
) -> tuple[PoseSequence, tuple[str, ...], str]:
    """The film's movement, warnings, and what read it."""
    from ..vision.people import parse_choice
    from ..vision.pose_extract import read_pose
    from ..vision.pose_file import load_pose

    if _is_recorded(film):
        return load_pose(film), (), "recorded"
    extracted = read_pose(
        film,
        person=parse_choice(options.person),
        start_seconds=start,
        accept_cuts=options.accept_cuts,
        max_seconds=max_seconds,
        weights_dir=options.checkpoints_dir,
        report=Meter("reading", options.json),
    )
    return extracted.sequence, extracted.warnings, extracted.reader


def _write_skeletons(
    sequence: PoseSequence, output: Path, options: argparse.Namespace, start: float, speed: float
) -> None:
    """Draw the sequence on black, or with --overlay over the film that it was read from."""
    from ..media.video import open_source
    from ..media.writer import SegmentWriter
    from ..vision.pose_draw import draw_skeletons

    height, width = film_size(sequence.height, sequence.width)
    skeletons, frames = draw_skeletons(sequence, height, width), len(sequence)
    meter, writer = Meter("drawing", options.json), SegmentWriter(width, height)
    if not options.overlay:
        writer.write(output, meter.watch(skeletons, frames))
        return
    with open_source(Path(options.film), max(height, width)) as source:
        under = (source.frame_at(start + index * speed / FRAMES_PER_SECOND) for index in range(frames))
        writer.write(output, meter.watch(_over(under, skeletons, height, width), frames))


def _over(
    under: Iterable[np.ndarray], skeletons: Iterable[np.ndarray], height: int, width: int
) -> Iterator[np.ndarray]:
    import numpy as np

    for frame, skeleton in zip(under, skeletons):
        yield np.maximum(resized(frame, height, width) // 3, skeleton)
