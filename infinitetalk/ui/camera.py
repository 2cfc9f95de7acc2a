"""The camera's toggle: what it is told, what that looks like, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np

from ..errors import InputError
from ..steering import FOLLOW, MOST_AMOUNT, MOVEMENTS, Camera
from . import rendering
from .jobs import failure

FIELDS = ("camera", "movement", "amount", "camera_file", "camera_strength")
REST = "rest"
_SHOWN_SECONDS, _NUM_PICTURES, _PICTURE_PIXELS, _SOURCE_PIXELS = 6.0, 5, 160, 640
_FOLLOWED_SECONDS = 20.0  # of a source film, for the curve that is shown before the film is made

_MODES = [
    ("As the references show it", REST), ("A movement", "redraw"), ("The source video's own", FOLLOW),
    ("Keep to the source's pictures (SDEdit; not with nano)", "sdedit"),
]  # fmt: skip
_HELP = (
    "A movement: every finished picture is drawn again as a camera on that path sees it, which takes a fifth of a "
    "second more for each second of film at nano's size. SDEdit: chunks start from the source's own pictures with noise over them; "
    "fewer steps, and colours may shift in a long film."
)


def panel(c: dict[str, Any]) -> None:
    """The components."""
    with gr.Accordion("Camera", open=False, elem_id="camera-options", elem_classes="card"):
        c["camera"] = gr.Radio(_MODES, value=REST, label="How the camera moves", info=_HELP, elem_id="camera")
        with gr.Column(visible=False) as c["movement_options"]:
            with gr.Row():
                c["movement"] = gr.Dropdown(
                    [(name.capitalize(), name) for name in MOVEMENTS], value=MOVEMENTS[0], label="Movement",
                    elem_id="movement", min_width=140,
                )  # fmt: skip
                c["amount"] = gr.Slider(
                    -MOST_AMOUNT, MOST_AMOUNT, value=1.0, step=0.1, label="Amount", elem_id="amount", min_width=200,
                    info="1: clear and ordinary. Below 0: the other way.",
                )  # fmt: skip
            c["camera_file"] = gr.File(
                label="Or a path of your own (.json, as `infinitetalk camera` writes it)", file_types=[".json"],
                height=124, elem_id="camera-file",
            )  # fmt: skip
        c["camera_strength"] = gr.Slider(
            0, 1, value=0.3, step=0.05, label="How closely it keeps to the source", visible=False,
            elem_id="camera-strength", info="0: not at all. 1: the source itself, whose mouth then says nothing new.",
        )  # fmt: skip
        c["camera_shown"] = gr.HTML(elem_id="camera-shown")


def to_camera(mode: Any, movement: Any, amount: Any, file: Any, strength: Any) -> Camera | None:
    """Of the fields, in the order of `FIELDS`. Raises InputError."""
    if mode in (None, REST):
        return None
    if mode == "sdedit":
        return Camera("sdedit", FOLLOW, strength=strength)
    if mode == FOLLOW:
        return Camera(path=FOLLOW)
    return Camera(path=file or movement, amount=1.0 if file else amount)


def from_camera(camera: Camera | None, serve: Any) -> dict[str, Any]:
    """The fields that give this camera again."""
    values = dict(zip(FIELDS, (REST, MOVEMENTS[0], 1.0, None, 0.3), strict=True))
    if camera is None:
        return values
    if camera.mode == "sdedit":
        return values | {"camera": "sdedit", "camera_strength": camera.strength}
    if camera.path == FOLLOW:
        return values | {"camera": FOLLOW}
    if camera.file is not None:
        return values | {"camera": "redraw", "camera_file": serve(camera.file)}
    return values | {"camera": "redraw", "movement": camera.path, "amount": camera.amount}


# --- handlers --------------------------------------------------------------------------------------------------------


def chosen(mode: str) -> dict[str, Any]:
    return {
        "movement_options": gr.update(visible=mode == "redraw"),
        "camera_strength": gr.update(visible=mode == "sdedit"),
    }


def shown(source: str | None, framing: str | None, *values: Any) -> Iterator[dict[str, Any]]:
    """What the camera will see, before any film is made. values: of `FIELDS`."""
    mode = values[0]
    if mode in (None, REST, "sdedit") or not source:
        yield {"camera_shown": ""}
        return
    if mode == FOLLOW:
        yield {"camera_shown": rendering.meter("Reading the video's camera", "", None)}
    try:
        yield {"camera_shown": _condition(source, framing == "face", to_camera(*values))}
    except Exception as error:
        yield {"camera_shown": rendering.notice(failure(error).message, "warning")}


def _condition(path: str, on_face: bool, camera: Camera) -> str:
    from ..media.faces import centre_square, face_square, find_faces
    from ..media.video import open_source
    from ..streaming.camera import foreseen

    with open_source(path, _SOURCE_PIXELS) as source:
        follows = camera.path == FOLLOW
        if follows and source.kind == "image":
            raise InputError("The source is a picture, whose camera rests; choose a movement instead.")
        seconds = min(source.duration_seconds, _FOLLOWED_SECONDS) if follows else _SHOWN_SECONDS
        picture = source.frame_at(0.0)
        square = None
        if on_face:
            faces = find_faces(picture)
            square = face_square(faces[0]) if faces else centre_square(*picture.shape[:2])
        height, width = (1, 1) if square is not None else picture.shape[:2]
        scale = _PICTURE_PIXELS / max(height, width)
        size = max(2, round(scale * height)), max(2, round(scale * width))
        pictures, camera_path = foreseen(camera, source, square, size, seconds, _NUM_PICTURES)
    label = "The first seconds of the video's camera" if follows else "From the film's first to its last picture"
    return rendering.camera_condition(pictures, camera_path.at(np.linspace(0, seconds, 120)), label)
