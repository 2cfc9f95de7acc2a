"""The queue in a real browser: two films, another order, a studio that is killed, and what comes after."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ui.conftest import REPOSITORY, open_page, wait_for, write_tone


@contextmanager
def _studio(folder: Path, port: int) -> Iterator[subprocess.Popen]:
    environment = dict(os.environ, GRADIO_TEMP_DIR=str(folder / "cache"), OMP_NUM_THREADS="2")
    command = [sys.executable, "app.py", "--port", str(port), "--jobs-dir", str(folder / "jobs")]
    with open(folder / "output.txt", "a") as output:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://127.0.0.1:{port}/", process, folder / "output.txt")
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _films(page: Any) -> list[str]:
    return page.eval_on_selector_all("#films li strong", "titles => titles.map(title => title.textContent)")


def _states(page: Any) -> dict[str, str]:
    return dict(page.eval_on_selector_all(
        "#films li", "rows => rows.map(row => [row.querySelector('strong').textContent, row.dataset.state])"
    ))  # fmt: skip


def _queued(page: Any, portrait: Path, voice: Path, number: int) -> None:
    page.reload()
    page.wait_for_selector("#generate", state="visible", timeout=60_000)
    page.set_input_files("#source input[type=file]", str(portrait))
    page.set_input_files("#voice input[type=file]", str(voice))
    page.wait_for_selector("#plan dl", timeout=90_000)
    page.click("#later")
    page.wait_for_function(f"() => document.querySelectorAll('#films li').length === {number}", timeout=60_000)


def _open(playwright: Any, chromium: str, port: int, profile: Path) -> Any:
    context = playwright.chromium.launch_persistent_context(
        str(profile), executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"],
        viewport={"width": 1280, "height": 1100},
    )  # fmt: skip
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{port}/", timeout=120_000)
    page.wait_for_selector("#generate", state="visible", timeout=60_000)
    return page


def test_a_queue_outlives_the_studio(chromium: str, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="NO BROWSER TEST: playwright is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    voice = write_tone(tmp_path / "voice.wav", 4.0)
    portraits = []
    for name in ("anna", "ben"):
        portraits.append(tmp_path / f"{name}.png")
        portraits[-1].write_bytes((REPOSITORY / "assets" / "portrait.png").read_bytes())

    with sync_api.sync_playwright() as playwright:
        with _studio(tmp_path, port):
            page = _open(playwright, chromium, port, tmp_path / "profile")
            # A paused queue takes films and begins none.
            (tmp_path / "jobs" / "queue.json").write_text('{"format": 1, "paused": true, "jobs": []}')
            _queued(page, portraits[0], voice, 1)
            _queued(page, portraits[1], voice, 2)
            assert set(_states(page).values()) == {"paused"}
            assert _films(page) == ["anna", "ben"]
            assert "2 films in the queue, paused" in page.inner_text(".queue-bar")
            assert "0 of 2 chunks · 4 s" in page.inner_text("#films li:has-text('ben')")
            # The second one first, by keyboard; the button keeps the focus while the list is drawn anew.
            assert "1 film before it" in page.inner_text("#films li:has-text('ben')")
            page.focus("#films li:has-text('ben') [data-do=up]")
            page.keyboard.press("Enter")
            page.wait_for_function("() => document.querySelector('#films li strong').textContent === 'ben'")
            assert "it is next" in page.inner_text("#films li:has-text('ben')")
            page.wait_for_timeout(500)
            focused = "document.activeElement.dataset.do + document.activeElement.closest('li').innerText"
            assert page.evaluate(focused).startswith("upben"), "the focus goes with the film"
            page.keyboard.press("Enter")
            page.keyboard.press("Alt+ArrowDown")
            page.wait_for_function("() => document.querySelector('#films li strong').textContent === 'anna'")
            page.keyboard.press("Alt+ArrowUp")
            page.wait_for_function("() => document.querySelector('#films li strong').textContent === 'ben'")
            # A name is typed while the list is drawn anew around it.
            page.click("#films li:has-text('anna') [data-do=rename]")
            page.keyboard.type("Anna, first")
            page.wait_for_timeout(2500)
            page.keyboard.type(" try")
            page.keyboard.press("Enter")
            page.wait_for_selector("#films li strong:text-is('Anna, first try')", timeout=30_000)
            _shoot(page, "queue")
            page.click("[data-do=go-on]")
            page.wait_for_function(
                "() => document.querySelector('#films li[data-state=running]')?.textContent.includes('ben')",
                timeout=60_000,
            )
            page.wait_for_timeout(1500)
            page.context.close()

        # The studio was killed in the middle; started again, it goes on where it was, with nobody looking.
        with _studio(tmp_path, port):
            page = _open(playwright, chromium, port, tmp_path / "profile")
            page.click("#films-panel button")
            page.wait_for_function(
                "() => document.querySelectorAll('#films li[data-state=finished]').length === 2",
                timeout=300_000,
            )
            assert sorted(_films(page)) == ["Anna, first try", "ben"]
            page.click("#films li:has-text('Anna') [data-do=open]")
            page.wait_for_selector("#download", state="visible", timeout=60_000)
            page.wait_for_function("() => document.querySelector('#film video')?.readyState >= 2", timeout=60_000)
            assert page.eval_on_selector("#film video", "video => Math.abs(video.duration - 4.0) < 0.1")
            assert page.is_visible("#retake"), "a film that was opened can be retaken"
            # The page is as when it was made, and a stretch can be chosen on the timeline.
            page.wait_for_selector("#plan dl", timeout=60_000)
            page.wait_for_selector("#timeline-card [data-action=again]:not(:disabled)", timeout=60_000)
            assert page.locator("#strip .band.done").count() == 2
            assert page.is_visible("#source :text('anna')") and page.is_visible("#preview img")
            with page.expect_download() as download:
                page.click("#download")
            assert download.value.suggested_filename == "Anna, first try-talking.mp4"
            _shoot(page, "films")

            # What another one was made from, in the form; the player keeps its film.
            page.click("#films li:has-text('ben') [data-do=again]")
            page.wait_for_selector("#source :text('ben')", timeout=60_000)
            page.wait_for_selector("#timeline-card [data-action=again]:disabled", timeout=60_000)
            assert "100 frames" in page.inner_text("#plan") and page.is_visible("#film video")

            # Removed, and back.
            page.click("#films li:has-text('ben') [data-do=remove]")
            page.wait_for_function("() => document.querySelectorAll('#films li').length === 1", timeout=30_000)
            page.click("#unremove")
            page.wait_for_function("() => document.querySelectorAll('#films li').length === 2", timeout=30_000)
            page.context.close()


def test_a_killed_film_is_resumed_from_the_list(chromium: str, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="NO BROWSER TEST: playwright is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with sync_api.sync_playwright() as playwright:
        with _studio(tmp_path, port):
            page = _open(playwright, chromium, port, tmp_path / "profile")
            portrait, voice = REPOSITORY / "assets" / "portrait.png", write_tone(tmp_path / "voice.wav", 11.0)
            page.set_input_files("#source input[type=file]", str(portrait))
            page.set_input_files("#voice input[type=file]", str(voice))
            page.wait_for_selector("#plan dl", timeout=90_000)
            page.click("#generate")
            page.wait_for_selector("#strip .band.done", timeout=180_000)
            page.context.close()
        with _studio(tmp_path, port):
            page = _open(playwright, chromium, port, tmp_path / "profile")
            page.click("#films-panel button")
            row = "#films li:has-text('portrait')"
            page.wait_for_selector(f"{row}[data-state=killed]", timeout=30_000)
            assert "of 4 chunks · 11 s" in page.inner_text(row)
            _shoot(page, "killed")
            page.click(f"{row} [data-do=resume]")
            page.wait_for_selector(f"{row}[data-state=running]", timeout=60_000)
            page.wait_for_function("() => document.querySelector('#live video')?.currentTime > 0.2", timeout=120_000)
            page.wait_for_selector(f"{row}[data-state=finished]", timeout=300_000)
            # At its end the live player gives way to the film.
            page.wait_for_function("() => document.querySelector('#film video')?.offsetParent != null", timeout=90_000)
            page.wait_for_function("() => document.querySelector('#film video')?.duration > 10.9", timeout=60_000)
            page.context.close()


def test_a_stopped_film_is_resumed(chromium: str, studio_url: str, tmp_path: Path) -> None:
    voice = write_tone(tmp_path / "voice.wav", 11.0)
    with open_page(chromium, studio_url, width=400, height=900) as page:
        portrait = tmp_path / "clara.png"
        portrait.write_bytes((REPOSITORY / "assets" / "portrait.png").read_bytes())
        page.set_input_files("#source input[type=file]", str(portrait))
        page.set_input_files("#voice input[type=file]", str(voice))
        page.wait_for_selector("#plan dl", timeout=90_000)
        page.click("#generate")
        page.wait_for_selector("#strip .band.done", timeout=180_000)
        page.click("#cancel")
        page.wait_for_selector("#download", state="visible", timeout=120_000)
        page.click("#films-panel button")
        row = "#films li:has-text('clara')"
        page.wait_for_selector(f"{row}[data-state=cancelled]", timeout=30_000)
        assert "of 4 chunks · 11 s" in page.inner_text(row)
        _shoot(page, "stopped")
        page.click(f"{row} [data-do=resume]")
        # What is finished plays at once, and what is made now follows it.
        page.wait_for_function("() => document.querySelector('#live video')?.currentTime > 0.2", timeout=120_000)
        page.wait_for_selector(f"{row}[data-state=finished]", timeout=300_000)
        page.get_by_role("tab", name="Whole film").click()
        page.wait_for_function("() => document.querySelector('#film video')?.duration > 10.9", timeout=60_000)


def _shoot(page: Any, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
        page.evaluate("document.body.classList.toggle('dark')")
        page.screenshot(path=f"{folder}/{name}-dark.png", full_page=True)
        page.evaluate("document.body.classList.toggle('dark')")
