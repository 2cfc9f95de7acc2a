"""Libraries that would report their use to their makers, told not to."""

from __future__ import annotations

import os

# gradio compares with "True" exactly; the hub's client takes "1", "on", "yes" or "true".
SWITCHES = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}


def refuse_telemetry() -> None:
    """Set the switches for this process and those it starts; to be called before the libraries are imported."""
    os.environ.update(SWITCHES)
