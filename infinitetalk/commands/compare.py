"""`infinitetalk compare A B --output comparison.mp4|comparison.html`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from .arguments import CommandParser


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = CommandParser(prog="infinitetalk compare", description="Two films against each other: a film or a page.")
    parser.add_argument("first", help="a job folder or a film; its sound is used")
    parser.add_argument("second", help="a job folder or a film")
    parser.add_argument("--output", type=Path, required=True, help="comparison.mp4, or comparison.html to share")
    parser.add_argument("--layout", choices=("side", "wipe"), default="side", help="of an mp4 (default: side by side)")
    parser.add_argument("--labels", nargs=2, metavar=("A", "B"), help="labels (default: of folders and files)")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code.

    Raises:
        UserError: in the user's words, for whatever cannot be compared or written.
    """
    from ..comparison.film import export_film
    from ..comparison.page import export_page
    from ..comparison.sides import differences, open_side

    options = build_parser().parse_args(argv)
    labels = options.labels or (None, None)
    first, second = open_side(options.first, labels[0]), open_side(options.second, labels[1])
    if options.output.suffix == ".html":
        files = export_page(first, second, options.output)
    elif options.output.suffix == ".mp4":
        show = _Meter() if sys.stderr.isatty() and not options.json else None
        files = [export_film(first, second, options.output, layout=options.layout, report=show)]
    else:
        raise InputError(f"{options.output} is neither .mp4 nor .html; name the comparison so.")
    differing = differences(first, second)
    if options.json:
        print(json.dumps({"files": [str(file) for file in files], "differences": differing}))
        return 0
    for name, left, right in differing:
        print(f"{name}: {left} | {right}")
    print(files[0])
    return 0


class _Meter:
    def __call__(self, share: float) -> None:
        print(f"\r{100 * share:3.0f} %", end="" if share < 1 else "\n", file=sys.stderr, flush=True)
