"""What the browser gets between two answers of one handler."""

from __future__ import annotations

import gradio as gr
import pytest
from gradio_client.utils import apply_diff

from infinitetalk.ui.blocks import WholeAnswers

LEFT_ALONE = {"__type__": "update"}
FILE = {"path": "/a/voice.wav", "meta": {"_type": "gradio.FileData"}, "size": None}
MOVED = {"__type__": "update", "selected": "film"}


@pytest.fixture
def page():
    def answers():
        yield "", None

    with WholeAnswers() as page:
        words, file, button = gr.Textbox(), gr.File(), gr.Button()
        button.click(answers, None, [words, file])
    return page


def sent(page: gr.Blocks, *answers: list, final: bool = False) -> list[list]:
    """What is sent for each answer of one run."""
    handler = next(iter(page.fns.values()))
    sent = [page.handle_streaming_diffs(handler, list(answer), "visitor", "run", False) for answer in answers]
    if final:
        sent.append(page.handle_streaming_diffs(handler, list(answers[-1]), "visitor", "run", True))
    return sent


def test_a_file_after_a_component_that_was_left_alone_is_sent_whole(page):
    _, second = sent(page, [LEFT_ALONE, LEFT_ALONE], ["words", FILE])
    assert second == [[["replace", [], "words"]], [["replace", [], FILE]]]


@pytest.mark.parametrize("before", [LEFT_ALONE, FILE, None, "words", MOVED])
@pytest.mark.parametrize("after", [LEFT_ALONE, FILE, None, "words", MOVED])
def test_the_browser_ends_with_what_was_answered(page, before, after):
    first, second = sent(page, [before, before], [after, after])
    assert first == [before, before]
    assert [apply_diff(old, edit) for old, edit in zip(first, second, strict=True)] == [after, after]


def test_what_stays_as_it_was_is_not_sent_again(page):
    _, second = sent(page, ["a", FILE], ["b", dict(FILE)])
    assert second == [[["replace", [], "b"]], []]


def test_the_last_word_is_the_last_answer_and_the_run_is_forgotten(page):
    assert sent(page, ["a", FILE], ["b", FILE], final=True)[-1] == ["b", FILE]
    assert sent(page, ["c", None]) == [["c", None]]
