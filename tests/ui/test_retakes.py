"""Redoing a stretch on the page, in a real browser."""

from __future__ import annotations

import os

from tests.ui.conftest import REPOSITORY, open_page


def test_a_stretch_is_made_again_and_the_first_take_comes_back(studio_url: str, chromium: str) -> None:
    with open_page(chromium, studio_url) as page:
        assert not page.is_visible("#retake"), "there is no film yet"
        page.set_input_files("#source input[type=file]", str(REPOSITORY / "assets" / "portrait.png"))
        page.set_input_files("#voice input[type=file]", str(REPOSITORY / "assets" / "speech.wav"))
        page.wait_for_selector("#plan dl", timeout=90_000)
        page.click("#generate")
        page.wait_for_selector("#download", state="visible", timeout=300_000)

        # The timeline leads to the stretch at its playhead.
        page.focus(".tl-slider")
        page.wait_for_selector("[data-action=again]:enabled")
        page.keyboard.press("t")
        page.wait_for_selector("#redo", state="visible")
        assert page.input_value("#retake-chunk input").startswith("1: 0:00")
        assert page.is_disabled("#retake-take input"), "one take, nothing to choose"
        first = film_of(page)
        page.fill("#retake-seed textarea, #retake-seed input", "5")
        page.click("#redo")
        page.wait_for_function(
            "() => document.querySelector('#retake-take input')?.value.startsWith('2: seed 5')", timeout=120_000
        )
        second = film_of(page)
        assert second != first
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=f"{folder}/retake.png", full_page=True)

        page.click("#retake-take input")
        page.get_by_role("option", name="1, as first made").click()
        page.wait_for_function(
            "(second) => document.querySelector('#film video')?.src !== second && "
            "document.querySelector('#retake-take input')?.value.startsWith('1')",
            arg=second, timeout=120_000,
        )  # fmt: skip
        assert page.is_visible("#download") and page.is_visible("#generate")

        # A seed that is none is said, and nothing is lost.
        page.fill("#retake-seed textarea, #retake-seed input", "many")
        page.click("#redo")
        page.wait_for_selector("#notice .notice", timeout=60_000)
        assert "many" in page.inner_text("#notice") and page.is_visible("#download")


def film_of(page) -> str:
    page.wait_for_selector("#film video", state="attached", timeout=60_000)
    return page.eval_on_selector("#film video", "video => video.src")
