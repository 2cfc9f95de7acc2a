"""`infinitetalk takes JOB_DIR`: the takes of a job's chunks, or the choice of one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from ..errors import InputError
from .arguments import CommandParser, command_parser, whole_number_of
from .generate import add_output
from .terminal import checked_output, render


def build_parser() -> CommandParser:
    parser = command_parser("takes", "List the takes of a job's chunks, or choose one.")
    parser.add_argument("job_dir", metavar="JOB_DIR", help="the job's folder")
    parser.add_argument("--chunk", metavar="NUMBER", help="with --use: which chunk")
    parser.add_argument("--use", metavar="TAKE", help="put this take of the chunk into the film; 0 is the first")
    add_output(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code. Raises UserError."""
    from ..pipeline import choose_take

    options = build_parser().parse_args(argv)
    if (options.use is None) != (options.chunk is None):
        raise InputError("takes chooses with --chunk and --use together, such as --chunk 3 --use 1.")
    if options.use is not None:
        events = choose_take(options.job_dir, whole_number_of(options, "chunk"), whole_number_of(options, "use"))
        return render(events, checked_output(options.output), options.json)
    listed = _takes_of(options.job_dir)
    if options.json:
        print(json.dumps(listed, indent=2))
        return 0
    for chunk in listed:
        print(f"{chunk['chunk']:4d}  {chunk['start_seconds']:8.2f} to {chunk['stop_seconds']:8.2f} s")
        if len(chunk["takes"]) > 1:
            for take, overrides in enumerate(chunk["takes"]):
                described = ", ".join(f"{key} {value}" for key, value in overrides.items()) or "the film's own"
                print(f"      {'*' if take == chunk['chosen'] else ' '} take {take}: {described}")
    return 0


def _takes_of(job_dir: str) -> list[dict[str, Any]]:
    """One table for each chunk; its `takes` hold what each take overrides, the film's own first."""
    from ..jobs.folder import JobFolder
    from ..jobs.retakes import ChunkTakes, read_takes
    from ..pipeline import plan

    job = JobFolder.open(job_dir)
    known = read_takes(job)
    listed = []
    for chunk in plan(job.request).chunks:
        own = known.get(chunk.index, ChunkTakes())
        made = [{k: v for k, v in dataclasses.asdict(one).items() if v is not None} for one in own.overrides]
        listed.append(
            {
                "chunk": chunk.index,
                "start_seconds": chunk.start_seconds,
                "stop_seconds": chunk.stop_seconds,
                "chosen": own.chosen,
                "takes": [{}, *made],
            }
        )
    return listed
