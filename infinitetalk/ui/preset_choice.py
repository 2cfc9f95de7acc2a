"""Presets that a visitor may name: those that ship, and the one that the studio was started with.

Elsewhere a preset may be the path of a file; from a browser that would be a path on the server.
"""

from __future__ import annotations

from typing import Any

from ..config.presets import AUTO, hardware_names, names_auto, preset_names, quality_names
from ..config.settings import quoted
from ..errors import PresetError

_started_with: set[str] = set()


def offer(name: str) -> None:
    """Let visitors choose this one as well; it may be a file's path."""
    _started_with.add(name)


def offered(name: Any) -> str:
    """The name, if it is one that a visitor may choose.

    Raises:
        PresetError: any other.
    """
    if isinstance(name, str):
        parts = {AUTO, *quality_names(), *hardware_names()}
        known = name in preset_names() or name in _started_with
        if known or (names_auto(name) and all(part in parts for part in name.split("+"))):
            return name
    raise PresetError(f"There is no preset {quoted(name)}; choose one of {', '.join(preset_names()[:6])}.")
