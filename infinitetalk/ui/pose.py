"""How the body moves: the choices for the pose network, and a preview of its skeletons before a film is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from ..config.pose import FASTEST, SLOWEST, Pose
from ..config.shares import FOLLOW
from ..errors import InputError
from . import rendering
from .components import Components
from .jobs import failure
from .strength import control_sliders
from .updates import Updates
from .wiring import LAST, QUICK, Wiring

FIELDS = ("pose", "pose_file", "pose_strength", "pose_last", "pose_start", "pose_speed", "pose_person", "pose_by")
DEFAULTS = ("rest", None, 1.0, 1.0, 0.0, 1.0, "", "unianimate")
REST = "rest"
_SHOWN_SECONDS, _NUM_PICTURES, _PICTURE_PIXELS, _SOURCE_PIXELS = 6.0, 3, 240, 640

_POSES = [
    ("As the model makes it", REST), ("As in the source video", FOLLOW), ("As in another video or a recording", "film")
]  # fmt: skip
_HELP = (
    "A control network is given a skeleton for every frame. Nano brings a small one, for head and "
    "shoulders. For 14B models its weights are extra."
)
_NETWORKS = [("UniAnimate", "unianimate"), ("VACE, on trial", "vace")]
_NETWORKS_HELP = (
    "UniAnimate was made for this model's own base (`infinitetalk checkpoints download unianimate`). VACE was made for "
    "the text-to-video base (`download vace`, 6.1 GB): each chunk has a tracking score, so compare. Nano has "
    "UniAnimate's alone."
)


def panel(c: Components) -> None:
    """The components."""
    c.pose = gr.Radio(_POSES, value=REST, label="How the body moves", info=_HELP, elem_id="pose")
    c.pose_file = gr.File(
        label="A video of the movement, or a recording (.npz, as `infinitetalk pose` writes it)",
        file_types=["video", "image", ".npz"], height=124, visible=False, elem_id="pose-file",
    )  # fmt: skip
    with gr.Column(visible=False) as c.pose_options:
        with gr.Row():
            c.pose_start = gr.Number(
                0.0, label="Begins at, in seconds of the movement", minimum=0, elem_id="pose-start", min_width=140
            )
            c.pose_speed = gr.Slider(
                SLOWEST, FASTEST, value=1.0, step=0.05, label="Speed", elem_id="pose-speed", min_width=200
            )
        with gr.Row():
            c.pose_strength, c.pose_last = control_sliders("pose")
        c.pose_by = gr.Radio(_NETWORKS, value="unianimate", label="The network", info=_NETWORKS_HELP, elem_id="pose-by")
        c.pose_person = gr.Textbox(
            label="Choose who moves, of several people",
            placeholder="the number from the left, such as 2",
            elem_id="pose-person",
        )
    c.pose_shown = gr.HTML(elem_id="pose-shown")


def to_pose(
    mode: Any, file: Any, strength: Any, last: Any, start: Any, speed: Any, person: Any, network: Any
) -> Pose | None:
    """The choice that the values of `FIELDS` make; None leaves the body to the model. Raises InputError."""
    if mode in (None, REST):
        return None
    if mode == "film" and not file:
        raise InputError("The body is to move as in another video; choose one, or a recording.")
    return Pose(
        network or "unianimate", file if mode == "film" else FOLLOW, strength=strength, last=last,
        offset_seconds=start or 0.0, speed=speed, person=person or None,
    )  # fmt: skip


def from_pose(pose: Pose | None, serve: Callable[[str], str]) -> dict[str, Any]:
    """The fields of a form that makes this choice. serve: gives a copy of a file that the browser may have."""
    values = dict(zip(FIELDS, DEFAULTS, strict=True))
    if pose is None:
        return values
    values |= {
        "pose": FOLLOW if pose.file is None else "film", "pose_strength": pose.strength, "pose_last": pose.last,
        "pose_start": pose.offset_seconds, "pose_speed": pose.speed, "pose_person": pose.person or "",
        "pose_by": pose.mode,
    }  # fmt: skip
    return values if pose.file is None else values | {"pose_file": serve(pose.file)}


# --- handlers --------------------------------------------------------------------------------------------------------


def chosen(pose: str) -> Updates:
    """The options that this choice has are visible."""
    return {
        "pose_file": gr.update(visible=pose == "film"),
        "pose_options": gr.update(visible=pose not in (None, REST)),
    }


def shown(source: str | None, *values: Any) -> Iterator[Updates]:
    """A preview of the skeletons over the source's picture. values: of `FIELDS`."""
    try:
        if values[0] == "film" and not values[1]:  # one is about to be chosen
            yield {"pose_shown": ""}
            return
        pose = to_pose(*values)
        if not source or pose is None:
            yield {"pose_shown": ""}
            return
        yield {"pose_shown": rendering.meter("Looking for the person", "", None)}
        yield {"pose_shown": _condition(source, pose)}
    except Exception as error:
        yield {"pose_shown": rendering.notice(failure(error).message, "warning")}


def _condition(path: str, pose: Pose) -> str:
    from ..generation.pose_targets import pose_preview
    from ..media.video import open_source

    with open_source(path, _SOURCE_PIXELS) as source:
        if source.kind == "image" and pose.file is None:
            raise InputError("The source is a picture, whose person rests; choose another video or a recording.")
        scale = _PICTURE_PIXELS / max(source.height, source.width)
        size = max(2, round(scale * source.height)), max(2, round(scale * source.width))
        seconds = min(source.duration_seconds, _SHOWN_SECONDS)
        pictures, seen = pose_preview(pose, source, seconds, size, _NUM_PICTURES)
    label = f"The skeleton in the first {seconds:.0f} seconds"
    if seen < _NUM_PICTURES:
        label += f"; at {_NUM_PICTURES - seen} of {_NUM_PICTURES} moments nobody is visible; no skeleton there"
    return rendering.movement_condition(pictures, None, label)


# --- wiring ----------------------------------------------------------------------------------------------------------


def wire(wiring: Wiring) -> None:
    """Connect the panel."""
    wiring.components.pose.change(
        wiring.updates(chosen), wiring.components.pose, wiring.named("pose_file", "pose_options"), **QUICK
    )
    posing = ("source", *FIELDS)
    gr.on(wiring.changes(*posing), wiring.streamed(shown), wiring.named(*posing), wiring.named("pose_shown"), **LAST)
