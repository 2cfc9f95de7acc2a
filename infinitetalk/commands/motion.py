"""`python -m infinitetalk pose FILM` and `camera FILM|MOVEMENT`: see what would steer a film before it is made."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError, OutputError
from .arguments import CommandParser

_MAX_SIDE = 768  # pixels of a condition film made for looking at
_MOST_SECONDS = 4 * 3600


def pose_parser() -> argparse.ArgumentParser:
    """Options of `pose`."""
    parser = CommandParser(
        prog="infinitetalk pose",
        description="Read a person's movement from a film: a recorded sequence and the skeleton film that steers.",
    )
    parser.add_argument("film", help="a film or picture, or a recorded sequence (.npz)")
    parser.add_argument("--output", metavar="FILE", help="skeleton film (default: FILM-pose.mp4 here)")
    parser.add_argument("--sequence", metavar="FILE", help="recorded sequence (default: beside the film, .npz)")
    parser.add_argument("--person", metavar="N|X,Y", help="whom of several: from the left, or a point on them")
    parser.add_argument("--fit-to", metavar="PICTURE", help="put the movement on the body of the person in it")
    parser.add_argument("--start", default="0", metavar="SECONDS", help="where in the film to begin (default: 0)")
    parser.add_argument("--seconds", metavar="SECONDS", help="length (default: to the end of the film)")
    parser.add_argument("--speed", default="1", metavar="NUMBER", help="0.25 to 4 times as fast (default: 1)")
    parser.add_argument("--accept-cuts", action="store_true", help="read on across changes of shot")
    parser.add_argument("--overlay", action="store_true", help="draw over the darkened film, to check it")
    parser.add_argument("--checkpoints-dir", metavar="DIR", help="where a DWPose file may lie (dw-ll_ucoco_384.onnx)")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser


def camera_parser() -> argparse.ArgumentParser:
    """Options of `camera`."""
    from ..vision.camera_path import PRESETS

    parser = CommandParser(
        prog="infinitetalk camera",
        description="A camera movement over a picture: its path, and the rendering that steers.",
    )
    parser.add_argument("movement", help=f"a film to follow, a path (.json), or one of: {', '.join(PRESETS)}")
    parser.add_argument("--picture", metavar="FILE", help="what is filmed (default: the film's first frame)")
    parser.add_argument("--amount", default="1", metavar="NUMBER", help="of a ready-made one, -3 to 3 (default: 1)")
    parser.add_argument("--seconds", metavar="SECONDS", help="length (default: the film's, or 3)")
    parser.add_argument("--output", metavar="FILE", help="rendered film (default: NAME-camera.mp4 here)")
    parser.add_argument("--path", metavar="FILE", help="the path, to edit (default: beside the film, .json)")
    parser.add_argument("--accept-cuts", action="store_true", help="follow a film across changes of shot")
    parser.add_argument("--checkpoints-dir", metavar="DIR", help="where a depth network may lie (in depth/)")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser


def pose_main(argv: Sequence[str]) -> int:
    """Run `pose`; returns the exit code.

    Raises:
        UserError: in the user's words, for whatever cannot be read or written.
    """
    from ..media.images import load_image
    from ..media.video import open_source
    from ..media.writer import SegmentWriter
    from ..vision.people import parse_choice
    from ..vision.pose_draw import draw_skeletons
    from ..vision.pose_edit import retarget, retime
    from ..vision.pose_extract import read_picture_pose, read_pose
    from ..vision.pose_file import load_pose, save_pose

    options = pose_parser().parse_args(argv)
    film = Path(options.film)
    start, speed = _number(options.start, "--start", 0, _MOST_SECONDS), _number(options.speed, "--speed", 0.25, 4)
    seconds = None if options.seconds is None else _number(options.seconds, "--seconds", 0.04, _MOST_SECONDS)
    recorded = film.suffix.lower() == ".npz"
    if recorded and options.overlay:
        raise InputError("A recorded sequence has no film to draw over; leave --overlay out or give the film.")
    output = place(options.output, f"{film.stem}-pose.mp4", ".mp4", film)
    kept = place(options.sequence, str(output.with_suffix(".npz")), ".npz", film)
    meter = Meter("reading", options.json)
    if recorded:
        sequence, warnings, reader = load_pose(film), (), "recorded"
    else:
        reading = read_pose(
            film, person=parse_choice(options.person), start_seconds=start, accept_cuts=options.accept_cuts,
            max_seconds=None if seconds is None else seconds * speed, weights_dir=options.checkpoints_dir, report=meter,
        )  # fmt: skip
        sequence, warnings, reader = reading.sequence, reading.warnings, reading.reader
    if recorded and start >= sequence.seconds:
        raise InputError(f"{film.name} is {sequence.seconds:.1f} s long, so nothing begins at {start:g} s.")
    left = (sequence.seconds - (start if recorded else 0)) / speed
    if seconds is not None and left < seconds - 0.02:
        warnings += (f"The movement ends after {left:.1f} of {seconds:g} s; the last pose is held.",)
    frames = max(1, round(25 * (seconds if seconds is not None else left)))
    sequence = retime(sequence, frames, start_seconds=start if recorded else 0.0, speed=speed)
    if options.fit_to is not None:
        reference = read_picture_pose(load_image(options.fit_to, _MAX_SIDE), Path(options.fit_to).name)
        sequence = retarget(sequence, reference)
    height, width = _film_size(sequence.height, sequence.width)
    pictures = draw_skeletons(sequence, height, width)
    meter = Meter("drawing", options.json)
    if options.overlay:
        with open_source(film, max(height, width)) as source:
            under = (source.frame_at(start + index * speed / 25) for index in range(frames))
            pictures = _over(under, pictures, height, width)
            SegmentWriter(width, height).write(output, meter.watch(pictures, frames))
    else:
        SegmentWriter(width, height).write(output, meter.watch(pictures, frames))
    save_pose(sequence, kept)
    return tell(
        {"film": str(output), "sequence": str(kept), "frames": frames, "reader": reader,
         "person_seen": round(float(sequence.has_person.mean()), 4),
         "filled": round(float(sequence.filled.any(axis=1).mean()), 4)},
        warnings, options.json,
    )  # fmt: skip


def camera_main(argv: Sequence[str]) -> int:
    """Run `camera`; returns the exit code.

    Raises:
        UserError: in the user's words, for whatever cannot be read or written.
    """
    from ..media.images import load_image
    from ..media.video import first_frame
    from ..media.writer import SegmentWriter
    from ..vision.camera_path import PRESETS, intrinsics, load_path, preset_path, save_path
    from ..vision.depth import scene_depth
    from ..vision.point_cloud import render_path

    options = camera_parser().parse_args(argv)
    amount = _number(options.amount, "--amount", -3, 3)
    seconds = None if options.seconds is None else _number(options.seconds, "--seconds", 0.2, _MOST_SECONDS)
    movement = options.movement.replace("-", " ").lower()
    given, warnings = Path(options.movement), []
    film = movement not in PRESETS and given.suffix.lower() != ".json"
    if options.picture is None and not film:
        raise InputError("Nothing to film was given; add --picture portrait.png.")
    name = movement.replace(" ", "-") if movement in PRESETS else given.stem
    output = place(options.output, f"{name}-camera.mp4", ".mp4", given)
    kept = place(options.path, str(output.with_suffix(".json")), ".json", given)
    if film and not given.is_file():
        raise InputError(
            f"{options.movement} is neither a film nor a camera movement; give a file or one of {', '.join(PRESETS)}."
        )
    if film:
        path, followed = _follow_film(given, seconds, options)
        if followed < 0.95:
            warnings.append(f"The camera was followed in {100 * followed:.0f} % of the frames; it rests in the others.")
    elif movement in PRESETS:
        path = preset_path(movement, amount, seconds or 3.0)
    else:
        path = load_path(given)
    picture = load_image(options.picture, _MAX_SIDE) if options.picture else first_frame(given, _MAX_SIDE)
    height, width = _film_size(*picture.shape[:2])
    picture = _resized(picture, height, width)
    scene = scene_depth(picture, options.checkpoints_dir)
    warnings.append(scene.how)
    frames = max(1, round(25 * (seconds or path.points[-1].seconds or 3.0)))
    holes: list[float] = []

    def pictures():
        for frame, hole in render_path(picture, scene.depth, intrinsics(height, width), path.w2c(frames)):
            holes.append(float(hole.mean()))
            yield frame

    meter = Meter("drawing", options.json)
    SegmentWriter(width, height).write(output, meter.watch(pictures(), frames))
    save_path(path, kept)
    return tell(
        {"film": str(output), "path": str(kept), "frames": frames, "points": len(path.points),
         "largest_hole": round(max(holes), 4)},
        warnings, options.json,
    )  # fmt: skip


def _follow_film(film: Path, seconds: float | None, options: argparse.Namespace) -> tuple[Any, float]:
    from ..media.cuts import find_cuts
    from ..media.video import open_source
    from ..vision.camera_motion import as_path, estimate_motion
    from ..vision.camera_path import film_print
    from ..vision.depth import person_mask

    with open_source(film, 512) as source:
        if source.kind == "image":
            raise InputError(f"{film.name} is a picture, whose camera rests; choose a film or a ready-made movement.")
        end = min(source.duration_seconds, seconds or source.duration_seconds)
        cuts = [cut for cut in find_cuts(film, until_seconds=end) if cut < end]
        if cuts and not options.accept_cuts:
            raise InputError(
                f"{film.name} cuts to another shot at {cuts[0]:.2f} s, where no camera moves on; use --seconds to end "
                "before it, or --accept-cuts."
            )
        frames = max(1, round(25 * end))
        meter = Meter("following", options.json)
        motion = estimate_motion(
            source.frames(0.0, frames), ignore=lambda frame: person_mask(frame) > 0.3,
            report=lambda done: meter(done / frames),
        )  # fmt: skip
    return as_path(motion, f"followed from {film.name}", film_print(film)), motion.followed


def _over(under, skeletons, height: int, width: int):
    import numpy as np

    for frame, skeleton in zip(under, skeletons):
        yield np.maximum(_resized(frame, height, width) // 3, skeleton)


def _resized(picture, height: int, width: int):
    import cv2

    return picture if picture.shape[:2] == (height, width) else cv2.resize(picture, (width, height))


def _film_size(height: int, width: int) -> tuple[int, int]:
    """Even sides, for 4:2:0 video."""
    return max(2, height - height % 2), max(2, width - width % 2)


def _number(text: str, flag: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise InputError(f"{flag} is {text!r}; give a number from {least:g} to {most:g}.")
    return value


def place(given: str | None, otherwise: str, suffix: str, source: Path) -> Path:
    """Where a result goes: as asked, or a name that nothing has yet."""
    if given is not None:
        path = Path(given)
        if path.suffix.lower() != suffix:
            raise OutputError(f"The output {path} does not end in {suffix}; rename it.")
        if path.exists() and source.exists() and path.samefile(source):
            raise OutputError(f"The output {path.name} is the film that is read; choose another name for it.")
        return path
    path, number = Path(otherwise), 2
    while path.exists():
        path = Path(otherwise).with_name(f"{Path(otherwise).stem}-{number}{suffix}")
        number += 1
    return path


def tell(result: dict[str, Any], warnings: Sequence[str], as_json: bool) -> int:
    if as_json:
        print(json.dumps({**result, "warnings": list(warnings)}, indent=2))
        return 0
    for warning in warnings:
        print(f"Note: {warning}", file=sys.stderr)
    for name in ("film", "sequence", "path"):
        if name in result:
            print(result[name])
    return 0


class Meter:
    """One line on a terminal: what is done, the share and the time left."""

    def __init__(self, what: str, silent: bool) -> None:
        self._what, self._shown = what, not silent and sys.stderr.isatty()
        self._begun = time.monotonic()

    def __call__(self, share: float) -> None:
        if self._shown and share > 0:
            left = (time.monotonic() - self._begun) * (1 - share) / share
            end = "\n" if share >= 1 else ""
            line = f"\r\x1b[K{self._what} {100 * share:3.0f} % {left:.0f} s left"
            print(line, end=end, file=sys.stderr, flush=True)

    def watch(self, items, total: int):
        for index, item in enumerate(items, start=1):
            yield item
            self(index / total)
