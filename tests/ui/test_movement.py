"""Camera and head: what their toggles make of a form, what it shows before, and a film made with it in a browser."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from infinitetalk.config.request import Camera, Head, SDEdit
from infinitetalk.errors import InputError
from infinitetalk.events import ChunkFinished
from infinitetalk.planning.chunks import plan_chunks
from infinitetalk.ui import movement, rendering
from infinitetalk.ui.form import Form
from infinitetalk.vision.camera_path import load_path
from infinitetalk.vision.tracking import TrackingScore
from tests.ui.conftest import REPOSITORY, open_page, write_tone


@pytest.mark.parametrize(
    "camera",
    [None, Camera(path="orbit", amount=-0.5), Camera(path="follow"), SDEdit(0.6),
     Camera(path="/somewhere/mine.json")],
)  # fmt: skip
@pytest.mark.parametrize("head", [None, Head(), Head("follow", 0.5), Head("/somewhere/dance.mp4")])
def test_a_form_gives_the_movement_that_filled_it(camera, head) -> None:
    fields = movement.from_request(camera, head, lambda file: file)
    request = Form(source="a.png", voice="a.wav", **fields).to_request()
    assert movement.camera_of(request) == camera and request.head == head


def test_a_head_that_has_no_film_to_follow_is_said() -> None:
    with pytest.raises(InputError, match="choose one, or let it be lively"):
        Form(source="a.png", voice="a.wav", head="film").to_request()


def shown(source: str, camera: str = "rest", head: str = "rest", path: str = "push in") -> str:
    *_, answer = movement.shown(source, "face", camera, path, 1.0, None, 0.7, "reprojection", 1.0, 1.0, head, None, 1.0)
    return answer["movement_shown"]


def test_what_will_be_made_is_shown_before_the_film(text_file: Path) -> None:
    portrait = str(REPOSITORY / "assets" / "portrait.png")
    assert shown(portrait) == ""
    pushed = shown(portrait, "path")
    assert "data:image/jpeg" in pushed and pushed.count("<polyline") == 4
    turned = shown(portrait, head="lively")
    assert "data:image/jpeg" in turned and "<polyline" not in turned and turned != shown(portrait, "path", "lively")
    assert "does not move" in shown(portrait, "follow") and "does not move" in shown(portrait, head="follow")
    damaged = shown(str(text_file), "path")
    assert "notice" in damaged and "Traceback" not in damaged
    assert "choose one" in shown(portrait, head="film")


def test_a_chunk_that_did_not_follow_is_marked_and_says_what_to_try() -> None:
    chunks = plan_chunks(150, source_seconds=6.0)
    good = TrackingScore(0.97, True, "The camera follows the path.")
    bad = TrackingScore(0.2, False, "The camera follows the path poorly; ask for a slower movement.")
    events = [ChunkFinished(i, 2, Path("a.mp4"), 0.0, 1.0, 7, {}, {"camera": one}) for i, one in enumerate((good, bad))]
    strip = rendering.chunk_strip(chunks, events)
    assert strip.count("missed") == 1 and "Chunk 2: The camera follows the path poorly" in strip
    assert "follows the path." in rendering.chunk_strip(chunks, events[:1]), "a good one says so where it is pointed at"
    assert "notice" not in rendering.chunk_strip(chunks, events[:1])


def test_a_path_is_a_line_within_its_picture() -> None:
    values = np.linspace(-90, 90, 50)[:, None] * np.ones((50, 6))
    drawn = rendering.movement_condition(np.zeros((3, 8, 8, 3), np.uint8), values, "A path")
    points = [float(p.split(",")[1]) for p in drawn.split('points="')[1].split('"')[0].split()]
    assert len(points) == 50 and min(points) >= 0 and max(points) <= 24


def test_a_film_with_a_moving_camera(studio_url: str, chromium: str, tmp_path: Path) -> None:
    with open_page(chromium, studio_url) as page:
        page.set_input_files("#source input[type=file]", str(REPOSITORY / "assets" / "portrait.png"))
        page.set_input_files("#voice input[type=file]", str(write_tone(tmp_path / "voice.wav", 4.0)))
        page.click("#movement-options button")
        page.get_by_label("A movement", exact=True).check()
        page.wait_for_selector("#movement-shown svg", timeout=60_000)
        page.wait_for_selector("#plan dl", timeout=90_000)
        with page.expect_download() as download:
            page.click("#path-download")
        download.value.save_as(tmp_path / "mine.json")
        assert len(load_path(tmp_path / "mine.json").points) == 9, "ready to be edited and given back"
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=str(Path(folder) / "movement.png"), full_page=True)
        page.click("#generate")
        page.wait_for_selector("#download", state="visible", timeout=300_000)
        titles = page.eval_on_selector_all("#strip .band", "bands => bands.map(band => band.title)")
        assert len(titles) == 2 and all("The camera follows the path" in title for title in titles), titles
        assert page.locator("#strip .missed").count() == 0
        if folder:
            page.screenshot(path=str(Path(folder) / "movement-done.png"), full_page=True)
        page.get_by_label("Draw motion targets over the film").check()
        page.wait_for_function("document.querySelector('#film video')?.currentSrc.includes('overlay')", timeout=90_000)
        if folder:
            page.wait_for_timeout(800)
            page.screenshot(path=str(Path(folder) / "overlay.png"), full_page=True)
        page.get_by_label("Draw motion targets over the film").uncheck()
        page.wait_for_function("!document.querySelector('#film video')?.currentSrc.includes('overlay')")

        # Whoever looks at the other player and comes back finds the film where it was.
        page.get_by_role("tab", name="Whole film").click()
        page.wait_for_function("document.querySelector('#film video')?.readyState > 1", timeout=30_000)
        page.evaluate("document.querySelector('#film video').currentTime = 1.5")
        before = page.eval_on_selector("#film video", "video => video.currentSrc")
        page.get_by_role("tab", name="Live").click()
        page.wait_for_timeout(500)
        page.get_by_role("tab", name="Whole film").click()
        page.wait_for_timeout(1500)
        after = page.eval_on_selector("#film video", "video => [video.currentSrc, video.currentTime]")
        assert after[0] == before and after[1] >= 1.5, after

        page.get_by_label("As the references show it", exact=True).check()
        page.wait_for_selector("#movement-shown img", state="detached", timeout=30_000)
        page.get_by_label("Lively, as people who talk", exact=True).check()
        page.wait_for_selector("#movement-shown img", timeout=60_000)
        if folder:
            page.screenshot(path=str(Path(folder) / "head.png"), full_page=True)
