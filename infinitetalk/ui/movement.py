"""How camera and head move: the choices, and a preview of them before a film is made."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import numpy as np

from ..config.camera import DEFAULT_DENOISING_STRENGTH, MOST_AMOUNT, MOVEMENTS, Camera, CameraControl, SDEdit
from ..config.constants import FRAMES_PER_SECOND
from ..config.head import LIVELY, MOST_HEAD, Head
from ..config.request import GenerationRequest
from ..config.settings import choice
from ..config.shares import FOLLOW
from ..errors import InputError
from ..vision.camera_path import CameraPath, load_path, preset_path
from . import pose as pose_panel
from . import rendering
from .camera_path.component import path_editor, path_state, saved
from .components import Components
from .jobs import failure
from .served import new_served
from .strength import control_sliders
from .updates import Updates
from .wiring import LAST, PRIVATE, QUICK, Wiring

REST, PATH, SDEDIT = "rest", "path", "sdedit"  # how the camera moves; or `FOLLOW`
REPROJECTION, UNI3C = "reprojection", "uni3c"  # what makes the movement
CameraChoice = Camera | CameraControl | SDEdit
CAMERA_FIELDS = (
    "camera", "movement", "amount", "camera_file", "denoising_strength", "camera_by", "uni3c_strength", "uni3c_last",
)  # fmt: skip
CAMERA_DEFAULTS = (REST, MOVEMENTS[0], 1.0, None, DEFAULT_DENOISING_STRENGTH, REPROJECTION, 1.0, 1.0)
HEAD_FIELDS = ("head", "head_file", "head_amount")
HEAD_DEFAULTS = (REST, None, 1.0)
FIELDS = (*CAMERA_FIELDS, *HEAD_FIELDS)
_SHOWN_SECONDS, _NUM_PICTURES, _PICTURE_PIXELS, _SOURCE_PIXELS = 6.0, 5, 160, 640
_READ_SECONDS = 12.0  # of a film, for what is shown before the film is made

_CAMERAS = [
    ("As the references show it", REST), ("A movement", PATH), ("The source video's own", FOLLOW),
    ("Keep to the source's pictures (SDEdit; not with nano)", SDEDIT),
]  # fmt: skip
_HEADS = [
    ("As the model draws it", REST), ("Lively, as people who talk", LIVELY), ("As in the source video", FOLLOW),
    ("As in another video", "film"),
]  # fmt: skip
_MAKERS = [("Finished pictures are reprojected (every model)", REPROJECTION), ("The network Uni3C", UNI3C)]
_MAKERS_HELP = (
    "Uni3C is given renderings of the scene along the path, so that the model draws what comes into view. Nano "
    "brings a small one, for movements of up to a quarter of the picture; its lips keep time best where pictures are "
    "reprojected. For 14B models its weights are extra: `infinitetalk checkpoints download uni3c`."
)
_CAMERA_HELP = (
    "A movement: every finished picture is reprojected along the camera path. SDEdit: chunks start from the source's "
    "own pictures with noise over them; fewer steps, and colours may shift in a long film."
)
_HEAD_HELP = (
    "The finished head is turned a little, about its neck, and lively eyes blink. Small models draw a head that keeps "
    "still; large ones move it by themselves. Camera and head take a seventh of a second each for every second of film "
    "at nano's size."
)


def panel(c: Components) -> None:
    """The components."""
    with gr.Accordion("Camera, head and pose", open=False, elem_id="movement-options", elem_classes="card"):
        c.camera = gr.Radio(_CAMERAS, value=REST, label="How the camera moves", info=_CAMERA_HELP, elem_id="camera")
        with gr.Column(visible=False) as c.movement_options:
            with gr.Row():
                c.movement = gr.Dropdown(
                    [(name.capitalize(), name) for name in MOVEMENTS], value=MOVEMENTS[0], label="Movement",
                    elem_id="movement", min_width=140,
                )  # fmt: skip
                c.amount = gr.Slider(
                    -MOST_AMOUNT, MOST_AMOUNT, value=1.0, step=0.1, label="Amount", elem_id="amount", min_width=200,
                    info="1: clear and ordinary. Below 0: the other way.",
                )  # fmt: skip
            c.camera_file = gr.File(
                label="Or a path of your own (.json, as `infinitetalk camera` writes it)", file_types=[".json"],
                height=124, elem_id="camera-file",
            )  # fmt: skip
        with gr.Column(visible=False) as c.camera_maker:
            c.camera_by = gr.Radio(
                _MAKERS, value=REPROJECTION, label="The movement is made by", info=_MAKERS_HELP, elem_id="camera-by"
            )
            with gr.Row(visible=False) as c.uni3c_options:
                c.uni3c_strength, c.uni3c_last = control_sliders("uni3c")
        c.denoising_strength = gr.Slider(
            0, 1, value=DEFAULT_DENOISING_STRENGTH, step=0.05, label="Denoising strength", visible=False,
            elem_id="denoising-strength", info="1: all new. 0: the source itself, whose mouth then says nothing new.",
        )  # fmt: skip
        c.head = gr.Radio(_HEADS, value=REST, label="How the head moves", info=_HEAD_HELP, elem_id="head")
        c.head_file = gr.File(
            label="A video of a moving head", file_types=["video"], height=124, visible=False, elem_id="head-file"
        )
        c.head_amount = gr.Slider(
            0, MOST_HEAD, value=1.0, step=0.1, label="How far", visible=False, elem_id="head-amount"
        )
        c.movement_shown = gr.HTML(elem_id="movement-shown")
        with gr.Row():
            c.path_edit = gr.Button("Edit this camera path", size="sm", visible=False, elem_id="path-edit")
            c.path_download = gr.DownloadButton("Save it as a file", size="sm", visible=False, elem_id="path-download")
        c.path_notice = gr.HTML(elem_id="path-notice")
        c.path_editor = path_editor()
        pose_panel.panel(c)


def to_camera(
    mode: Any, movement: Any, amount: Any, file: Any, denoising_strength: Any, maker: Any = REPROJECTION,
    control_strength: Any = 1.0, last: Any = 1.0,
) -> CameraChoice | None:  # fmt: skip
    """The choice that the values of `CAMERA_FIELDS` make; None leaves the camera to the model. Raises InputError."""
    if mode in (None, REST):
        return None
    choice("The camera's movement", mode, (REST, PATH, FOLLOW, SDEDIT))
    choice("What makes the movement", maker, (REPROJECTION, UNI3C))
    if mode == SDEDIT:
        return SDEdit(denoising_strength)
    path = FOLLOW if mode == FOLLOW else file or movement
    amount = 1.0 if file or mode == FOLLOW else amount
    if maker == UNI3C:
        return CameraControl(path, amount, control_strength, last=last)
    return Camera(path, amount)


def camera_fields(camera: CameraChoice | None) -> dict[str, CameraChoice]:
    """The choice under its field of a request."""
    names = {Camera: "camera", CameraControl: "camera_control", SDEdit: "sdedit"}
    return {} if camera is None else {names[type(camera)]: camera}


def camera_of(request: GenerationRequest) -> CameraChoice | None:
    """The request's choice about the camera; at most one of the three fields is set."""
    return request.camera or request.camera_control or request.sdedit


