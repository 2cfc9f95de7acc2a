"""The page's components are typed attributes: all are made, and a misspelled name is found when the page is built."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import gradio as gr
import pytest

from infinitetalk.ui.components import Components
from infinitetalk.ui.form import FORM_FIELDS
from infinitetalk.ui.page import build_page
from infinitetalk.ui.studio import Studio
from infinitetalk.ui.wiring import FILM_OUTPUTS, Wiring
from tests.ui.conftest import REPOSITORY


def test_the_page_makes_every_component_and_wires_it(tmp_path: Path) -> None:
    page = build_page(Studio(tmp_path), "nano")
    assert len(page.fns) > 40


def test_what_forms_and_films_name_are_components() -> None:
    assert {*FORM_FIELDS, *FILM_OUTPUTS} <= {field.name for field in fields(Components)}


def answered_names() -> Iterator[tuple[str, str]]:
    """(module, name) of every component that a handler's returned or yielded table names."""
    for path in (REPOSITORY / "infinitetalk" / "ui").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef) or "Updates" not in ast.unparse(function.returns or function):
                continue
            for node in ast.walk(function):
                if isinstance(node, (ast.Return, ast.Yield)) and node.value is not None:
                    yield from ((path.name, name) for name in table_keys(node.value))


def table_keys(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.BinOp):
        yield from (*table_keys(value.left), *table_keys(value.right))
    if isinstance(value, ast.Dict):
        yield from (key.value for key in value.keys if isinstance(key, ast.Constant))


def test_handlers_answer_with_names_of_components() -> None:
    names = set(answered_names())
    known = {field.name for field in fields(Components)}
    assert len(names) > 60 and not {each for each in names if each[1] not in known}


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
