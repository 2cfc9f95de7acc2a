"""The editor of the camera's path: its value, what it gives back, and its curve under a real pointer."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from infinitetalk.errors import InputError
from infinitetalk.ui import movement
from infinitetalk.ui.camera_path.component import path_state, saved
from infinitetalk.ui.movement import CAMERA_DEFAULTS
from infinitetalk.vision.camera_path import CameraPath, CameraPoint, load_path, preset_path, save_path
from tests.ui.conftest import REPOSITORY, open_page, write_tone

PORTRAIT = str(REPOSITORY / "assets" / "portrait.png")


def camera_fields(**changes: Any) -> list[Any]:
    return [changes.get(name, usual) for name, usual in zip(movement.CAMERA_FIELDS, CAMERA_DEFAULTS, strict=True)]


def opened(source: str, seconds: float, seed: Any = 7, **changes: Any) -> list[dict[str, Any]]:
    return list(movement.opened(source, {"duration": seconds}, seed, *camera_fields(**changes)))


def test_what_was_opened_and_not_touched_is_the_same_path() -> None:
    path = preset_path("orbit", 0.7, 5.0)
    state = path_state(path, 5.0)
    again = load_path(saved(state, state["points"]))
    assert again.points == path.points and again.name == "orbit, amount 0.7, edited"
    assert load_path(saved({**state, "name": again.name}, state["points"])).name == again.name, "said once"


def test_a_path_that_begins_later_is_given_a_beginning() -> None:
    state = path_state(CameraPath((CameraPoint(1.0, yaw=3.0),)), 4.0)
    assert state["points"][0] == [0.0, 0, 0, 0, 3.0, 0, 0] and state["seconds"] == 4.0


@pytest.mark.parametrize(
    "points, words",
    [
        (None, "could not be read"),
        ([[0, 1]], "could not be read"),
        ([["now"] * 7], "could not be read"),
        ([[0.0] * 7] * 6000, "could not be read"),
        ([], "at least one point"),
        ([[0.0] * 7, [0.0] * 7], "one after another"),
        ([[0.0, 9.0, 0, 0, 0, 0, 0]], "may go from -2 to 2"),
        ([[0.0, float("nan"), 0, 0, 0, 0, 0]], "give a number"),
    ],
)
def test_points_that_are_no_path_are_said(points: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        saved({"name": ""}, points)
    answer = movement.edited(path_state(preset_path("pan", 1.0, 2.0), 2.0), SimpleNamespace(_data={"points": points}))
    assert words in answer["path_notice"] and "camera_file" not in answer


def test_a_ready_made_path_is_opened_over_the_whole_film(tmp_path: Path) -> None:
    (answer,) = opened(PORTRAIT, 9.0, camera="path", movement="pan", amount=-1.0)
    state = answer["path_editor"]["value"]
    assert state["points"][-1][0] == 9.0 and state["points"][-1][4] == pytest.approx(-12.0)
    file = save_path(CameraPath((CameraPoint(0.0), CameraPoint(2.0, x=0.1))), tmp_path / "mine.json")
    (answer,) = opened(PORTRAIT, 9.0, camera="path", camera_file=str(file))
    assert answer["path_editor"]["value"]["points"] == [[0.0] * 7, [2.0, 0.1, 0, 0, 0, 0, 0]]
    assert opened(PORTRAIT, 9.0, seed="x", camera="path", movement="handheld")[0]["path_editor"]
    assert opened(PORTRAIT, 9.0) == [{}] and opened("", 9.0, camera="path") == [{}]


def test_the_source_s_own_path_is_read_with_time_left(panned_film: Path) -> None:
    *meters, last = opened(str(panned_film), 60.0, camera="follow")
    assert len(meters) > 5 and all("s left" in answer["path_notice"] for answer in meters)
    state = last["path_editor"]["value"]
    assert abs(state["points"][-1][4]) > 1 or abs(state["points"][-1][1]) > 0.02
    edited = movement.edited(state, SimpleNamespace(_data={"points": state["points"]}))
    assert edited["camera"] == "path" and load_path(edited["camera_file"]).read_from == state["read_from"] != ""


def test_what_cannot_be_read_is_said(text_file: Path) -> None:
    *_, answer = opened(str(text_file), 5.0, camera="follow")
    assert "notice" in answer["path_notice"] and "Traceback" not in answer["path_notice"]


def test_the_curve_is_edited_with_pointer_and_keys(studio_url: str, chromium: str, tmp_path: Path) -> None:
    with open_page(chromium, studio_url) as page:
        page.set_input_files("#source input[type=file]", PORTRAIT)
        page.set_input_files("#voice input[type=file]", str(write_tone(tmp_path / "voice.wav", 4.0)))
        page.wait_for_selector("#plan dl", timeout=90_000)
        page.click("#movement-options button")
        page.get_by_label("A movement", exact=True).check()
        page.wait_for_selector("#path-edit", state="visible", timeout=60_000)
        page.click("#path-edit")
        page.wait_for_selector(".cp-point", state="visible", timeout=30_000)
        assert page.locator(".cp-point").count() == 9
        status = page.inner_text(".cp-status")
        assert status.startswith("Point 9 of 9, 4.00 s: 25 % of the distance to the person closer")

        # What is drawn is what is filmed: the same curve as the engine's.
        drawn = page.eval_on_selector(".cp-line.chosen", "line => line.getAttribute('points')")
        heights = np.array([float(pair.split(",")[1]) for pair in drawn.split()])
        values = preset_path("push in", 1.0, 4.0).at(np.linspace(0, 4, len(heights)))[:, 2]
        assert np.abs(100 * (1 - values / 0.325) - heights).max() < 0.1

        page.locator(".cp-bar").scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        stage, point = page.locator(".cp-stage").bounding_box(), page.locator(".cp-point").nth(4).bounding_box()
        x, y = point["x"] + 12, point["y"] + 12
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 0.02 * stage["width"], stage["y"] + 0.25 * stage["height"], steps=4)
        page.mouse.up()
        page.wait_for_function(
            "document.querySelector('#camera-file')?.innerText.includes('camera-path')", timeout=30_000
        )
        assert page.inner_text(".cp-status").startswith("Point 5 of 9, 2.08 s: 16 %")
        page.keyboard.press("Shift+ArrowDown")
        assert "2.08 s: 11 %" in page.inner_text(".cp-status")
        page.keyboard.press("Delete")
        assert page.locator(".cp-point").count() == 8
        page.keyboard.press("Control+z")
        page.keyboard.press("Control+Shift+z")
        assert page.locator(".cp-point").count() == 8
        page.keyboard.press("4")
        page.wait_for_timeout(1500)  # what will be made is drawn anew above
        page.locator(".cp-bar").scroll_into_view_if_needed()
        stage = page.locator(".cp-stage").bounding_box()
        page.mouse.dblclick(stage["x"] + 0.56 * stage["width"], stage["y"] + 0.2 * stage["height"])
        assert page.locator(".cp-point").count() == 9
        assert "2.24 s" in page.inner_text(".cp-status") and "right" in page.inner_text(".cp-status")
        if folder := os.environ.get("SCREENSHOTS"):
            page.wait_for_timeout(2500)
            page.screenshot(path=f"{folder}/path-editor.png", full_page=True)
        page.wait_for_timeout(1500)
        with page.expect_download() as download:
            page.click("#path-download")
        download.value.save_as(tmp_path / "mine.json")
        points = load_path(tmp_path / "mine.json").points
        assert len(points) == 9 and points[4].yaw > 1 and points[4].seconds == pytest.approx(2.24)
        page.click("text=Fewer points")
        assert page.locator(".cp-point").count() <= 4
        page.click("text=Start over")
        assert page.locator(".cp-point").count() == 9
        page.get_by_label("As the references show it", exact=True).check()
        page.wait_for_selector(".cp-stage", state="hidden", timeout=30_000)
