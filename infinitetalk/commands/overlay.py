"""`infinitetalk overlay JOB_DIR`: the motion targets of camera, head and body drawn over a job's film."""

from __future__ import annotations

import json
from collections.abc import Sequence

from .arguments import CommandParser, command_parser
from .terminal import Meter


def build_parser() -> CommandParser:
    parser = command_parser("overlay", "Draw the motion targets of camera, head and body over a job's film.")
    parser.add_argument("job_dir", metavar="JOB_DIR", help="the job's folder")
    return parser


def main(argv: Sequence[str]) -> None:
    """Run the command. Raises UserError."""
    from ..jobs.folder import JobFolder
    from ..jobs.overlay import overlay_film

    options = build_parser().parse_args(argv)
    film = overlay_film(JobFolder.open(options.job_dir), Meter("drawing", options.json))
    print(json.dumps({"film": str(film)}) if options.json else film)
