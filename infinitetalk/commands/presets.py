"""`infinitetalk presets`: what each preset sets and needs, and whether it fits this machine."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from ..config.request import load_preset, preset_names
from .arguments import CommandParser, command_parser

# A usual shape of each size class, for what a preset needs before a source is known; height and width.
_LARGEST_SIZE = {"nano": (256, 256), "480p": (448, 896), "720p": (704, 1280)}


def build_parser() -> CommandParser:
    return command_parser("presets", "List the presets and what they set.")


def main(argv: Sequence[str]) -> None:
    """Run the command. Raises UserError."""
    from ..models.specs import get_spec
    from ..runtime.auto import choose
    from ..runtime.machine import this_machine
    from ..runtime.memory import needs_of, shortfalls

    options = build_parser().parse_args(argv)
    machine = this_machine()
    presets = {}
    for name in preset_names():
        settings = load_preset(name)
        needs = needs_of(get_spec(settings.model), settings, *_LARGEST_SIZE[settings.size])
        lacking = shortfalls(needs, machine, settings)
        presets[name] = dataclasses.asdict(settings) | {
            "needs": {"vram_mb": needs.vram_mb, "ram_mb": needs.ram_mb},
            "fits": not lacking,
            "lacks": lacking,
        }
        if not options.json:
            fit = "fits this machine" if not lacking else "does not fit this machine"
            print(f"{name:24} {settings.description}")
            print(
                f"{'':24} {settings.model}, {settings.steps} steps, shift {settings.shift:g}, guidance by prompt "
                f"{settings.guidance_scale:g}, by speech {settings.audio_guidance_scale:g}; {needs.describe()}: {fit}"
            )
    chosen = choose()
    if options.json:
        print(json.dumps(presets, indent=2))
    else:
        print(f"{'auto':24} {chosen.sentence}")
