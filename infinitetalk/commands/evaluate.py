"""`python -m infinitetalk evaluate nano --data DIR`: every figure of the small model, with its uncertainty."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from .arguments import CommandParser


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = CommandParser(
        prog="python -m infinitetalk evaluate", description="Measure a model's films against exact truth."
    )
    parser.add_argument("model", choices=("nano",), help="what to measure")
    parser.add_argument("--data", type=Path, required=True, help="folder with heldout/ clips")
    parser.add_argument("--out", type=Path, default=None, help="folder for report.json, report.md and contact sheets")
    parser.add_argument("--clips", type=int, default=None, help="how many held-out clips (default: 6)")
    parser.add_argument("--minute", type=float, default=None, metavar="SECONDS",
                        help="length of the long film (default: 60; 0: none)")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="about a minute: 3 clips, 15 s for 60, nothing real")
    parser.add_argument("--no-real", action="store_true", help="leave photographs and recordings out")
    parser.add_argument("--photos", type=Path, default=None, help="folder of photographs instead of packaged ones")
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=None, help="instead of the preset's")
    parser.add_argument("--shift", type=float, default=None, help="instead of the preset's")
    parser.add_argument("--audio-guidance-scale", type=float, default=None, help="instead of the preset's")
    parser.add_argument("--camera", default=None, help="with a camera that moves so, such as pan")
    parser.add_argument("--amount", type=float, default=1.0, help="of that movement (default: 1)")
    parser.add_argument("--by-network", action="store_true", help="the camera is the camera network's")
    parser.add_argument("--pose", type=Path, default=None, help="with a body that moves as in that film or recording")
    parser.add_argument("--head", default=None, help="with a head that moves so: lively, or as in a film")
    parser.add_argument("--json", action="store_true", help="print the whole report as one JSON line")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    Raises:
        InputError: no clips, or the packages for measuring are not installed.
    """
    arguments = build_parser().parse_args(argv)
    from ..config.request import Camera, Head, Pose
    from ..errors import InputError
    from ..evaluation.nano import EvaluationSettings, evaluate_nano

    clips = arguments.clips if arguments.clips is not None else 3 if arguments.quick else 6
    minute = arguments.minute if arguments.minute is not None else 15.0 if arguments.quick else 60.0
    if clips < 2:
        raise InputError(f"--clips is {clips}; give at least 2, so that there is other speech to compare with.")
    if minute < 0 or 0 < minute < 6:
        raise InputError(f"--minute is {minute:g}; give 0, or at least 6 seconds so that there are chunks to compare.")
    overrides = {name: getattr(arguments, name) for name in ("steps", "shift", "audio_guidance_scale")}
    moved = {}
    if arguments.camera is not None:
        mode = "uni3c" if arguments.by_network else "redraw"
        moved["camera"] = Camera(mode, arguments.camera, arguments.amount)
    if arguments.pose is not None:
        moved["pose"] = Pose(source=str(arguments.pose))
    if arguments.head is not None:
        moved["head"] = Head(arguments.head)
    report = evaluate_nano(
        EvaluationSettings(
            data=arguments.data,
            out=arguments.out,
            preset=arguments.preset,
            clips=clips,
            seed=arguments.seed,
            minute_seconds=minute,
            real=not (arguments.quick or arguments.no_real),
            photos=arguments.photos,
            request={name: value for name, value in overrides.items() if value is not None} | moved,
        )
    )
    print(json.dumps(report.to_dict(), ensure_ascii=False) if arguments.json else report.to_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
