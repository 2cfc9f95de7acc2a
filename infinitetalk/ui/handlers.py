"""Handlers of the inputs, the plan and what the browser remembers: plain functions from values to values.

A handler that changes the page returns or yields a dict from names of components to values (`wiring.py`); a
name that is absent stays as it is.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import gradio as gr

from ..config.head import LIVELY
from ..config.presets import AUTO
from ..config.request import load_preset, preset_names
from ..errors import InputError, UserError
from ..media.buckets import BUCKETS
from ..models.specs import get_spec
from ..paths import assets_dir
from ..runtime.auto import choose, on_this_machine
from . import rendering
from .form import NO_EDITS, REMEMBERED, Form, with_current_fields
from .jobs import failure
from .people.component import kept, people_state
from .preset_choice import offered
from .served import served
from .timeline.pictures import SourcePictures
from .timeline.state import timeline_state
from .updates import Updates

if TYPE_CHECKING:
    pass

EXAMPLE_SOURCE = "portrait.png"
EXAMPLE_VOICE = "speech.wav"
PREVIEW_PIXELS = 720


# --- inputs --------------------------------------------------------------------------------------------------------


def preview_source(path: str | None) -> Updates:
    """The chosen picture, or the first frame of the chosen film; a notice for a file that is neither."""
    if not path:
        return {
            "preview": gr.update(value="", visible=False), "source_notice": "",
            "source_options": gr.update(visible=False),
        }  # fmt: skip
    try:
        info, picture = _first_picture(path)
    except UserError as error:
        return {"preview": gr.update(value="", visible=False), "source_notice": rendering.notice(str(error))}
    return {
        "preview": gr.update(value=rendering.source_preview(info, picture), visible=True),
        "source_notice": "",
        "source_options": gr.update(visible=info.kind == "video"),
    }


def _first_picture(path: str) -> tuple[Any, Any]:
    """(what the file is, uint8 [height, width, 3])"""
    from ..media.probe import require_source
    from ..media.video import open_source

    info = require_source(path)
    with open_source(path, max_side=PREVIEW_PIXELS) as source:
        return info, source.frame_at(0.0)


def source_changed(path: str | None, previous: str | None) -> Updates:
    """The preview, and a button that puts a removed file back."""
    updates = preview_source(path)
    updates["put_back"] = gr.update(visible=not path and bool(previous))
    if path:
        updates["last_source"] = path
    return updates


def put_back(previous: str | None) -> Updates:
    return {"source": previous}


def example(preset: str) -> Updates:
    """The bundled portrait and speech; with a lively head where the model draws heads that keep still.

    Raises:
        InputError: if the package came without them.
    """
    source, voice = assets_dir() / EXAMPLE_SOURCE, assets_dir() / EXAMPLE_VOICE
    for path in (source, voice):
        if not path.is_file():
            raise InputError(f"The example file {path.name} is missing; get the package again or use your own files.")
    files = {"source": served(source, source.name), "voice": served(voice, voice.name)}
    still = not get_spec(load_preset(on_this_machine(offered(preset))).model).moves_head
    return files | {"two_voices": False, "camera": "rest", "head": LIVELY if still else "rest", "pose": "rest",
                    "composite": False}  # fmt: skip


def dice() -> Updates:
    return {"seed": str(random.randrange(1_000_000))}


def preset_changed(preset: str) -> Updates:
    """The preset's own values in the options, and only the options its model has."""
    choice = choose(preset) if preset == AUTO else None
    name = preset if choice is None else choice.name
    settings = load_preset(offered(name))
    spec = get_spec(settings.model)
    return {
        "preset_help": model_panel(name, "" if choice is None else choice.sentence),
        "prompt": gr.update(visible=spec.takes_prompt),
        "steps": settings.steps,
        "audio_guidance_scale": settings.audio_guidance_scale,
        "framing": settings.framing,
    }


def model_panel(preset: str, why: str = "") -> str:
    """What a preset is, whether it fits this machine, and which of its files are here; reads no weights."""
    from ..checkpoints.catalogue import need_of, target
    from ..runtime.machine import this_machine
    from ..runtime.memory import needs_of, shortfalls

    settings = load_preset(offered(preset))
    spec, machine = get_spec(settings.model), this_machine()
    sizes = spec.sizes or BUCKETS
    height, width = max(sizes[settings.size].values(), key=lambda size: size[0] * size[1])
    needs = needs_of(spec, settings, height, width)
    files = None if spec.shipped_in is not None else need_of(target(preset), None)
    return rendering.model_panel(
        settings.description, why, needs.describe(), machine.describe(), shortfalls(needs, machine, settings),
        files, preset,
    )  # fmt: skip


