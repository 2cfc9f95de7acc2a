"""`python -m infinitetalk evaluate nano --data DIR`: lip-sync and identity on held-out heads and voices."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m infinitetalk evaluate", description="Measure a model's films against exact truth."
    )
    parser.add_argument("model", choices=("nano",), help="what to measure")
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and heldout/ clips")
    parser.add_argument("--clips", type=int, default=8, help="how many held-out clips")
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=None, help="instead of the preset's")
    parser.add_argument("--shift", type=float, default=None, help="instead of the preset's")
    parser.add_argument("--audio-scale", type=float, default=None, help="instead of the preset's")
    parser.add_argument("--sheet", type=Path, default=None, help="also write true and generated frames (PNG)")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON line")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    Raises:
        InputError: no clips, or the packages for measuring identity are not installed.
    """
    arguments = build_parser().parse_args(argv)
    from .nano import contact_sheet, evaluate_films, held_out_clips, make_films

    clips = held_out_clips(arguments.data, arguments.clips)
    overrides = {name: getattr(arguments, name) for name in ("steps", "shift", "audio_scale")}
    chosen = {name: value for name, value in overrides.items() if value is not None}
    films = make_films(clips, arguments.preset, arguments.seed, **chosen)
    if arguments.sheet is not None:
        contact_sheet(films, clips, arguments.sheet)
    figures = evaluate_films(films, clips)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:32} {value:.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
