"""Where the files that ship with the package are, and where what was learned about this machine is kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _shipped(name: str) -> Path:
    """`name` in a checkout lies next to the package; in a wheel it lies inside it."""
    checkout = _PACKAGE.parent / name
    return checkout if checkout.is_dir() else _PACKAGE / "shipped" / name


def presets_dir() -> Path:
    return _shipped("presets")


def assets_dir() -> Path:
    return _shipped("assets")


def cache_dir() -> Path:
    """The user's cache folder by the system's custom; INFINITETALK_CACHE overrides it. It may not exist yet."""
    if chosen := os.environ.get("INFINITETALK_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "infinitetalk"
