"""The page's components are typed attributes: all are made, and a misspelled name is found when the page is built."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import gradio as gr
import pytest

from infinitetalk.ui.components import Components
from infinitetalk.ui.form import FORM_FIELDS
from infinitetalk.ui.page import build_page
from infinitetalk.ui.studio import Studio
from infinitetalk.ui.wiring import FILM_OUTPUTS, Wiring


def test_the_page_makes_every_component_and_wires_it(tmp_path: Path) -> None:
    page = build_page(Studio(tmp_path), "nano")
    assert len(page.fns) > 40


def test_what_forms_and_films_name_are_components() -> None:
    assert {*FORM_FIELDS, *FILM_OUTPUTS} <= {field.name for field in fields(Components)}


def test_a_misspelled_component_is_an_error(tmp_path: Path) -> None:
    components = Components()
    with pytest.raises(AttributeError, match="sorce"):
        components.sorce = gr.State(None)
    with pytest.raises(AttributeError, match="sorce"):
        Wiring(components, Studio(tmp_path)).named("sorce")
    with pytest.raises(AttributeError, match="source"):
        components.named(["source"])
    with pytest.raises(AttributeError):
        components.check()


def test_an_answer_names_components_and_an_empty_one_changes_nothing(tmp_path: Path) -> None:
    components = Components()
    components.seed = gr.Textbox()
    wiring = Wiring(components, Studio(tmp_path))
    assert wiring.updates(lambda: {"seed": "3"})() == {components.seed: "3"}
    assert list(wiring.streamed(lambda: iter([{}, {"seed": "4"}]))())[1] == {components.seed: "4"}
    assert wiring.updates(dict)() == gr.skip()
