"""Keys that were called otherwise in earlier versions: read silently, and still what fingerprints are made of.

A chunk on disk is found again by a hash of what it follows from (`jobs/takes.py`). Hashes keep the former names, so
that a job of an earlier version resumes without making anything again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMER_NAMES = {
    "text_scale": "guidance_scale",
    "audio_scale": "audio_guidance_scale",
    "adherence": "reference_placement",
    "lock": "composite",
    "recipes": "overrides",  # of a chunk, in project.json
    "followed": "tracking",
    "steering": "control_strength",
}
_FORMER_NAME_OF = {current: former for former, current in FORMER_NAMES.items()}


def with_current_names(data: Mapping[str, Any]) -> dict[str, Any]:
    """A table of an earlier or this version, in its order; a key given in both spellings keeps the current one."""
    return {
        FORMER_NAMES.get(key, key): value
        for key, value in data.items()
        if key not in FORMER_NAMES or FORMER_NAMES[key] not in data
    }


def with_former_names(data: Mapping[str, Any]) -> dict[str, Any]:
    """The table as the first version that had these keys wrote it, in its order."""
    return {_FORMER_NAME_OF.get(key, key): value for key, value in data.items()}
