"""Boxes around two speakers: what the page remembers, and drawing them in a real browser."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infinitetalk.errors import InputError
from infinitetalk.media.images import load_image
from infinitetalk.ui import handlers
from infinitetalk.ui.handlers import Form
from infinitetalk.ui.people.component import halves, kept, people_state, to_boxes
from tests.ui.conftest import REPOSITORY, open_page

PHOTO = Path(__file__).parents[1] / "vision" / "data" / "astronaut.jpg"


@pytest.fixture(scope="module")
def two_people(tmp_path_factory) -> Path:
    photo = load_image(PHOTO)
    path = tmp_path_factory.mktemp("two") / "two.png"
    Image.fromarray(np.concatenate([photo[:, :300], photo[:, 300:0:-1]], axis=1)).save(path)
    return path


def test_both_people_are_suggested_and_go_into_the_request(two_people, voice):
    shown = handlers.people_wanted(True, str(two_people), None)
    state = shown["people"]["value"]
    assert state["found"] == 2 and (state["width"], state["height"]) == (600, 384)
    form = Form(
        source=str(two_people), voice=str(voice), two_voices=True, second_voice=str(voice), boxes=shown["boxes"]
    )
    left, right = (speaker.box for speaker in form.to_request().speakers)
    assert left[3] <= right[1] + 1 and [list(map(int, left)), list(map(int, right))] == state["boxes"]
    one = Form(source=str(two_people), voice=str(voice), boxes=shown["boxes"]).to_request()
    assert one.speakers[0].box is None


def test_where_one_person_is_seen_the_halves_are_shown_and_left_to_the_model(picture):
    state = people_state(str(picture))
    assert state["found"] < 2 and "draw a box" in state["notice"]
    assert state["boxes"] == [list(box) for box in halves(state["height"], state["width"])]
    assert handlers.people_wanted(True, str(picture), None)["boxes"]["boxes"] is None


def test_boxes_of_another_picture_do_not_count(two_people):
    remembered = kept("a.png", {"height": 100, "width": 200}, [[0, 0, 90, 90], [0, 100, 90, 190]])
    assert to_boxes(remembered, "b.png") is None
    assert to_boxes(remembered, "a.png") == [(0, 0, 90, 90), (0, 100, 90, 190)]
    back = handlers.people_wanted(True, str(two_people), remembered | {"source": str(two_people)})
    assert back["people"]["value"]["boxes"] == remembered["boxes"] and "boxes" not in back


@pytest.mark.parametrize("boxes", ["x", [1, 2], [[0, 0, 9]], [[0, 0, 90, 90], [0, 5, 90, 95]], [["a"] * 4] * 2])
def test_boxes_that_cannot_be_are_refused(boxes):
    with pytest.raises(InputError):
        to_boxes(kept("a.png", {"height": 100, "width": 200}, boxes), "a.png")


def test_boxes_are_drawn_with_pointer_and_keys(studio_url: str, chromium: str, two_people) -> None:
    with open_page(chromium, studio_url) as page:
        page.set_input_files("#source input[type=file]", str(two_people))
        page.set_input_files("#voice input[type=file]", str(REPOSITORY / "assets" / "speech.wav"))
        page.check("#two-voices input")
        page.wait_for_selector(".pb-box", state="visible", timeout=60_000)
        assert "Two people were found" in page.inner_text("#people")

        def boxes() -> list[dict]:
            return [page.locator(f"[data-box='{index}']").bounding_box() for index in (0, 1)]

        page.locator("#people button").last.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        before = boxes()
        x, y = before[0]["x"] + before[0]["width"] / 2, before[0]["y"] + before[0]["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x - 8, y)
        page.mouse.up()
        corner = page.locator("[data-box='1'] [data-corner='nw']").bounding_box()
        page.mouse.move(corner["x"] + 11, corner["y"] + 11)
        page.mouse.down()
        page.mouse.move(corner["x"] + 41, corner["y"] + 11, steps=3)
        page.mouse.up()
        after = boxes()
        assert after[1]["width"] == pytest.approx(before[1]["width"] - 30, abs=3)
        page.focus("[data-box='1']")
        page.keyboard.press("Shift+ArrowUp")
        assert boxes()[1]["height"] < after[1]["height"]
        page.keyboard.press("Control+z")
        assert boxes()[1]["height"] == pytest.approx(after[1]["height"], abs=1)
        page.click("text=Swap voices")
        assert boxes()[0]["x"] > boxes()[1]["x"]
        if folder := os.environ.get("SCREENSHOTS"):
            page.wait_for_timeout(1500)
            page.screenshot(path=f"{folder}/people.png", full_page=True)
        page.uncheck("#two-voices input")
        page.wait_for_selector(".pb-box", state="hidden")
