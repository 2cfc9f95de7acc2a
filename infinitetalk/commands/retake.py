"""`infinitetalk retake JOB_DIR --chunk N`: one chunk of a finished job is made once more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config.request import parse_seed
from .arguments import CommandParser, add_flag, command_parser, number_of, whole_number_of
from .generate import add_output
from .terminal import checked_output, render


def build_parser() -> CommandParser:
    parser = command_parser("retake", "Make one chunk of a finished job once more, with what is given changed.")
    parser.add_argument("job_dir", metavar="JOB_DIR", help="the job's folder")
    parser.add_argument("--chunk", required=True, metavar="NUMBER", help="from 0, as `plan` and `takes` count")
    parser.add_argument("--seed", metavar="NUMBER", help="whole number (default: other noise than all takes so far)")
    parser.add_argument("--prompt", help="what happens in the picture, where the model reads a prompt")
    add_flag(parser, "--guidance-scale", "--text-scale", metavar="NUMBER", help="guidance by the prompt")
    add_flag(parser, "--audio-guidance-scale", "--audio-scale", metavar="NUMBER", help="guidance by the speech")
    parser.add_argument("--reference", metavar="FILE|SECONDS", help="a picture or an instant of the source to use")
    parser.add_argument(
        "--join",
        default="blend",
        metavar="blend|ripple",
        help="blend: fade into what follows, which stays; ripple: make what follows anew (default: blend)",
    )
    add_output(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code. Raises UserError."""
    from ..jobs.retakes import TakeOverrides
    from ..pipeline import retake

    options = build_parser().parse_args(argv)
    output = checked_output(options.output)
    overrides = TakeOverrides(
        seed=None if options.seed is None else parse_seed(options.seed),
        prompt=options.prompt,
        join=options.join,
        guidance_scale=number_of(options, "guidance_scale"),
        audio_guidance_scale=number_of(options, "audio_guidance_scale"),
        **_reference(options.reference),
    )
    return render(retake(options.job_dir, whole_number_of(options, "chunk"), overrides), output, options.json)


def _reference(text: str | None) -> dict[str, Any]:
    """The override for an instant if the text is a number, else for a picture."""
    if text is None:
        return {}
    try:
        return {"reference_seconds": float(text)}
    except ValueError:
        return {"reference_image": str(Path(text).absolute())}
