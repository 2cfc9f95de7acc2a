"""What the choices about camera, head and body have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol, TypeVar

from ..errors import InputError
from .settings import known_keys, number

FOLLOW = "follow"  # read from the source film
MAX_CONTROL_STRENGTH = 2.0

T = TypeVar("T")
Digest = Callable[[str], str]  # a file's path -> a hash of its content


class Choice(Protocol):
    """A choice that a request may hold; None in its place means that the feature is off."""

    @property
    def file(self) -> str | None:
        """The file that it names, which a job copies; None where it names none."""
        ...

    def fingerprint(self, digest: Digest) -> dict[str, Any]:
        """All that pictures follow from, under the names that hashes of earlier versions were made of."""
        ...


def from_table(cls: type[T], given: Any, where: str) -> T | None:
    """A table of a project as `cls`; one made already, and None, as they are.

    Raises:
        InputError: the table has an unknown key or a bad value.
    """
    return given if given is None or isinstance(given, cls) else cls(**known_keys(cls, given, where))


def check_steps(what: str, first: Any, last: Any) -> None:
    """Raises InputError unless (first, last) are shares of a chunk's steps, in order."""
    number(f"The first step of the {what}", first, 0, 1)
    number(f"The last step of the {what}", last, 0, 1)
    if not first < last:
        raise InputError(
            f"The {what} acts from {first:g} to {last:g} of the steps; let it end after it starts, 0 to 1 for all."
        )


def fingerprint(choice: Any, kind: dict[str, str], digest: Digest) -> dict[str, Any]:
    """The choice's fields after what says which kind it is, a file by its content."""
    values = {name: digest(value) if choice.file is not None and value == choice.file else value
              for name, value in asdict(choice).items()}  # fmt: skip
    return {**kind, **values}
