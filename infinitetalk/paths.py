"""Where the files that ship beside the package are: presets and assets."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _shipped(name: str) -> Path:
    """`name` in a checkout lies beside the package; in a wheel it lies inside it."""
    beside = _PACKAGE.parent / name
    return beside if beside.is_dir() else _PACKAGE / "shipped" / name


def presets_dir() -> Path:
    return _shipped("presets")


def assets_dir() -> Path:
    return _shipped("assets")
