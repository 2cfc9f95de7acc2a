"""Boxes around two speakers, drawn on the picture: a `gr.HTML` whose content `people.js` owns.

To the browser: the component's value (`people_state`). From it: the event `input` with the boxes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ...errors import InputError, UserError
from ...vision.people import check_boxes, suggest_boxes

_FOLDER = Path(__file__).resolve().parent
_SHOWN_PIXELS = 720
_EDGE = 0.05  # of the halves that are used where no box is given

_TEMPLATE = '<div class="people"></div>'
_CONNECT = """
const people = window.mountPeople(element.querySelector('.people'), {
  changed: (boxes) => trigger('input', { boxes }),
});
const show = () => people.update(props.value || null);
watch(['value'], show);
show();
"""

Box = tuple[int, int, int, int]


def people_head() -> str:
    """The script, for the page's head."""
    return f"<script>{(_FOLDER / 'people.js').read_text(encoding='utf-8')}</script>"


def people_css() -> str:
    return (_FOLDER / "people.css").read_text(encoding="utf-8")


def people_boxes() -> gr.HTML:
    """The component; its value is a `people_state` or None."""
    return gr.HTML(value=None, html_template=_TEMPLATE, js_on_load=_CONNECT, apply_default_css=False, elem_id="people")


def people_state(path: str) -> dict[str, Any]:
    """The picture (of a film the first frame) with a box for each voice, the person on the left first.

    Raises:
        MediaError: neither picture nor film.
    """
    from PIL import Image

    from ...media.video import first_frame

    picture = first_frame(path)
    height, width = picture.shape[:2]
    found = suggest_boxes(picture)
    image = Image.fromarray(picture)
    image.thumbnail((_SHOWN_PIXELS, _SHOWN_PIXELS))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    if len(found) == 2:
        notice = "Two people were found. Move the boxes if they are not the ones who speak."
    else:
        seen = "Nobody was" if not found else "Only one person was"
        notice = f"{seen} found here; draw a box around each speaker."
    return {
        "image": f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}",
        "width": width,
        "height": height,
        "boxes": [list(box) for box in (found if len(found) == 2 else halves(height, width))],
        "found": len(found),
        "notice": notice,
    }


def halves(height: int, width: int) -> list[Box]:
    """What the networks take where no boxes are given: the left and the right half, but for their edges."""
    half = width / 2
    top, bottom = round(_EDGE * height), round((1 - _EDGE) * height)
    return [
        (top, round(start + _EDGE * half), bottom, round(start + (1 - _EDGE) * half)) for start in (0, half)
    ]  # fmt: skip


def kept(source: str, state: dict[str, Any], boxes: Any) -> dict[str, Any]:
    """What the page remembers of the boxes: whose they are and in which picture."""
    return {"source": source, "boxes": boxes, "height": state["height"], "width": state["width"]}


def boxes_for(source: str, boxes: Sequence[Any]) -> dict[str, Any]:
    """What the page would remember of these boxes, drawn in the picture or film `source`."""
    from ...media.video import first_frame

    height, width = first_frame(source).shape[:2]
    return {"source": source, "boxes": [[int(side) for side in box] for box in boxes], "height": height, "width": width}


def to_boxes(remembered: Any, source: str | None) -> list[Box] | None:
    """The boxes for a request; None where none were drawn for this source.

    Raises:
        InputError: boxes that cannot be used, said in the user's words.
    """
    if not isinstance(remembered, dict) or remembered.get("source") != source:
        return None
    boxes, height, width = (remembered.get(name) for name in ("boxes", "height", "width"))
    if boxes is None:
        return None
    try:
        return check_boxes(boxes, int(height), int(width))
    except UserError:
        raise
    except (TypeError, ValueError):
        raise InputError("The speakers' boxes could not be read; reload the page.") from None
