"""How the page looks: gradio's variables set once for light and dark; `studio.css` does the rest with the same ones."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from .camera_path.component import camera_path_css, camera_path_head
from .compare.panel import compare_css, compare_head
from .films.panel import films_css, films_head
from .people.component import people_css, people_head
from .timeline.component import timeline_css, timeline_head

STATIC_DIR = Path(__file__).resolve().parent / "static"

# System fonts: nothing is fetched from elsewhere, so the page looks the same without a network.
_SANS = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Helvetica", "sans-serif"]
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]

_ACCENT = gr.themes.Color(
    c50="#eefbf7", c100="#d3f5ea", c200="#a8ead7", c300="#72d8bf", c400="#3bbfa3", c500="#1da389",
    c600="#0f7f6c", c700="#0d6b5c", c800="#0e554a", c900="#0f463e", c950="#04241f", name="accent",
)  # fmt: skip
_INK = gr.themes.Color(
    c50="#fafaf9", c100="#f4f4f2", c200="#e6e6e3", c300="#d3d3cf", c400="#a3a39d", c500="#6e6e69",
    c600="#52524e", c700="#3b3b38", c800="#262624", c900="#1b1b1a", c950="#111110", name="ink",
)  # fmt: skip


def studio_theme() -> gr.themes.Base:
    return gr.themes.Base(
        primary_hue=_ACCENT,
        secondary_hue=_ACCENT,
        neutral_hue=_INK,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=_SANS,
        font_mono=_MONO,
    ).set(
        body_background_fill="*neutral_100",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="*neutral_800",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_700",
        block_shadow="none",
        block_shadow_dark="none",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_200",
        block_title_text_weight="550",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        input_background_fill="white",
        input_background_fill_dark="*neutral_950",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="white",
        button_primary_text_color_dark="*neutral_950",
        button_secondary_background_fill="white",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_border_width="1px",
        button_large_radius="*radius_lg",
        button_large_text_weight="600",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        checkbox_background_color_selected="*primary_600",
        checkbox_background_color_selected_dark="*primary_500",
        checkbox_label_text_color_selected="*body_text_color",
        color_accent="*primary_600",
        color_accent_soft="*primary_50",
        color_accent_soft_dark="*neutral_800",
    )


def studio_css() -> str:
    own = (STATIC_DIR / "studio.css").read_text(encoding="utf-8")
    return own + timeline_css() + people_css() + camera_path_css() + films_css() + compare_css()


def studio_head() -> str:
    """Keyboard shortcuts, the light switch, playing a chunk by its band, and the timeline."""
    own = (STATIC_DIR / "studio.js").read_text(encoding="utf-8")
    return (
        f"<script>{own}</script>" + timeline_head() + people_head() + camera_path_head() + films_head() + compare_head()
    )
