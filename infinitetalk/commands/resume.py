"""`infinitetalk resume JOB_DIR`: a job goes on where a crash or a cancel left it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .arguments import CommandParser, command_parser
from .generate import add_output
from .terminal import checked_output, render


def build_parser() -> CommandParser:
    parser = command_parser("resume", "Continue a job after a crash or cancel.")
    parser.add_argument("job_dir", metavar="JOB_DIR", help="the job's folder")
    parser.add_argument(
        "--relink",
        action="append",
        metavar="NAME=FILE|FOLDER",
        default=[],
        help="give lost media back: a file, or a folder to look in; known by content; repeatable",
    )
    add_output(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code. Raises UserError."""
    from ..pipeline import resume

    options = build_parser().parse_args(argv)
    output = checked_output(options.output)
    if options.relink:
        from ..jobs.folder import JobFolder
        from ..jobs.relink import relink

        found = relink(JobFolder.open(options.job_dir), options.relink)
        print(f"Found again: {', '.join(found) or 'nothing'}.", file=sys.stderr)
    return render(resume(options.job_dir), output, options.json)
