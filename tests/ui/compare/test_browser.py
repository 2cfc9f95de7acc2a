"""Two takes of a film against each other in a real browser: together in time, wiped, and saved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av
import pytest

from tests.ui.conftest import REPOSITORY, open_page, write_tone

APART = """() => {
  const [a, b] = [...document.querySelectorAll("#compare-players video")];
  return {a: a.currentTime, b: b.currentTime, ready: a.readyState >= 2 && b.readyState >= 2, paused: a.paused,
          muted: [a.muted, b.muted]};
}"""


def _ready(page: Any) -> None:
    page.wait_for_function(
        "() => { const v = [...document.querySelectorAll('#compare-players video')];"
        " return v.length === 2 && v.every(one => one.readyState >= 2); }", timeout=60_000,
    )  # fmt: skip


def _choose(page: Any, which: str, words: str) -> None:
    page.click(f"#compare-{which} input")
    page.get_by_role("option", name=words).first.click()


def test_takes_films_and_uploads_are_compared_and_saved(studio_url: str, chromium: str, tmp_path: Path) -> None:
    voice = write_tone(tmp_path / "voice.wav", 5.0)
    with open_page(chromium, studio_url) as page:
        page.click("#compare button")

        # A film, and a second take of its second stretch.
        page.set_input_files("#source input[type=file]", str(REPOSITORY / "assets" / "portrait.png"))
        page.set_input_files("#voice input[type=file]", str(voice))
        page.wait_for_selector("#plan dl", timeout=90_000)
        page.click("#generate")
        page.wait_for_selector("#download", state="visible", timeout=300_000)
        page.mouse.click(*_middle(page, 0.9))
        page.wait_for_selector("[data-action=again]:enabled")
        page.keyboard.press("t")
        page.wait_for_selector("#redo", state="visible")
        page.wait_for_function("() => document.querySelector('#retake-chunk input').value.startsWith('2:')")
        page.fill("#retake-seed textarea, #retake-seed input", "5")
        page.click("#redo")
        page.wait_for_function(
            "() => document.querySelector('#retake-take input')?.value.startsWith('2: seed 5')", timeout=120_000
        )

        # The stretch's two takes: both begin where the stretch does.
        page.wait_for_timeout(1000)
        _choose(page, "first", "Stretch 2, take 1: as first made")
        _choose(page, "second", "Stretch 2, take 2: seed 5")
        page.wait_for_selector("#compare-table tr:has-text('seed')", timeout=60_000)  # not those chosen at first
        _ready(page)
        row = page.inner_text("#compare-table tbody")
        assert "7" in row and "5" in row
        page.locator(".cmp").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(300)
        now = page.evaluate(APART)
        assert now["a"] == pytest.approx(0.08, abs=0.021) and now["b"] == pytest.approx(now["a"], abs=0.001)

        # Played, the two stay within a frame of each other.
        page.click(".cmp-bar button:has-text('Play')")
        page.wait_for_timeout(500)
        apart = []
        for _ in range(8):
            now = page.evaluate(APART)
            apart.append(abs(now["a"] - now["b"]))
            page.wait_for_timeout(80)
        assert min(apart) < 0.04 and sorted(apart)[len(apart) // 2] < 0.06, apart
        assert now["muted"] == [False, True]
        page.locator(".cmp").focus()
        page.keyboard.press("s")
        assert page.evaluate(APART)["muted"] == [True, False]
        if not page.evaluate(APART)["paused"]:
            page.keyboard.press(" ")

        # Scrubbing moves both; the wipe's line moves by pointer and by keys.
        page.locator("input[aria-label='Time in both films']").fill("0.5")
        page.wait_for_timeout(400)
        now = page.evaluate(APART)
        assert now["a"] == pytest.approx(now["b"], abs=0.001) and now["a"] > 0.3
        _shoot(page, "compare-side")
        page.locator(".cmp").focus()
        page.keyboard.press("w")
        stage = page.locator(".cmp-stage").bounding_box()
        page.mouse.click(stage["x"] + 0.25 * stage["width"], stage["y"] + 50)
        line = "document.querySelector('.cmp-stage').style.getPropertyValue('--at')"
        assert float(page.evaluate(line).rstrip("%")) == pytest.approx(25, abs=1)
        page.focus("input[aria-label='Where the line stands']")
        page.keyboard.press("ArrowRight")
        assert float(page.evaluate(line).rstrip("%")) == pytest.approx(26, abs=1)
        page.mouse.click(stage["x"] + 0.5 * stage["width"], stage["y"] + 50)
        _shoot(page, "compare-wipe")

        # Saved as a film and as a page that opens by itself.
        with_film = _export(page, "#compare-side", tmp_path, ".mp4")
        with av.open(str(with_film)) as container:
            assert container.streams.video[0].width == 2 * 256 + 4 and container.streams.audio
        saved = _export(page, "#compare-page", tmp_path, ".html")
        other = page.context.new_page()
        other.goto(saved.as_uri())
        other.wait_for_function(
            "() => [...document.querySelectorAll('video')].every(v => v.readyState >= 1)", timeout=30_000
        )
        assert "Stretch 2, take 1" in other.inner_text("h1") and "seed" in other.inner_text("table")
        other.close()

        # An uploaded film against the film.
        page.set_input_files("#compare-upload input[type=file]", str(with_film))
        page.wait_for_function(
            "() => document.querySelector('#compare-second input').value === 'The uploaded film'", timeout=60_000
        )
        _ready(page)
        page.wait_for_selector("#compare-table .soft", timeout=30_000)


def _middle(page: Any, share: float) -> tuple[float, float]:
    page.locator(".tl-stage").scroll_into_view_if_needed()
    box = page.locator(".tl-stage").bounding_box()
    return box["x"] + share * box["width"], box["y"] + 40


def _export(page: Any, button: str, folder: Path, suffix: str) -> Path:
    page.click(button)
    for _ in range(60):
        page.wait_for_selector("#compare-download", state="visible", timeout=120_000)
        with page.expect_download() as download:
            page.click("#compare-download")
        if download.value.suggested_filename.endswith(suffix):
            break
        page.wait_for_timeout(500)  # what was saved before is offered until the page hears of the new one
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def _shoot(page: Any, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
