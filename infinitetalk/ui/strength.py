"""Control strength of a control network, and in which steps it acts: two sliders that camera and pose share."""

from __future__ import annotations

import gradio as gr

from ..config.shares import MAX_CONTROL_STRENGTH


def control_sliders(name: str) -> tuple[gr.Slider, gr.Slider]:
    """The strength and the last step as a share of the steps; name: begins their element ids."""
    strength = gr.Slider(
        0, MAX_CONTROL_STRENGTH, value=1.0, step=0.05, label="Control strength", elem_id=f"{name}-strength",
        min_width=160, info="1: as trained. Stretches of the timeline can have their own.",
    )  # fmt: skip
    last = gr.Slider(
        0.05, 1, value=1.0, step=0.05, label="Up to this share of the steps", elem_id=f"{name}-last", min_width=160,
        info="Below 1 the last steps are free to draw details.",
    )  # fmt: skip
    return strength, last
