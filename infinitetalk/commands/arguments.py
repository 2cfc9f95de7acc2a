"""Command lines whose mistakes are one sentence."""

from __future__ import annotations

import argparse
from typing import NoReturn

from ..errors import InputError


class CommandParser(argparse.ArgumentParser):
    """argparse's parser, but a mistake is an `InputError` and not an exit: every command ends with code 1 then."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message[:1].upper()}{message[1:]}; see {self.prog} --help.")
