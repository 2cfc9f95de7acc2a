"""A planned film as the timeline shows it: chunks, references, keyframes, cuts and voices, in plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...config.constants import FRAMES_PER_SECOND
from ...config.request import REFERENCE_PLACEMENTS, GenerationRequest
from ...config.shares import FOLLOW
from ...models.specs import get_spec

if TYPE_CHECKING:
    from ...planning.chunks import Chunk
    from ...planning.film import FilmPlan, Voice

_PEAKS_PER_SECOND = 25  # of the waveforms; fewer for long films
_MAX_PEAKS = 12_000
_PATH_POINTS = 240


def timeline_state(
    request: GenerationRequest,
    plan: FilmPlan,
    voices: Sequence[Voice],
    *,
    source_id: str,
    source_seconds: float,
    edits: Mapping[str, Any],
) -> dict[str, Any]:
    """What `timeline.js` draws; its head lists the keys.

    Args:
        source_id: names the source; another one starts the timeline anew.
        source_seconds: infinite for a picture.
        edits: as the page last sent them: `pins`, `spans`, `cuts`, and `revision`, how many edits that includes.
    """
    still = source_seconds == float("inf")
    return {
        "id": source_id,
        "duration": round(plan.num_frames / FRAMES_PER_SECOND, 4),
        "frame_rate": FRAMES_PER_SECOND,
        "source": {
            "kind": "image" if still else "video",
            "duration": 0 if still else round(source_seconds, 3),
            "short": request.short_source,
        },
        "chunks": [_chunk(chunk) for chunk in plan.chunks],
        "pins": [dict(pin) for pin in edits["pins"]],
        "spans": [dict(span) for span in edits["spans"]],
        "guides": {
            "prompt": get_spec(plan.settings.model).takes_prompt,
            "placements": [] if still else list(REFERENCE_PLACEMENTS.items()),
            "control_strength": bool(request.controls),
        },
        "revision": edits["revision"],
        "cuts": [round(chunk.start_seconds, 4) for chunk in plan.chunks[1:] if chunk.opens_shot],
        "source_cuts": [round(cut, 4) for cut in plan.cuts],
        "own_cuts": request.cuts is not None,
        "camera": camera_lines(request, plan.num_frames / FRAMES_PER_SECOND),
        "voices": [_voice(voice, plan.duration_seconds) for voice in voices],
    }


def _chunk(chunk: Chunk) -> dict[str, Any]:
    reference = chunk.reference
    return {
        "index": chunk.index,
        "start": round(chunk.start_frame / FRAMES_PER_SECOND, 4),
        "new_start": round(chunk.start_seconds, 4),
        "stop": round(chunk.stop_seconds, 4),
        "reference": round(reference.source_seconds, 4),
        "pinned": reference.keyframe_index is not None,
        "control_strength": chunk.control_strength,
        "status": "planned",
    }


def camera_lines(request: GenerationRequest, seconds: float) -> list[list[int]]:
    """The camera's path over the film as lines from -100 to 100: sideways, up and down, towards the person, roll.

    Empty for a camera that rests or starts from the source (SDEdit), or whose path was not read from the source yet.
    """
    from ...generation.camera_targets import path_read
    from ...vision.camera_path import load_path, preset_path

    camera = request.camera or request.camera_control
    if camera is None:
        return []
    if camera.path == FOLLOW:
        path = path_read(request.source)
    elif camera.file:
        path = load_path(camera.file)
    else:
        path = preset_path(camera.path, camera.amount, seconds, request.seed % 2**32)
    if path is None:
        return []
    values = path.at(np.linspace(0, seconds, _PATH_POINTS))
    radians = np.radians(values[:, 3:])
    lines = np.stack([values[:, 0] + radians[:, 0], values[:, 1] + radians[:, 1], values[:, 2], radians[:, 2]])
    largest = np.abs(lines).max()
    return np.rint(100 * lines / largest).astype(int).tolist() if largest > 1e-6 else []


def _voice(voice: Voice, duration_seconds: float) -> dict[str, Any]:
    rate = min(_PEAKS_PER_SECOND, _MAX_PEAKS / max(duration_seconds, 1e-6))
    return {
        "rate": round(rate, 4),
        "peaks": peaks(voice.samples, voice.start_seconds, duration_seconds, rate),
    }


def peaks(samples: np.ndarray, start_seconds: float, duration_seconds: float, rate: float) -> list[int]:
    """Loudness of `rate` stretches a second over the film, 0 to 100, the loudest of all being 100.

    samples: float32 at 16 kHz, beginning at `start_seconds`.
    """
    from ...media.audio import SPEECH_RATE  # here, so that the page is up before decoders are loaded

    count = max(1, int(np.ceil(duration_seconds * rate)))
    edges = np.round((np.arange(count + 1) / rate - start_seconds) * SPEECH_RATE).astype(int).clip(0, len(samples))
    loudest = np.zeros(count)
    filled = np.flatnonzero(edges[1:] > edges[:-1])
    if len(filled):
        # Stretches lie end to end where they hold sound, so their starts alone divide it.
        loudest[filled] = np.maximum.reduceat(np.abs(samples[: edges[-1]]), edges[filled])
    top = float(loudest.max())
    return [round(100 * value / top) if top else 0 for value in loudest.tolist()]


def with_work(chunks: Iterable[Chunk], finished: Iterable[int], running: int | None) -> list[str]:
    """The status of each chunk: finished, running or planned."""
    done = set(finished)
    return [
        "finished" if chunk.index in done else "running" if chunk.index == running else "planned" for chunk in chunks
    ]
