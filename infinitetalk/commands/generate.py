"""`infinitetalk generate`: flags into one `GenerationRequest`, and its film."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..config.request import GenerationRequest
from ..errors import OutputError
from .arguments import CommandParser, TakesFlags, add_json
from .request_arguments import add_request, read_request
from .terminal import checked_output, free_name, render


def build_parser() -> CommandParser:
    parser = CommandParser(prog="infinitetalk generate", description="Make a film from a picture or film and speech.")
    output = add_request(parser)
    add_run(output)
    add_json(output)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code. Raises UserError."""
    options = build_parser().parse_args(argv)
    return run(read_request(options), options)


def add_run(parser: TakesFlags) -> None:
    """Add the flags that say where the job and the film go."""
    parser.add_argument("--later", action="store_true", help="only make the job's folder, for `queue` or `resume`")
    parser.add_argument("--job-dir", metavar="DIR", help="new folder for the job (default: a new one below jobs/)")
    add_output(parser)


def add_output(parser: TakesFlags) -> None:
    parser.add_argument("--output", metavar="FILE", help="also write the film here (.mp4)")


def run(request: GenerationRequest, options: argparse.Namespace) -> int:
    """Make the film, or only its job; returns the exit code. Raises UserError."""
    from ..pipeline import generate, load_models, plan, prepare_job
    from ..runtime.process_group import process_group

    output = checked_output(options.output)
    _keep_inputs(request, output)
    film = plan(request)
    if process_group().leads:
        for warning in film.warnings:
            print(f"Note: {warning}", file=sys.stderr)
    job_dir = Path(options.job_dir) if options.job_dir else new_job_dir(Path("jobs"), request.source)
    job_dir = Path(process_group().broadcast(str(job_dir)))
    if options.later:
        print(prepare_job(request, job_dir).path)
        return 0
    return render(generate(request, load_models(request), job_dir), output, options.json)


def _keep_inputs(request: GenerationRequest, output: Path | None) -> None:
    """Raises OutputError if the output would take the place of an input."""
    keyframes = [keyframe.image for keyframe in request.keyframes if keyframe.image]
    for name in (request.source, *(speaker.audio for speaker in request.speakers), *keyframes):
        if output is not None and output.exists() and Path(name).exists() and output.samefile(name):
            raise OutputError(f"The output {output.name} is the source or speech itself; choose another name for it.")


def new_job_dir(parent: Path, source: str) -> Path:
    """A folder name below `parent` that nothing uses yet: source name and local time."""
    name = os.fsencode(Path(source).stem[:40]).decode("utf-8", "replace")
    return free_name(parent / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}")
