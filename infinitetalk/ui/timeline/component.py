"""The timeline on the page: a `gr.HTML` whose content `timeline.js` owns, and what passes between the two sides.

To the browser: the component's value (`state.timeline_state`) and its `work` (the status of each chunk). From it: the
event `input` with the edited keyframes, and requests for thumbnails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from ...errors import InputError
from ...request import Keyframe
from .pictures import SourcePictures

_FOLDER = Path(__file__).resolve().parent
_MAX_PINS = 5000

# The template never changes, so gradio leaves alone what the script has put there.
_TEMPLATE = '<div class="timeline"></div>'
_CONNECT = """
const timeline = window.mountTimeline(element.querySelector('.timeline'), {
  thumbnails: (times) => server.thumbnails({ id: props.value.id, times }),
  upload,
  changed: (pins, revision) => trigger('input', { pins, revision }),
  seek: (seconds) => {
    const film = document.querySelector('#film video');
    if (film && film.offsetParent && film.paused) film.currentTime = seconds;
  },
  choose: (chunk) => document.querySelectorAll('#strip .band')[chunk]?.click(),
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
"""


def timeline_head() -> str:
    """The script, for the page's head."""
    return f"<script>{(_FOLDER / 'timeline.js').read_text(encoding='utf-8')}</script>"


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
    if not isinstance(pins, Sequence) or isinstance(pins, str) or len(pins) > _MAX_PINS:
        raise InputError("The timeline's keyframes could not be read; reload the page.")
    keyframes = []
    for pin in pins:
        if not isinstance(pin, Mapping):
            raise InputError("The timeline's keyframes could not be read; reload the page.")
        image = pin.get("image")
        if image is not None and not _was_uploaded(image):
            raise InputError("A keyframe's picture is not one of this page's uploads; choose it again.")
        keyframes.append(Keyframe(pin.get("time"), None if image else pin.get("source"), image))
    return tuple(keyframes)


def _was_uploaded(path: Any) -> bool:
    """Whether the browser names a file it may use: one that gradio stored for an upload."""
    if not isinstance(path, str) or "\0" in path:
        return False
    return Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve())
