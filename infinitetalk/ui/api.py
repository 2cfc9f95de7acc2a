"""The page for programs: what `gradio_client` can call, through the same queue as the page.

>>> client = gradio_client.Client("http://127.0.0.1:7860")
>>> client.predict(source=handle_file("portrait.png"), voice=handle_file("speech.wav"), api_name="/generate")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from ..config.former_names import with_current_names
from ..config.request import GenerationRequest, load_preset, preset_names
from ..errors import InputError
from ..events import Finished, Progress
from ..models.specs import get_spec
from .film_handlers import film_name
from .form import Form
from .jobs import Failed, Waiting, failure
from .served import served
from .source_options import SOURCE_OPTIONS
from .studio import Studio
from .timeline.component import was_uploaded

SETTINGS = (
    "steps", "audio_guidance_scale", "guidance_scale", "shift", "framing", "arrangement", "max_seconds", "cuts",
    "camera", "camera_control", "sdedit", "head", "pose", "composite", *SOURCE_OPTIONS,
)  # fmt: skip


def presets() -> list[dict[str, Any]]:
    """Every preset with its settings and what its model takes, the default first."""
    with sentences():
        return [_preset(name) for name in preset_names()]


def _preset(name: str) -> dict[str, Any]:
    settings = load_preset(name)
    spec = get_spec(settings.model)
    return {"name": name, "takes_prompt": spec.takes_prompt, "num_speakers": spec.num_speakers} | asdict(settings)


def plan(
    source: str | None,
    voice: str | None,
    second_voice: str | None,
    preset: str,
    seed: str,
    prompt: str,
    settings: dict[str, Any] | None,
) -> dict[str, Any]:
    """What a film will take: chunks, length, memory, disk, time range and warnings. Nothing is started."""
    from .. import pipeline

    with sentences():
        return pipeline.plan(request_from(source, voice, second_voice, preset, seed, prompt, settings)).to_dict()


def generator(studio: Studio) -> Callable[..., str]:
    """The function behind `/generate`, making films in `studio`."""

    def generate(
        source: str | None,
        voice: str | None,
        second_voice: str | None,
        preset: str,
        seed: str,
        prompt: str,
        settings: dict[str, Any] | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio finds it by this default
    ) -> str:
        """Make a film and return the finished file; waits its turn behind other films."""
        from .. import pipeline

        with sentences():
            request = request_from(source, voice, second_voice, preset, seed, prompt, settings)
            job = studio.submit(request, pipeline.plan(request))
            for event in studio.follow(job):
                if isinstance(event, Waiting):
                    progress(0.0, desc=f"waiting for {event.place} other films")
                elif isinstance(event, Progress):
                    progress(event.fraction, desc=event.stage)
                elif isinstance(event, Failed):
                    raise gr.Error(event.message, print_exception=False)
                elif isinstance(event, Finished):
                    if event.output is None:
                        raise InputError("The film was cancelled before its first chunk was finished; start it again.")
                    return served(event.output, film_name(Path(request.source).stem))
            raise AssertionError("a job ended without an event that says so")

    return generate


def request_from(
    source: str | None,
    voice: str | None,
    second_voice: str | None,
    preset: str,
    seed: str,
    prompt: str,
    settings: dict[str, Any] | None,
) -> GenerationRequest:
    """Raises: UserError for anything missing, out of range or unknown."""
    form = Form(
        source=source,
        voice=voice,
        two_voices=bool(second_voice),
        second_voice=second_voice,
        preset=preset or preset_names()[0],
        seed=seed if str(seed).strip() else "7",
        prompt=prompt or "",
    )
    request = form.to_request()
    if settings is None:
        return request
    if not isinstance(settings, dict):
        raise InputError(f"settings is {settings!r}; give a table such as {{'steps': 4}}.")
    settings = with_current_names(settings)
    for key in settings:
        if key not in SETTINGS:
            raise InputError(f"settings has the unknown key {key!r}; known are {', '.join(SETTINGS)}.")
    changed = GenerationRequest.from_dict(request.to_dict() | settings)
    for name, choice in changed.choices.items():
        if choice.file is not None and not was_uploaded(choice.file):
            raise InputError(f"The file of {name} is not one of this page's uploads; upload it and give its path here.")
    return changed


@contextmanager
def sentences() -> Iterator[None]:
    """Errors reach a client as the same sentence as on the page, never as a traceback."""
    try:
        yield
    except gr.Error:
        raise
    except Exception as error:
        raise gr.Error(failure(error).message, print_exception=False) from error
