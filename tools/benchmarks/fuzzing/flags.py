"""Command lines: every flag of the commands that end soon, with values that nobody would give."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

from .case import NUMBERS, SHAPES, WORDS, Case, told

_FILM = ["--source", "portrait.png", "--audio", "voice.wav", "--max-seconds", "0.2"]
# A command line of each command that works, to which flags are added. Training and downloads are not tried: they would
# end in hours of work or ask the network.
COMMAND_LINES: dict[str, list[str]] = {
    "plan": _FILM,
    "generate": [*_FILM, "--later", "--job-dir", "job"],
    "resume": ["jobs/a"],
    "retake": ["jobs/a", "--chunk", "0"],
    "takes": ["jobs/a"],
    "overlay": ["jobs/a"],
    "queue": [],
    "presets": [],
    "pose": ["film.mp4", "--seconds", "0.2"],
    "camera": ["orbit", "--picture", "portrait.png", "--seconds", "0.2"],
    "composite": ["film.mp4", "--source", "portrait.png"],
    "tracking": ["film.mp4"],
    "compare": ["film.mp4", "film.mp4", "--output", "comparison.mp4"],
    "evaluate": ["nano", "--data", "gone"],
}
_WEIGHTS = {"plan": 8, "generate": 3, "camera": 2, "pose": 2, "queue": 2}
_NOT_TRIED = {"--help", "--run"}
_COMMAND_WORDS = (
    "",
    "plan ",
    "Plan",
    "-h",
    "--version",
    "help",
    "x" * 10_000,
    "\udcff",
    "..",
    "main",
    "__init__",
    "lock",
    "arguments",
)


@cache
def flags_of(command: str) -> tuple[tuple[str, str], ...]:
    """(flag, how many values it takes: "0", "1", "?" or a number) of a command."""
    parser: argparse.ArgumentParser = importlib.import_module(f"infinitetalk.commands.{command}").build_parser()
    found = []
    for action in parser._actions:
        takes = "0" if action.nargs == 0 else str(action.nargs or 1)
        found += [(flag, takes) for flag in action.option_strings if flag.startswith("--") and flag not in _NOT_TRIED]
    return tuple(found)


def flag_case(random: Random, folder: Path, copy_job: Callable[[Path], None]) -> Case:
    """A command line with one to three extreme values."""
    if random.random() < 0.04:
        word = random.choice(_COMMAND_WORDS)
        return Case(f"the command {told(word)}", [word, *random.choice(([], ["--json"], _FILM))])
    names = list(COMMAND_LINES)
    command = random.choices(names, [_WEIGHTS.get(name, 1) for name in names])[0]
    base = COMMAND_LINES[command]
    if "jobs/a" in base or command == "queue":
        copy_job(folder / "jobs" / "a")
    given = list(base)
    said = []
    if random.random() < 0.15 and given:
        place = random.randrange(len(given))
        given[place] = extreme(random)
        said.append(f"argument {place} is {told(given[place])}")
    for _ in range(random.choice((0, 1, 2)) if said else random.choice((1, 1, 1, 2, 3))):
        flag, takes = random.choice(flags_of(command))
        values = [extreme(random) for _ in range(int(takes) if takes.isdigit() else random.randrange(2))]
        # With "=" a value may begin with a dash, as a shell's user can write it too.
        given += [f"{flag}={values[0]}"] if len(values) == 1 and random.random() < 0.8 else [flag, *values]
        said.append(" ".join([flag, *map(told, values)]))
    return Case(f"{command}: {', '.join(said)}", [command, *given])


def extreme(random: Random) -> str:
    """A value for a flag; without a zero byte, which no shell hands over."""
    words = NUMBERS if random.random() < 0.6 else WORDS
    shape = random.choice(SHAPES)
    return shape.replace("{}", "\1").replace("\1", random.choice(words), 1).replace("\1", random.choice(NUMBERS[:14]))
