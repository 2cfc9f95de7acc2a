"""One thing to try, and values that programs rarely expect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

LONGEST_QUOTE = 90  # characters of a value in the line that describes a mutation


@dataclass(frozen=True)
class Case:
    """What one case does, ready to be sent to the worker as JSON.

    mutation: what is unusual about it, in a line. argv: of the command line, run in the case's own folder. http: what
    the worker sends to the studio's server (`worker.py`); one of the two is given.
    """

    mutation: str
    argv: Sequence[str] = ()
    http: dict[str, Any] = field(default_factory=dict)


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


# As text, for command lines and text fields. Nothing from 3 to 10,000: it could be a legitimate length to wait for.
NUMBERS = (
    "nan", "inf", "-inf", "1e308", "-1e308", "1e400", "1e-320", "-1", "0", "-0", "0.04", "1", "0.5", "2", "1e6",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "9" * 400, "9" * 5000, "0x10", "1_0",
    "\u0661\u0662", "\u00bd", "1,5", "+1", " 1 ", "1e", "--1", "1/0", "True", "0.1.2",
)  # fmt: skip
WORDS = (
    "", " ", "-", "--", "none", "None", "follow", "lively", "auto", "nano", "final+24gb-int8", "a" * 10_000, "\u202e",
    "\udcff\udcfe", "\U0001f5e3", "a\nb", "a\tb", "%s%n{0}", "../..", ".", "..", "portrait.png", "gone.png", "~",
    "$HOME",
    "a:b:c", "::", "=", "@", "x" * 300, "e\u0301", "[]", "{}", "null", "C:\\a\\b", "con", "a.json", "a.npz", "a.yaml",
    "a.safetensors", "a.mp4", "file:portrait.png", "http://127.0.0.1:9/", "concat:a|b", "*", "?",
)  # fmt: skip
# Shapes of what flags take, to be filled.
SHAPES = (
    "{}",
    "{}",
    "{}",
    "0-{}=1",
    "{}={}",
    "{}-{}",
    "orbit:{}",
    "follow:{}",
    "{}@{}-{}",
    "portrait.png:{}",
    "{},{}",
    "0.1={}",
)

# As JSON.
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 0.5, 1e308, -1e308, math.nan, math.inf, -math.inf, 10**30, -(10**30), 10**400, 2**63,
        2**31,
    "", " ", "x" * 10_000, "\0", "a\0b", "\ud800", "\U0001f5e3", "../../../etc/passwd", "/etc/passwd", "..",
    "inputs/../../x",
    "C:\\x", "nan", "1", "-1", "1e999", "none", "follow", "nano", "2001-01-01", "a\nb", [], {}, [[]], [None], [1, 2],
    ["a"] * 5000,
    {"": None}, {"a": 1}, {"file": "a"}, {"path": "a"}, {"mode": "sdedit"}, {"mode": []}, [{}], [[{}]], nested(100),
    {"a": {"a": {"a": []}}},
)  # fmt: skip


def told(value: Any) -> str:
    """A value in the line that describes a mutation."""
    try:
        text = ascii(value)
    except ValueError:
        text = "a whole number of thousands of digits"
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}... ({len(text)} characters)"


def spoiled_bytes(data: bytes, random: Random, others: Sequence[bytes]) -> tuple[bytes, str]:
    """The bytes with one damage that needs no knowledge of their format, and what it was."""
    kind = random.choice(
        ("flip", "flip", "flip head", "cut", "splice", "extreme", "extreme", "drop", "insert", "empty")
    )
    size = len(data)
    at = random.randrange(min(size, 256)) if kind == "flip head" else random.randrange(size)
    if kind.startswith("flip"):
        changed = bytearray(data)
        count = random.choice((1, 1, 2, 8, 64))
        within = min(size, 256) if kind == "flip head" else size
        places = sorted(random.randrange(within) for _ in range(count))
        for place in places:
            changed[place] ^= 1 << random.randrange(8)
        return bytes(changed), f"{count} bits flipped, the first at byte {places[0]} of {size}"
    if kind == "cut":
        return data[:at], f"cut to {at} of {size} bytes"
    if kind == "splice":
        other = random.choice(others)
        start = random.randrange(len(other))
        piece = other[start : start + random.choice((4, 64, 1024, 65536))]
        return data[:at] + piece + data[at + len(piece) :], f"{len(piece)} bytes of another file at byte {at} of {size}"
    if kind == "extreme":
        width = random.choice((1, 2, 4, 8))
        at = random.randrange(min(size, 2048) // width + 1) * width
        value = random.choice((b"\0", b"\xff", b"\x7f", b"\x80")) + random.choice((b"\0", b"\xff")) * (width - 1)
        return data[:at] + value + data[at + width :], f"{value.hex()} at byte {at} of {size}"
    if kind == "drop":
        length = random.choice((1, 2, 16, 512))
        return data[:at] + data[at + length :], f"{length} bytes left out at byte {at} of {size}"
    if kind == "insert":
        piece = random.choice((b"\0", b"\xff", b"<")) * random.choice((1, 2, 100, 10_000))
        return data[:at] + piece + data[at:], f"{len(piece)} bytes {piece[:1].hex()} put in at byte {at} of {size}"
    return b"", "empty"
