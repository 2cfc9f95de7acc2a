"""How long a chunk takes on this machine, remembered from run to run: the plan's times are this machine's own."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..config.request import Settings
from ..models.specs import ModelSpec
from ..paths import cache_dir

_FORGET = 0.5  # weight of the newest measurement


def num_evaluations(settings: Settings) -> int:
    """Evaluations of the transformer per step: one for each guidance branch."""
    if settings.guidance_scale != 1:
        return 3
    return 1 if settings.audio_guidance_scale == 1 else 2


def estimate_chunk_seconds(spec: ModelSpec, settings: Settings) -> float:
    """Seconds of a full chunk of 81 frames: as measured here before, else as on the machine in docs/performance.md."""
    measured = _read().get(_key(spec, settings))
    if isinstance(measured, (int, float)) and measured > 0:
        return float(measured)
    return settings.steps * num_evaluations(settings) * spec.evaluation_seconds + spec.other_chunk_seconds


def remember_chunk_seconds(spec: ModelSpec, settings: Settings, seconds: float) -> None:
    """Note a measured full chunk; a machine whose cache cannot be written keeps the estimate."""
    timings = _read()
    key = _key(spec, settings)
    before = timings.get(key)
    timings[key] = seconds if not isinstance(before, (int, float)) else before + _FORGET * (seconds - before)
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(timings, indent=2), encoding="utf-8")
        os.replace(temporary, path)
    except OSError:
        return


def _key(spec: ModelSpec, settings: Settings) -> str:
    work = f"{settings.steps}x{num_evaluations(settings)}"
    return f"{spec.name}/{settings.size}/{settings.dtype}/{work}"


def _path() -> Path:
    return cache_dir() / "timings.json"


def _read() -> dict[str, float]:
    try:
        timings = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return timings if isinstance(timings, dict) else {}
