"""`python -m infinitetalk followed RESULT --pose SEQUENCE | --camera PATH`: how well a film did what was asked."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from .arguments import CommandParser
from .motion import Meter

_FEWEST_FRAMES = 10


def followed_parser() -> argparse.ArgumentParser:
    """Options of `followed`."""
    parser = CommandParser(prog="infinitetalk followed", description="How well a film follows a pose or a camera path.")
    parser.add_argument("result", help="the film to judge")
    parser.add_argument("--pose", metavar="FILE", help="the recorded sequence it was to follow (.npz)")
    parser.add_argument("--camera", metavar="FILE", help="the camera path it was to follow (.json)")
    parser.add_argument("--person", metavar="N|X,Y", help="whom, where several are seen: from the left, or a point")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser


def followed_main(argv: Sequence[str]) -> int:
    """Run `followed`; returns the exit code.

    Raises:
        UserError: in the user's words, for whatever cannot be read.
    """
    options = followed_parser().parse_args(argv)
    if options.pose is None and options.camera is None:
        raise InputError("Nothing to compare with was given; add --pose movement.npz or --camera path.json.")
    scores = {}
    if options.pose is not None:
        scores["pose"] = _pose(options)
    if options.camera is not None:
        scores["camera"] = _camera(options)
    if options.json:
        told = {name: dataclasses.asdict(score) for name, score in scores.items()}
        for score in told.values():
            score["value"] = score["value"] if math.isfinite(score["value"]) else None
        print(json.dumps(told, indent=2))
    else:
        for score in scores.values():
            print(score.sentence)
    return 0


def _pose(options: argparse.Namespace):
    from ..vision.people import parse_choice
    from ..vision.pose_edit import retime
    from ..vision.pose_extract import read_pose
    from ..vision.pose_file import load_pose
    from ..vision.tracking import pose_tracking_score

    asked = load_pose(options.pose)
    reading = read_pose(
        options.result, person=parse_choice(options.person), max_seconds=asked.seconds, accept_cuts=True,
        report=Meter("reading", options.json),
    )  # fmt: skip
    frames = min(len(asked), len(reading.sequence))
    return pose_tracking_score(retime(asked, frames), retime(reading.sequence, frames))


def _camera(options: argparse.Namespace):
    from ..media.video import open_source
    from ..vision.camera_motion import estimate_motion
    from ..vision.camera_path import load_path, to_w2c
    from ..vision.depth import scene_depth
    from ..vision.tracking import camera_tracking_score

    path = load_path(options.camera)
    with open_source(options.result, 512) as source:
        if source.num_frames_25 is None:
            raise InputError(f"{Path(options.result).name} is a picture, whose camera rests; give the film to judge.")
        frames = source.num_frames_25
        if frames < _FEWEST_FRAMES:
            raise InputError(
                f"{Path(options.result).name} has {frames} frame{'s' if frames > 1 else ''}, too few to tell a "
                f"movement; give a film of at least {_FEWEST_FRAMES}."
            )
        meter = Meter("following", options.json)
        motion = estimate_motion(
            source.frames(0.0, frames), depth=scene_depth(source.frame_at(0.0)).depth,
            report=lambda done: meter(done / frames),
        )  # fmt: skip
    return camera_tracking_score(path.w2c(frames), to_w2c(motion.values))
