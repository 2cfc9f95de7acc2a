"""Background compositing: the generated person over the source's own pixels.

The visitor clicks on the person in the source's first picture, where the mask is shown.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from ..config.composite import Composite
from ..errors import UserError
from . import rendering
from .components import Components
from .jobs import failure
from .updates import Updates
from .wiring import LAST, QUICK, Wiring

FIELDS = ("composite", "composite_person")
_PICTURE_PIXELS = 480
_OUTSIDE = 0.45  # brightness of what stays the source's own
_HELP = (
    "Only the person comes from the model; everything else stays the source's own pixels, moment by moment. For a "
    "video whose camera rests, or with the camera set to the source video's own. "
    "Takes half a second for every second of film at nano's size."
)


def panel(c: Components) -> None:
    """The components."""
    c.composite = gr.Checkbox(
        label="Background compositing: keep everything around the person as it is", info=_HELP, elem_id="composite"
    )
    with gr.Column(visible=False, elem_id="composite-options") as c.composite_options:
        c.composite_notice = gr.HTML(elem_id="composite-notice")
        c.composite_picture = gr.Image(
            label="The person that the model may change", show_label=False, interactive=False,
            elem_id="composite-picture", buttons=[], height=240, format="jpeg",
        )  # fmt: skip
        gr.HTML('<p class="help">Bright: what the model may change. Click on another person to choose them.</p>')
        c.composite_person = gr.Textbox(
            label="Choose who speaks, of several people", elem_id="composite-person",
            placeholder="click above, or the number from the left, such as 2",
        )  # fmt: skip


def to_composite(chosen: Any, person: Any) -> Composite | None:
    """The choice that the values of `FIELDS` make."""
    return Composite(person or None) if chosen else None


def from_composite(composite: Composite | None) -> dict[str, Any]:
    """The fields of a form that makes this choice."""
    return {"composite": composite is not None, "composite_person": "" if composite is None else composite.person or ""}


# --- handlers --------------------------------------------------------------------------------------------------------


def shown(source: str | None, chosen: bool, person: str | None) -> Updates:
    """The source's first picture: the person bright, the kept background dark."""
    if not chosen or not source:
        notice = "" if source or not chosen else '<p class="help">Choose a photo or video first.</p>'
        return {
            "composite_options": gr.update(visible=bool(chosen)),
            "composite_notice": notice,
            "composite_picture": None,
        }
    try:
        return {
            "composite_options": gr.update(visible=True),
            "composite_notice": "",
            "composite_picture": masked(source, person),
        }
    except Exception as error:
        notice = rendering.notice(str(error) if isinstance(error, UserError) else failure(error).message, "warning")
        return {
            "composite_options": gr.update(visible=True),
            "composite_notice": notice,
            "composite_picture": _first(source),
        }


def clicked(picture: np.ndarray | None, place: gr.SelectData) -> Updates:
    """A click on the picture chooses who speaks."""
    if picture is None:
        return {}
    column, row = place.index
    height, width = np.asarray(picture).shape[:2]
    return {"composite_person": f"{min(1.0, column / width):.3f},{min(1.0, row / height):.3f}"}


def masked(source: str, person: str | None) -> np.ndarray:
    """The source's first picture, uint8 [height, width, 3], darkened outside what may change.

    Raises:
        UserError: nobody is found, or several people and none chosen.
    """
    from ..media.video import open_source
    from ..planning.sources import first_point
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


# --- wiring ----------------------------------------------------------------------------------------------------------


def wire(wiring: Wiring) -> None:
    """Connect the panel."""
    given = ("source", *FIELDS)
    gr.on(
        wiring.changes(*given), wiring.updates(shown), wiring.named(*given),
        wiring.named("composite_options", "composite_notice", "composite_picture"), **LAST,
    )  # fmt: skip

    def pointed(picture: Any, place: gr.SelectData) -> Any:
        return wiring.answer(clicked(picture, place))

    shown_picture = wiring.components.composite_picture
    shown_picture.select(pointed, shown_picture, wiring.named("composite_person"), **QUICK)
