"""`infinitetalk tracking RESULT --pose SEQUENCE | --camera PATH`: the tracking scores of a film."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .arguments import CommandParser, command_parser
from .terminal import Meter

if TYPE_CHECKING:
    from ..vision.tracking import TrackingScore

_FEWEST_FRAMES = 10


def build_parser() -> CommandParser:
    parser = command_parser("tracking", "Score how well a film follows a pose or a camera path.")
    parser.add_argument("result", help="the film to judge")
    parser.add_argument("--pose", metavar="FILE", help="the recorded sequence that it was to follow (.npz)")
    parser.add_argument("--camera", metavar="FILE", help="the camera path that it was to follow (.json)")
    parser.add_argument("--person", metavar="N|X,Y", help="choose the person: number from the left, or a point")
    return parser


def main(argv: Sequence[str]) -> None:
    """Run the command. Raises UserError."""
    options = build_parser().parse_args(argv)
    if options.pose is None and options.camera is None:
        raise InputError("Nothing to compare with was given; add --pose movement.npz or --camera path.json.")
    scores = {}
    if options.pose is not None:
        scores["pose"] = _pose_score(options)
    if options.camera is not None:
        scores["camera"] = _camera_score(options)
    if not options.json:
        for score in scores.values():
            print(score.sentence)
        return
    result = {name: dataclasses.asdict(score) for name, score in scores.items()}
    for score in result.values():
        score["value"] = score["value"] if math.isfinite(score["value"]) else None
    print(json.dumps(result, indent=2))


def _pose_score(options: argparse.Namespace) -> TrackingScore:
    from ..vision.people import parse_choice
    from ..vision.pose_edit import retime
    from ..vision.pose_extract import read_pose
    from ..vision.pose_file import load_pose
    from ..vision.tracking import pose_tracking_score

    targets = load_pose(options.pose)
    extracted = read_pose(
        options.result, person=parse_choice(options.person), max_seconds=targets.seconds, accept_cuts=True,
        report=Meter("reading", options.json),
    )  # fmt: skip
    frames = min(len(targets), len(extracted.sequence))
    return pose_tracking_score(retime(targets, frames), retime(extracted.sequence, frames))


def _camera_score(options: argparse.Namespace) -> TrackingScore:
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
