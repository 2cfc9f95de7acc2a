"""Every component of the page as a typed attribute; the panels fill them, `wiring.Wiring` connects them.

A name that is not a component is an AttributeError, so a misspelled one is found when the page is built.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import gradio as gr
from gradio.blocks import Block


@dataclass(init=False, eq=False, slots=True)
class Components:
    # What the browser keeps: options, the film in the player, the names of the visitor's films.
    remembered: gr.BrowserState
    job: gr.BrowserState
    mine: gr.BrowserState

    # The face (`source_panel.py`).
    example: gr.Button
    preview: gr.HTML
    source: gr.File
    source_notice: gr.HTML
    put_back: gr.Button
    last_source: gr.State

    # The voices (`source_panel.py`).
    voice: gr.Audio
    two_voices: gr.Checkbox
    second: gr.Column
    second_voice: gr.Audio
    arrangement: gr.Radio
    boxes: gr.State
    people: gr.HTML

    # Camera and head (`movement.py`).
    camera: gr.Radio
    movement_options: gr.Column
    movement: gr.Dropdown
    amount: gr.Slider
    camera_file: gr.File
    camera_maker: gr.Column
    camera_by: gr.Radio
    uni3c_options: gr.Row
    uni3c_strength: gr.Slider
    uni3c_last: gr.Slider
    denoising_strength: gr.Slider
    head: gr.Radio
    head_file: gr.File
    head_amount: gr.Slider
    movement_shown: gr.HTML
    path_edit: gr.Button
    path_download: gr.DownloadButton
    path_notice: gr.HTML
    path_editor: gr.HTML

    # The body (`pose.py`).
    pose: gr.Radio
    pose_file: gr.File
    pose_options: gr.Column
    pose_start: gr.Number
    pose_speed: gr.Slider
    pose_strength: gr.Slider
    pose_last: gr.Slider
    pose_by: gr.Radio
    pose_person: gr.Textbox
    pose_shown: gr.HTML

    # Options (`source_panel.py`, `compositing.py`, `source_options.py`).
    preset: gr.Dropdown
    preset_help: gr.HTML
    prompt: gr.Textbox
    seed: gr.Textbox
    dice: gr.Button
    steps: gr.Slider
    audio_guidance_scale: gr.Slider
    framing: gr.Radio
    composite: gr.Checkbox
    composite_options: gr.Column
    composite_notice: gr.HTML
    composite_picture: gr.Image
    composite_person: gr.Textbox
    source_options: gr.Column
    short_source: gr.Radio
    long_source: gr.Radio
    reference_placement: gr.Radio
    background: gr.Slider
    output_rate: gr.Radio

    # The film (`result_panel.py`).
    plan: gr.HTML
    notice: gr.HTML
    progress: gr.HTML
    generate: gr.Button
    cancel: gr.Button
    later: gr.Button
    result: gr.Column
    players: gr.Tabs
    live: gr.Video
    film_tab: gr.Tab
    film_shown: gr.Textbox
    film: gr.Video
    overlay: gr.Checkbox
    strip: gr.HTML
    facts: gr.HTML
    download: gr.DownloadButton

    # One stretch once more (`retakes.py`).
    retake: gr.Accordion
    retake_chunk: gr.Dropdown
    retake_take: gr.Dropdown
    retake_seed: gr.Textbox
    retake_audio_scale: gr.Slider
    retake_prompt: gr.Textbox
    retake_picture: gr.File
    retake_join: gr.Radio
    redo: gr.Button

    # The timeline (`timeline/component.py`) and what was edited on it.
    timeline: gr.HTML
    edits: gr.State

    # Two films against each other (`compare/panel.py`).
    compare: gr.Accordion
    compare_first: gr.Dropdown
    compare_second: gr.Dropdown
    compare_upload: gr.File
    compare_notice: gr.HTML
    compare_result: gr.Column
    compare_players: gr.HTML
    compare_table: gr.HTML
    compare_side: gr.Button
    compare_wipe: gr.Button
    compare_page: gr.Button
    compare_progress: gr.HTML
    compare_download: gr.DownloadButton

    # The visitor's films and the queue (`films/panel.py`).
    films_panel: gr.Accordion
    films: gr.HTML
    removed_row: gr.Row
    removed_words: gr.HTML
    unremove: gr.Button
    removed: gr.State
    films_drawn: gr.State
    films_clock: gr.Timer

    def named(self, names: Iterable[str]) -> list[Block]:
        """Raises: AttributeError for a name that is no component, or none that was made."""
        return [getattr(self, name) for name in names]

    def check(self) -> None:
        """Raises: AttributeError unless every component was made."""
        self.named(field.name for field in fields(self))