def to_head(mode: Any, file: Any, amount: Any) -> Head | None:
    """The choice that the values of `HEAD_FIELDS` make; None leaves the head to the model. Raises InputError."""
    if mode in (None, REST):
        return None
    if mode == "film" and not file:
        raise InputError("The head is to move as in another video; choose one, or let it be lively.")
    return Head(file if mode == "film" else mode, amount)


def from_request(camera: CameraChoice | None, head: Head | None, serve: Callable[[str], str]) -> dict[str, Any]:
    """The fields of a form that makes these choices. serve: gives a copy of a file that the browser may have."""
    values = dict(zip(FIELDS, (*CAMERA_DEFAULTS, *HEAD_DEFAULTS), strict=True))
    if isinstance(camera, CameraControl):
        values |= {"camera_by": UNI3C, "uni3c_strength": camera.strength, "uni3c_last": camera.last}
    if isinstance(camera, SDEdit):
        values |= {"camera": SDEDIT, "denoising_strength": camera.denoising_strength}
    elif camera is not None and camera.path == FOLLOW:
        values |= {"camera": FOLLOW}
    elif camera is not None and camera.file is not None:
        values |= {"camera": PATH, "camera_file": serve(camera.file)}
    elif camera is not None:
        values |= {"camera": PATH, "movement": camera.path, "amount": camera.amount}
    if head is not None:
        values |= {"head": head.source if head.file is None else "film", "head_amount": head.amount}
        values |= {} if head.file is None else {"head_file": serve(head.file)}
    return values


