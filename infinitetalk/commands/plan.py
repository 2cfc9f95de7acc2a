"""`infinitetalk plan`: what a film would take, before any weight is loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence

from .arguments import CommandParser, add_json
from .request_arguments import add_request, read_request


def build_parser() -> CommandParser:
    parser = CommandParser(
        prog="infinitetalk plan",
        description="Say what a film would take: chunks, time, memory, warnings. Loads no weights.",
    )
    add_json(add_request(parser))
    return parser


def main(argv: Sequence[str]) -> None:
    """Run the command. Raises UserError."""
    from ..pipeline import plan

    options = build_parser().parse_args(argv)
    film = plan(read_request(options))
    print(json.dumps(film.to_dict(), indent=2) if options.json else film.describe())
