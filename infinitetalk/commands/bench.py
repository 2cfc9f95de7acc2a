"""`infinitetalk bench`: speed and memory of a film, or with --spec of a network with random weights."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from ..config.request import load_preset
from ..config.settings import CHOICES
from ..errors import InputError
from .arguments import CommandParser, add_flag, command_parser, number_of, whole_number_of


def build_parser() -> CommandParser:
    parser = command_parser("bench", "Measure speed and memory on this machine.")
    film = parser.add_argument_group("a film")
    film.add_argument("--preset", default="nano", help="default: nano")
    film.add_argument("--seconds", default="10", help="length of the speech (default: 10)")
    film.add_argument("--skip-comparison", action="store_true", help="do not time the plain transformer")
    network = parser.add_argument_group("a network with random weights")
    network.add_argument("--spec", metavar="14b|mid", help="measure a network of this size instead of a film")
    network.add_argument("--random-weights", action="store_true", help="needed with --spec")
    for flag, former, default, values, text in (
        ("--size", (), "480p", "480p|720p", "of the pictures"),
        ("--quality", (), "final", "NAME", "preset whose guidance is used"),
        ("--quantization", ("--quant",), "none", "|".join(CHOICES["quantization"]), "of the transformer's weights"),
        ("--offload", (), "none", "|".join(CHOICES["offload"]), "of the transformer's weights"),
        ("--cache", (), "none", "|".join(CHOICES["cache"]), "over all steps of the preset"),
        ("--steps", (), "2", "NUMBER", "measured steps, 1 to 40"),
    ):
        add_flag(network, flag, *former, default=default, metavar=values, help=f"{text} (default: {default})")
    network.add_argument("--plain", action="store_true", help="also time a plain way that keeps nothing")
    return parser


def main(argv: Sequence[str]) -> None:
    """Run the command. Raises UserError."""
    options = build_parser().parse_args(argv)
    if options.spec is not None:
        _bench_network(options)
    else:
        _bench_film(options)


def _bench_film(options: argparse.Namespace) -> None:
    from ..benchmarks.film import bench

    seconds = number_of(options, "seconds")
    if not 0 < seconds <= 36_000:
        raise InputError(f"--seconds is {seconds:g}; give a length from 0.1 to 36000.")
    load_preset(options.preset)  # a wrong name is reported here and not by the measuring process
    result = bench(options.preset, seconds, compare=not options.skip_comparison)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        print(f"{name:36} {value:.3f}" if isinstance(value, float) else f"{name:36} {value}")


def _bench_network(options: argparse.Namespace) -> None:
    from ..benchmarks.model import ModelBench, bench_model, table

    if not options.random_weights:
        raise InputError("bench --spec measures with random weights; add --random-weights to say so.")
    steps = whole_number_of(options, "steps")
    if not 1 <= steps <= 40:
        raise InputError(f"--steps is {steps}; give a whole number from 1 to 40.")
    result = bench_model(
        ModelBench(
            spec=options.spec,
            size=options.size,
            quality=options.quality,
            quantization=options.quantization,
            offload=options.offload,
            cache=options.cache,
            steps=steps,
            plain=options.plain,
        )
    )
    print(json.dumps(result, indent=2) if options.json else table([result]))
