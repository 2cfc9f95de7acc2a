"""The camera's path as a curve that is edited: a `gr.HTML` whose content `camera_path.js` owns.

To the browser: the component's value (`path_state`). From it: the event `input` with the points as they now are.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from ...errors import InputError
from ...vision.camera_path import CHANNELS, CameraPath, CameraPoint, save_path
from ..served import new_served

_FOLDER = Path(__file__).resolve().parent
_MOST_POINTS = 5000
_TEMPLATE = '<div class="camera-path"></div>'
_CONNECT = """
const editor = window.mountCameraPath(element.querySelector('.camera-path'), {
  changed: (points) => trigger('input', { points }),
});
const show = () => editor.update(props.value || null);
watch(['value'], show);
show();
"""


def camera_path_head() -> str:
    """The script, for the page's head."""
    return f"<script>{(_FOLDER / 'camera_path.js').read_text(encoding='utf-8')}</script>"


def camera_path_css() -> str:
    return (_FOLDER / "camera_path.css").read_text(encoding="utf-8")


def path_editor() -> gr.HTML:
    """The component; its value is a `path_state` or None."""
    return gr.HTML(
        value=None, html_template=_TEMPLATE, js_on_load=_CONNECT, apply_default_css=False, elem_id="path-editor"
    )


def path_state(path: CameraPath, seconds: float) -> dict[str, Any]:
    """The component's value: the points in order, [seconds, x, y, z, yaw, pitch, roll] each, of a film that long.

    id: another one starts the editor anew.
    """
    points = [[point.seconds, *point.values] for point in path.points]
    if points[0][0] > 0:
        points.insert(0, [0.0, *points[0][1:]])
    return {
        "id": secrets.token_hex(8),
        "points": points,
        "seconds": max(seconds, points[-1][0], 0.04),
        "name": path.name,
        "read_from": path.read_from,
    }


def saved(state: Mapping[str, Any], points: Any) -> str:
    """The edited path as a file that the page may use.

    Raises:
        InputError: points that are no path, said in the user's words.
    """
    try:
        rows = [[float(value) for value in row] for row in list(points)[: _MOST_POINTS + 1]]
        if len(rows) > _MOST_POINTS or any(len(row) != 1 + len(CHANNELS) for row in rows):
            raise ValueError
    except (TypeError, ValueError):
        raise InputError("The camera's path could not be read; reload the page.") from None
    name = str(state.get("name", "")).removesuffix(", edited")
    path = CameraPath(tuple(CameraPoint(*row) for row in rows), f"{name}, edited", str(state.get("read_from", "")))
    return str(save_path(path, new_served("camera-path.json")))
