"""The timeline on the page: a `gr.HTML` whose content `timeline.js` owns, and what passes between the two sides.

To the browser: the component's value (`state.timeline_state`) and its `work` (the status of each chunk). From it: the
event `input` with the edited keyframes, cuts and stretches, `select` with the chunk to be made again, and requests for
thumbnails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from ...config.request import Guide, Keyframe
from ...errors import InputError
from .pictures import SourcePictures

_FOLDER = Path(__file__).resolve().parent
_SCRIPTS = ("tools", "pictures", "painter", "pins", "spans", "gestures", "timeline")
_MAX_EDITS = 5000

# The template never changes, so gradio leaves alone what the script has put there.
_TEMPLATE = '<div class="timeline"></div>'
_CONNECT = """
const timeline = window.mountTimeline(element.querySelector('.timeline'), {
  thumbnails: (times) => server.thumbnails({ id: props.value.id, times }),
  upload,
  changed: (edits, revision) => trigger('input', { ...edits, revision }),
  seek: (seconds) => {
    const film = document.querySelector('#film video');
    if (film && film.offsetParent && film.paused) film.currentTime = seconds;
  },
  choose: (chunk) => document.querySelectorAll('#strip .band')[chunk]?.click(),
  canAgain: () => document.querySelector('#retake')?.offsetParent != null,
  again: (chunk) => {
    trigger('select', { chunk });
    const panel = document.querySelector('#retake');
    if (!document.querySelector('#redo')?.offsetParent) panel?.querySelector('button')?.click();
    panel?.scrollIntoView({ behavior: 'smooth', block: 'center' });
  },
  film: () => document.querySelector('#film video')?.currentSrc || null,
});
const show = () => {
  const state = props.value || null;
  element.closest('.card')?.classList.toggle('empty', !state);
  if (!state) { timeline.update(null); return; }
  (props.work || []).forEach((status, i) => { if (state.chunks[i]) state.chunks[i].status = status; });
  timeline.update(state);
};
watch(['value', 'work'], show);
show();
// Whether a chunk can be made again is seen from the panel under the player. Player and panel may come later than the
// timeline: on a busy machine the page is put together piece by piece.
const follow = () => {
  const result = document.querySelector('#result');
  if (result) new ResizeObserver(() => timeline.describe()).observe(result); else setTimeout(follow, 100);
};
follow();
"""


def timeline_head() -> str:
    """The script, for the page's head: its parts joined in one function."""
    parts = "\n".join((_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS)
    return f"<script>(() => {{\n{parts}\n}})();</script>"


def timeline_css() -> str:
    return (_FOLDER / "timeline.css").read_text(encoding="utf-8")


def timeline(pictures: SourcePictures) -> gr.HTML:
    """The component; its value is a `timeline_state` or None."""

    def thumbnails(wanted: dict[str, Any]) -> list[str | None]:  # gradio passes one argument
        return pictures.thumbnails(wanted.get("id"), wanted.get("times")) if isinstance(wanted, dict) else []

    return gr.HTML(
        value=None,
        html_template=_TEMPLATE,
        js_on_load=_CONNECT,
        apply_default_css=False,
        elem_id="timeline",
        server_functions=[thumbnails],
        work=[],
    )


def to_keyframes(pins: Any) -> tuple[Keyframe, ...]:
    """The page's pins as keyframes.

    Raises:
        InputError: if they are not pins, or a picture is not one that this page was given.
    """
    keyframes = []
    for pin in _tables("keyframes", pins):
        image = pin.get("image")
        if image is not None and not was_uploaded(image):
            raise InputError("A keyframe's picture is not one of this page's uploads; choose it again.")
        keyframes.append(Keyframe(pin.get("time"), None if image else pin.get("source"), image))
    return tuple(keyframes)


def to_guides(spans: Any) -> tuple[Guide, ...]:
    """The page's stretches as guides.

    Raises:
        InputError: if they are not stretches, or one of them has a value out of range.
    """
    return tuple(
        Guide(
            span.get("start"),
            span.get("stop"),
            span.get("prompt") or None,
            span.get("reference_placement") or None,
            span.get("control_strength"),
        )  # fmt: skip
        for span in _tables("stretches", spans)
    )


def _tables(what: str, values: Any) -> list[Mapping]:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) > _MAX_EDITS:
        raise InputError(f"The timeline's {what} could not be read; reload the page.")
    if not all(isinstance(value, Mapping) for value in values):
        raise InputError(f"The timeline's {what} could not be read; reload the page.")
    return list(values)


def was_uploaded(path: Any) -> bool:
    """Whether the browser names a file it may use: one that gradio stored for an upload."""
    if not isinstance(path, str) or "\0" in path:
        return False
    return Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve())
