"""InfiniteTalk Studio: new speech in, the whole person moves in time with it.

from infinitetalk import GenerationRequest, Speaker, generate, load_models, plan

Names are brought in when they are used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "GenerationRequest": "config.request",
    "Keyframe": "config.request",
    "Settings": "config.settings",
    "Speaker": "config.request",
    "load_preset": "config.presets",
    "preset_names": "config.presets",
    "ChunkFinished": "events",
    "Finished": "events",
    "Progress": "events",
    "UserError": "errors",
    "JobQueue": "jobs.queue",
    "list_jobs": "jobs.queue",
    "generate": "pipeline",
    "load_models": "pipeline",
    "plan": "pipeline",
    "prepare_job": "pipeline",
    "resume": "pipeline",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