# --- handlers --------------------------------------------------------------------------------------------------------


def chosen(camera: str, head: str, maker: str) -> Updates:
    """The options that these choices have are visible."""
    return {
        "camera_maker": gr.update(visible=camera in (PATH, FOLLOW)),
        "uni3c_options": gr.update(visible=maker == UNI3C),
        "movement_options": gr.update(visible=camera == PATH),
        "denoising_strength": gr.update(visible=camera == SDEDIT),
        "head_file": gr.update(visible=head == "film"),
        "head_amount": gr.update(visible=head not in (None, REST)),
    }


def shown(source: str | None, framing: str | None, *values: Any) -> Iterator[Updates]:
    """A preview of the source's first picture as camera and head will move it. values: of `FIELDS`."""
    camera_values, head_values = values[: len(CAMERA_FIELDS)], values[len(CAMERA_FIELDS) :]
    try:
        camera, head = to_camera(*camera_values), to_head(*head_values)
        camera = None if isinstance(camera, SDEdit) else camera
        if not source or (camera is None and head is None):
            yield {"movement_shown": "", **_offered(None)}
            return
        if FOLLOW in (camera_values[0], head_values[0]) or head_values[0] == "film":
            yield {"movement_shown": rendering.meter("Reading the video's movement", "", None)}
        found, path = _condition(source, framing == "face", camera, head)
        yield {"movement_shown": found, **_offered(path)}
    except Exception as error:
        yield {"movement_shown": rendering.notice(failure(error).message, "warning"), **_offered(None)}


def _offered(path: str | None) -> Updates:
    """Buttons to edit and save the path, where there is one."""
    download = gr.update(value=path, visible=True) if path else gr.update(visible=False)
    return {"path_download": download, "path_edit": gr.update(visible=path is not None)}


def opened(source: str | None, timeline: Any, seed: Any, *values: Any) -> Iterator[Updates]:
    """Open the path of the whole film in the editor.

    timeline: its state, for the length. values: of `CAMERA_FIELDS`.
    """
    try:
        camera = to_camera(*values)
        if not source or camera is None or isinstance(camera, SDEdit):
            yield {}
            return
        seconds = float(timeline["duration"]) if isinstance(timeline, dict) else _SHOWN_SECONDS
        if camera.path == FOLLOW:
            for found in _read(source, seconds):
                if isinstance(found, str):
                    yield {"path_notice": found}
                else:
                    path = found
        else:
            path = (
                load_path(camera.file) if camera.file else preset_path(camera.path, camera.amount, seconds, _seed(seed))
            )
        yield {"path_notice": "", "path_editor": gr.update(value=path_state(path, seconds))}
    except Exception as error:
        yield {"path_notice": rendering.notice(failure(error).message, "warning")}


def edited(state: Any, event: gr.EventData) -> Updates:
    """Save the edited path as a file and make it the camera's."""
    data = getattr(event, "_data", None)
    if not isinstance(state, dict) or not isinstance(data, dict):
        return {}
    try:
        file = saved(state, data.get("points"))
    except Exception as error:
        return {"path_notice": rendering.notice(failure(error).message, "warning")}
    return {"camera": PATH, "camera_file": file, "path_notice": ""}


def left() -> Updates:
    """Close the editor: the visitor chose another camera or source."""
    return {"path_editor": gr.update(value=None), "path_notice": ""}


# --- wiring ----------------------------------------------------------------------------------------------------------


