"""`infinitetalk demo`: the bundled portrait says the bundled sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..config.request import GenerationRequest, Head, Speaker, load_preset
from ..models.specs import get_spec
from ..paths import assets_dir
from ..runtime.auto import on_this_machine
from .arguments import CommandParser, command_parser
from .generate import add_run, run
from .terminal import free_name


def build_parser() -> CommandParser:
    parser = command_parser("demo", "Make the bundled portrait say the bundled sentence.")
    parser.add_argument("--preset", default="nano", help="default: nano")
    add_run(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code. Raises UserError."""
    options = build_parser().parse_args(argv)
    model = load_preset(on_this_machine(options.preset)).model
    request = GenerationRequest(
        source=str(assets_dir() / "portrait.png"),
        speakers=(Speaker(str(assets_dir() / "speech.wav")),),
        preset=options.preset,
        head=None if get_spec(model).moves_head else Head(),
    )
    options.output = options.output or free_name(Path("infinitetalk-demo.mp4"))
    return run(request, options)
