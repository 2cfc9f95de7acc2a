"""What is compared: a finished job, or any film; and in what two jobs differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..config.former_names import with_current_names
from ..config.request import GenerationRequest
from ..errors import InputError
from ..files import read_json

_SAME_IN_EVERY_JOB = ("checkpoints_dir",)  # where weights lie changes no picture


@dataclass(frozen=True)
class Side:
    """One of the two films.

    request: what it was made from, None for a film from elsewhere. take: what a single take has of its own.
    start_seconds: the instant of the whole film at which this one begins, for a stretch of it.
    """

    label: str
    film: Path
    request: GenerationRequest | None = None
    take: Mapping[str, Any] = field(default_factory=dict)
    start_seconds: float = 0.0


def open_side(path: str | Path, label: str | None = None) -> Side:
    """A job folder with a finished film, or a film.

    Raises:
        InputError: it is neither, or the job has no film yet. MediaError: the film cannot be played.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; give a job folder or a film.")
    from ..media.probe import require_source

    if not path.is_dir():
        info = require_source(path)
        if info.kind != "video":
            raise InputError(f"{path} is a picture; give a job folder or a film.")
        return Side(label or path.stem, path)
    from ..jobs.folder import JobFolder

    job = JobFolder.open(path)
    if not job.output.is_file():
        raise InputError(f"The job {path} has no film yet; finish it with resume, then compare.")
    require_source(job.output)
    return Side(label or path.name, job.output, job.request)


def job_takes(path: str | Path, starts: Sequence[float]) -> list[tuple[int, int, Side]]:
    """(chunk, take, the take as a film) of every chunk that was made more than once.

    Args:
        starts: when each chunk's new pictures begin, in seconds of the film.
    """
    from ..jobs.folder import JobFolder

    job = JobFolder.open(path)
    found: list[tuple[int, int, Side]] = []
    for chunk, start in enumerate(starts):
        takes = [read for folder in job.take_dirs(chunk) if (read := _take(folder)) is not None]
        if len(takes) < 2:
            continue
        for number, film, overrides in takes:
            described = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in overrides.items())
            label = f"Stretch {chunk + 1}, take {number + 1}: {described or 'as first made'}"
            found.append((chunk, number, Side(label, film, job.request, overrides, start)))
    return found


_LABELLED = ("seed", "prompt", "guidance_scale", "audio_guidance_scale", "reference_seconds")


def _take(folder: Path) -> tuple[int, Path, dict[str, Any]] | None:
    """(number, film, what was chosen for it); None for a damaged one."""
    try:
        record = read_json(folder / "take.json")
        overrides = with_current_names(record.get("overrides") or record.get("recipe") or {})
        chosen = {name: overrides[name] for name in _LABELLED if overrides.get(name) is not None}
        if overrides.get("reference_image"):
            chosen["own picture"] = "yes"
        film = folder / "segment.mp4"
        return (int(record["take"]), film, chosen) if film.is_file() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def differences(first: Side, second: Side) -> list[tuple[str, str, str]]:
    """(name, value of the first, value of the second) of every choice that differs; empty where one is unknown.

    Preset values count as chosen, so that two presets differ by what they set.
    """
    if first.request is None or second.request is None:
        return []
    values = [_flat(_choices(side.request) | dict(side.take)) for side in (first, second)]
    names = list(dict.fromkeys([*values[0], *values[1]]))
    return [
        (name, values[0].get(name, "-"), values[1].get(name, "-"))
        for name in names
        if (pair := {values[0].get(name, "-"), values[1].get(name, "-")}) != {"null", "-"} and len(pair) == 2
    ]  # what one leaves out and the other has in several parts differs in the parts


def _choices(request: GenerationRequest) -> dict[str, Any]:
    chosen = {name: value for name, value in request.to_dict().items() if name not in _SAME_IN_EVERY_JOB}
    return chosen | {name: value for name, value in asdict(request.resolve()).items() if name != "description"}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """{"speakers": [{"audio": ...}]} -> {"speakers 1 audio": ...}; files by their names alone."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        title = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{title} ")
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
            flat |= _flat({str(number): item for number, item in enumerate(value, 1)}, f"{title} ")
        elif isinstance(value, str):
            flat[title] = value.replace("\\", "/").rsplit("/", 1)[-1]
        else:
            flat[title] = json.dumps(value, ensure_ascii=False)
    return flat