def wire(wiring: Wiring) -> None:
    """Connect the panel."""
    c, named, updates, streamed = wiring.components, wiring.named, wiring.updates, wiring.streamed
    pose_panel.wire(wiring)
    gr.on(
        wiring.changes("camera", "head", "camera_by"), updates(chosen), named("camera", "head", "camera_by"),
        named("movement_options", "denoising_strength", "head_file", "head_amount", "camera_maker", "uni3c_options"),
        **QUICK,
    )  # fmt: skip
    moving = ("source", "framing", *FIELDS)
    gr.on(
        wiring.changes(*moving), streamed(shown), named(*moving),
        named("movement_shown", "path_download", "path_edit"), **LAST,
    )  # fmt: skip
    c.path_edit.click(
        streamed(opened), named("source", "timeline", "seed", *CAMERA_FIELDS), named("path_editor", "path_notice"),
        **PRIVATE,
    )  # fmt: skip

    def path_edited(state: Any, edit: gr.EventData) -> Any:
        return wiring.answer(edited(state, edit))

    c.path_editor.input(
        path_edited, c.path_editor, named("camera", "camera_file", "path_notice"), trigger_mode="multiple", **QUICK
    )
    gr.on(
        [c.source.change, c.camera.input, c.movement.input, c.amount.input, c.camera_file.upload, c.camera_file.clear],
        updates(left), None, named("path_editor", "path_notice"), **QUICK,
    )  # fmt: skip


# --- previews --------------------------------------------------------------------------------------------------------


def _read(source: str, seconds: float) -> Iterator[str | CameraPath]:
    """Read the source film's camera; yields meters and at last the path."""
    from ..generation.camera_targets import followed_path
    from ..media.video import open_source

    shares: queue.SimpleQueue[float | None] = queue.SimpleQueue()
    found: list[CameraPath | Exception] = []

    def read() -> None:
        try:
            with open_source(source, _SOURCE_PIXELS) as opened_source:
                found.append(followed_path(opened_source, min(seconds, opened_source.duration_seconds), shares.put))
        except Exception as error:
            found.append(error)
        shares.put(None)

    threading.Thread(target=read, daemon=True).start()
    begun = time.monotonic()
    while (share := shares.get()) is not None:
        left_over = (time.monotonic() - begun) * (1 - share) / share if share else 0.0
        yield rendering.meter("Reading the video's camera", f"{left_over:.0f} s left", share)
    if isinstance(found[0], Exception):
        raise found[0]
    yield found[0]


def _seed(value: Any) -> int:
    try:
        return int(value) % 2**32
    except (TypeError, ValueError):
        return 0


def _condition(
    path: str, on_face: bool, camera: Camera | CameraControl | None, head: Head | None
) -> tuple[str, str | None]:
    """The preview, and the camera's path as a file."""
    from ..media.faces import centre_square, face_square, find_faces
    from ..media.video import open_source
    from ..stages.layered_warp import MotionPreview
    from ..vision.camera_path import save_path

    with open_source(path, _SOURCE_PIXELS) as source:
        if source.kind == "image" and FOLLOW in (getattr(camera, "path", ""), getattr(head, "source", "")):
            raise InputError("The source is a picture, which does not move; choose another movement.")
        read = FOLLOW in (getattr(camera, "path", ""), getattr(head, "source", "")) or getattr(head, "file", None)
        seconds = min(source.duration_seconds, _READ_SECONDS) if read else _SHOWN_SECONDS
        picture = source.frame_at(0.0)
        square = None
        if on_face:
            faces = find_faces(picture)
            square = face_square(faces[0]) if faces else centre_square(*picture.shape[:2])
        height, width = (1, 1) if square is not None else picture.shape[:2]
        scale = _PICTURE_PIXELS / max(height, width)
        size = max(2, round(scale * height)), max(2, round(scale * width))
        preview = MotionPreview(source, square, seconds, camera, head)
        last = max(0, round(FRAMES_PER_SECOND * seconds) - 1)
        pictures = preview.pictures(np.linspace(0, last, _NUM_PICTURES).round(), size)
        camera_path = None if preview.camera is None else preview.camera.path
        path_values = None if camera_path is None else camera_path.at(np.linspace(0, seconds, 120))
    from_first = f"The first {seconds:.0f} seconds"
    label = from_first if read or head is not None else "From the film's first to its last picture"
    file = None if camera_path is None else str(save_path(camera_path, new_served("camera-path.json")))
    return rendering.movement_condition(pictures, path_values, label), file
