"""`infinitetalk evaluate nano --data DIR`: every figure of the small model, with its uncertainty."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from .arguments import CommandParser, add_flag, command_parser


def build_parser() -> CommandParser:
    parser = command_parser("evaluate", "Measure a model's films against exact truth.")
    parser.add_argument("model", choices=("nano",), help="what to measure")
    parser.add_argument("--data", type=Path, required=True, help="folder with heldout/ clips")
    parser.add_argument("--out", type=Path, help="folder for report.json, report.md and contact sheets")
    parser.add_argument("--clips", type=int, help="how many held-out clips (default: 6)")
    parser.add_argument(
        "--minute", type=float, metavar="SECONDS", help="length of the long film (default: 60; 0: no long film)"
    )
    parser.add_argument("--quick", action="store_true", help="about a minute: 3 clips, 15 s for 60, nothing real")
    parser.add_argument("--no-real", action="store_true", help="leave photographs and recordings out")
    parser.add_argument("--photos", type=Path, help="folder of photographs instead of packaged ones")
    film = parser.add_argument_group("the films that are measured")
    film.add_argument("--preset", default="nano")
    film.add_argument("--seed", type=int, default=7)
    film.add_argument("--steps", type=int, help="instead of the preset's")
    film.add_argument("--shift", type=float, help="instead of the preset's")
    add_flag(film, "--audio-guidance-scale", "--audio-scale", type=float, help="instead of the preset's")
    film.add_argument("--camera", help="finished pictures are reprojected along this camera path, such as pan")
    film.add_argument("--amount", type=float, default=1.0, help="of that movement (default: 1)")
    add_flag(
        film,
        "--camera-control",
        "--by-network",
        action="store_true",
        help="the camera control network follows that path instead",
    )
    film.add_argument("--pose", type=Path, help="the body follows that film or recorded sequence")
    film.add_argument("--head", help="a head that moves: lively, or as in a film")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    Raises:
        InputError: no clips, or the packages for measuring are not installed.
    """
    options = build_parser().parse_args(argv)
    from ..evaluation.nano import EvaluationSettings, evaluate_nano

    clips = options.clips if options.clips is not None else 3 if options.quick else 6
    minute = options.minute if options.minute is not None else 15.0 if options.quick else 60.0
    if clips < 2:
        raise InputError(f"--clips is {clips}; give at least 2, so that there is other speech to compare with.")
    if minute < 0 or 0 < minute < 6:
        raise InputError(f"--minute is {minute:g}; give 0, or at least 6 seconds so that there are chunks to compare.")
    report = evaluate_nano(
        EvaluationSettings(
            data=options.data,
            out=options.out,
            preset=options.preset,
            clips=clips,
            seed=options.seed,
            minute_seconds=minute,
            real=not (options.quick or options.no_real),
            photos=options.photos,
            request=_request_fields(options),
        )
    )
    print(json.dumps(report.to_dict(), ensure_ascii=False) if options.json else report.to_text())
    return 0


def _request_fields(options: argparse.Namespace) -> dict[str, Any]:
    """What the measured films' requests hold besides the preset's settings."""
    from ..config.request import Camera, CameraControl, Head, Pose

    overrides = {name: getattr(options, name) for name in ("steps", "shift", "audio_guidance_scale")}
    given = {name: value for name, value in overrides.items() if value is not None}
    if options.camera is not None and options.camera_control:
        given["camera_control"] = CameraControl(options.camera, options.amount)
    elif options.camera is not None:
        given["camera"] = Camera(options.camera, options.amount)
    if options.pose is not None:
        given["pose"] = Pose(source=str(options.pose))
    if options.head is not None:
        given["head"] = Head(options.head)
    return given


if __name__ == "__main__":
    raise SystemExit(main())