def voices_changed(two_voices: bool) -> Updates:
    return {"second": gr.update(visible=bool(two_voices))}


def people_wanted(two_voices: bool, source: str | None, boxes: Any) -> Updates:
    """The picture to draw boxes on; where two people were found, their boxes are used without a click."""
    if not two_voices or not source:
        return {"people": gr.update(value=None)}
    try:
        state = people_state(source)
    except UserError:  # the source panel says so
        return {"people": gr.update(value=None), "boxes": None}
    if isinstance(boxes, dict) and boxes.get("source") == source and boxes.get("boxes"):
        return {"people": gr.update(value=state | {"boxes": boxes["boxes"]})}  # what was drawn stays
    suggested = state["boxes"] if state["found"] == 2 else None
    return {"people": gr.update(value=state), "boxes": kept(source, state, suggested)}


def boxes_drawn(source: str | None, state: Any, edit: gr.EventData) -> Updates:
    """Keep the drawn boxes; the plan checks them."""
    data = getattr(edit, "_data", None)
    if not source or not isinstance(state, dict) or not isinstance(data, dict):
        return {}
    return {"boxes": kept(source, state, data.get("boxes"))}


def plan_changed(pictures: SourcePictures, *values: Any) -> Updates:
    """Plan panel and timeline for the inputs as they are; problems are reported before a film is started."""
    form = Form(*values)
    if missing := form.missing():
        return {"plan": rendering.plan_hint(missing), "timeline": gr.update(value=None)}
    try:
        from ..stages import prepare_film

        film = prepare_film(form.to_request())
        with film.source:
            shown = timeline_state(
                film.request,
                film.plan,
                film.voices,
                source_id=pictures.word(film.request.source),
                source_seconds=film.source.duration_seconds,
                edits=form.own_edits(),
            )
        work = form.own_edits().get("work") or []  # of a film that was opened, until the timeline is edited
        work = work if len(work) == len(film.plan.chunks) else []
        return {"plan": rendering.plan_panel(film.plan), "timeline": gr.update(value=shown, work=work)}
    except UserError as error:
        return {"plan": rendering.plan_problem(str(error))}
    except Exception as error:
        return {"plan": rendering.plan_problem(failure(error).message)}


def timeline_edited(source: str | None, known: Any, edit: gr.EventData) -> Updates:
    """Keep the timeline's edits unless newer ones are `known`; the plan follows."""
    data = getattr(edit, "_data", None)
    if not isinstance(data, dict) or not isinstance(data.get("pins"), list):
        return {}
    kept = {name: data.get(name, default) for name, default in NO_EDITS.items()}
    if not isinstance(kept["revision"], int):
        kept["revision"] = 0
    if isinstance(known, dict) and known.get("source") == source and known["revision"] > kept["revision"]:
        return {}
    return {"edits": kept | {"source": source}}


# --- settings that the browser remembers ---------------------------------------------------------------------------


def remember(*values: Any) -> Updates:
    form = Form(*values)
    return {"remembered": {name: getattr(form, name) for name in REMEMBERED}}


def restore(remembered: Any, default_preset: str) -> Updates:
    """The options of the last visit; whatever no longer makes sense falls back to the preset's own value."""
    stored = with_current_fields(remembered) if isinstance(remembered, dict) else {}
    preset = stored.get("preset")
    if preset not in (AUTO, *preset_names()):
        preset = default_preset
    updates = preset_changed(preset) | {"preset": preset}
    for name in REMEMBERED:
        if name != "preset" and name in stored and _acceptable(preset, name, stored[name]):
            kept = updates.get(name)
            updates[name] = kept | {"value": stored[name]} if isinstance(kept, dict) else stored[name]
    return updates


def _acceptable(preset: str, name: str, value: Any) -> bool:
    try:
        Form(source="-", voice="-", **{"preset": preset, name: value}).to_request()
    except UserError:
        return False
    return value is not None
