"""The takes of a finished film's chunks, as the panel under the player lists them."""

from __future__ import annotations

import gradio as gr

from ..models.specs import get_spec
from . import rendering
from .jobs import Job
from .updates import Updates


def takes_shown(job: Job, chunk: int | None = None) -> Updates:
    """The panel "Redo a stretch" for a finished film, at that chunk."""
    from ..jobs.folder import JobFolder
    from ..jobs.retakes import ChunkTakes, read_takes

    chunks = job.plan.chunks
    chunk = chunk if isinstance(chunk, int) and 0 <= chunk < len(chunks) else 0
    own = read_takes(JobFolder.open(job.directory)).get(chunk, ChunkTakes())
    stretches = [
        (f"{each.index + 1}: {rendering.clock(each.start_seconds)} to {rendering.clock(each.stop_seconds)}", each.index)
        for each in chunks
    ]
    takes = [("1, as first made", 0)]
    for number, overrides in enumerate(own.overrides, start=1):
        changes = {
            "seed": overrides.seed, "audio guidance": overrides.audio_guidance_scale,
            "prompt": overrides.prompt or None, "own picture": overrides.reference_image and "yes",
        }  # fmt: skip
        text = ", ".join(f"{name} {value}" for name, value in changes.items() if value is not None)
        takes.append((f"{number + 1}: {text or 'other noise'}", number))
    return {
        "retake": gr.update(visible=True),
        "retake_chunk": gr.update(choices=stretches, value=chunk),
        "retake_take": gr.update(choices=takes, value=own.chosen, interactive=len(takes) > 1),
        "retake_prompt": gr.update(visible=get_spec(job.plan.settings.model).takes_prompt),
    }
