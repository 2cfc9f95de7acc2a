"""How much of a file is read at most; checked before memory or disk is taken for it.

A header of a few bytes can promise hours of sound at an impossible rate. On a server for strangers the page lowers the
length (`ui/page.py`).
"""

from __future__ import annotations

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 2_000, 768_000  # Hz
MAX_CHANNELS = 64
MAX_SECONDS = 12 * 3600.0
MAX_FRAMES_PER_SECOND = 1_000.0
NARROWEST_PIXEL, WIDEST_PIXEL = 0.2, 5.0  # aspect ratios; others are damage, not a camera

_shared_seconds: float | None = None


def max_seconds() -> float:
    """The longest film or sound that is read."""
    return MAX_SECONDS if _shared_seconds is None else _shared_seconds


def share_with_strangers(seconds: float) -> None:
    """Read no longer films and sounds in this process from now on."""
    global _shared_seconds
    _shared_seconds = seconds
