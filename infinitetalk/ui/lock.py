"""Around one person the source stays as it is: whom, is clicked in the source's first picture, where a mask shows."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from ..config.composite import Composite
from ..errors import UserError
from . import rendering
from .jobs import failure

FIELDS = ("lock", "lock_person")
_PICTURE_PIXELS = 480
_OUTSIDE = 0.45  # brightness of what stays the source's own
_HELP = (
    "Only the person comes from the model; everything else stays the source's own pixels, moment by moment. For a "
    "video whose camera rests or is followed. Takes half a second for every second of film at nano's size."
)


def panel(c: dict[str, Any]) -> None:
    """The components."""
    c["lock"] = gr.Checkbox(
        label="Change the person alone, keep everything around as it is", info=_HELP, elem_id="lock"
    )
    with gr.Column(visible=False, elem_id="lock-options") as c["lock_options"]:
        c["lock_told"] = gr.HTML(elem_id="lock-told")
        c["lock_picture"] = gr.Image(
            label="Whom the model may change", show_label=False, interactive=False, elem_id="lock-picture",
            buttons=[], height=240, format="jpeg",
        )  # fmt: skip
        gr.HTML('<p class="help">Bright: what the model may change. Click on another person to choose them.</p>')
        c["lock_person"] = gr.Textbox(
            label="Whom of several people", elem_id="lock-person",
            placeholder="click above, or the number from the left, such as 2",
        )  # fmt: skip


def to_lock(chosen: Any, person: Any) -> Composite | None:
    """Of the fields, in the order of `FIELDS`."""
    return Composite(person or None) if chosen else None


def from_lock(lock: Composite | None) -> dict[str, Any]:
    """The fields that give it again."""
    return {"lock": lock is not None, "lock_person": "" if lock is None else lock.person or ""}


# --- handlers --------------------------------------------------------------------------------------------------------


def shown(source: str | None, chosen: bool, person: str | None) -> dict[str, Any]:
    """The person in the light, everything that stays in the dark."""
    if not chosen or not source:
        told = "" if source or not chosen else '<p class="help">Choose a photo or video first.</p>'
        return {"lock_options": gr.update(visible=bool(chosen)), "lock_told": told, "lock_picture": None}
    try:
        return {"lock_options": gr.update(visible=True), "lock_told": "", "lock_picture": masked(source, person)}
    except Exception as error:
        told = rendering.notice(str(error) if isinstance(error, UserError) else failure(error).message, "warning")
        return {"lock_options": gr.update(visible=True), "lock_told": told, "lock_picture": _first(source)}


def clicked(picture: np.ndarray | None, place: gr.SelectData) -> dict[str, Any]:
    """A click on the picture chooses whom."""
    if picture is None:
        return {}
    column, row = place.index
    height, width = np.asarray(picture).shape[:2]
    return {"lock_person": f"{min(1.0, column / width):.3f},{min(1.0, row / height):.3f}"}


def masked(source: str, person: str | None) -> np.ndarray:
    """The source's first picture, uint8 [height, width, 3], darkened outside what may change.

    Raises:
        UserError: nobody is found, or several people and none chosen.
    """
    from ..media.video import open_source
    from ..stages.compositing import first_point
    from ..vision.subject_mask import feathered, masks_of

    with open_source(source, _PICTURE_PIXELS) as opened:
        picture = opened.frame_at(0.0)
    (mask,) = masks_of([picture], first_point(picture, Composite(person or None)))
    light = _OUTSIDE + (1 - _OUTSIDE) * feathered(mask.alpha)[..., None]
    return np.rint(picture * light).astype(np.uint8)


def _first(source: str) -> np.ndarray | None:
    """The picture as it is, to click on; None where there is none."""
    from ..media.video import open_source

    try:
        with open_source(source, _PICTURE_PIXELS) as opened:
            return opened.frame_at(0.0)
    except UserError:
        return None
