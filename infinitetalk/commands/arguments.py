"""What all command lines share: mistakes that are one sentence, former spellings of flags, numbers."""

from __future__ import annotations

import argparse
import math
from typing import Any, NoReturn, Protocol

from ..errors import InputError


class CommandParser(argparse.ArgumentParser):
    """argparse's parser, but a mistake is an `InputError` and not an exit: every command ends with code 1 then."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message[:1].upper()}{message[1:]}; see {self.prog} --help.")


class TakesFlags(Protocol):
    """A parser, or a group of one."""

    def add_argument(self, *name_or_flags: str, **options: Any) -> argparse.Action: ...


def command_parser(name: str, description: str) -> CommandParser:
    """The parser of `infinitetalk NAME`, with the flag that every command has."""
    parser = CommandParser(prog=f"infinitetalk {name}", description=description)
    add_json(parser)
    return parser


def add_json(parser: TakesFlags) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def add_flag(parser: TakesFlags, flag: str, *former: str, **options: Any) -> None:
    """Add a flag. Its former spellings set the same value, and `--help` does not show them."""
    destination = parser.add_argument(flag, **options).dest
    hidden = options | {"help": argparse.SUPPRESS, "default": argparse.SUPPRESS, "dest": destination}
    for spelling in former:
        parser.add_argument(spelling, **hidden)


def number_of(options: argparse.Namespace, name: str) -> float | None:
    """A flag's number; None where the flag was not given.

    Raises:
        InputError: it is no number.
    """
    text = getattr(options, name)
    try:
        return None if text is None else float(text)
    except ValueError:
        raise InputError(f"--{name.replace('_', '-')} is {text!r}; give a number.") from None


def whole_number_of(options: argparse.Namespace, name: str) -> int:
    """A flag's whole number. Raises InputError."""
    value = number_of(options, name)
    if value is None or not value.is_integer():
        raise InputError(f"--{name.replace('_', '-')} is {getattr(options, name)!r}; give a whole number.")
    return int(value)


def number_between(options: argparse.Namespace, name: str, low: float, high: float) -> float | None:
    """A flag's number; None where the flag was not given.

    Raises:
        InputError: it is no number, or not from `low` to `high`.
    """
    text = getattr(options, name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InputError(f"--{name.replace('_', '-')} is {text!r}; give a number from {low:g} to {high:g}.")
    return value
