"""Small inputs made on the spot, a studio served for the whole session, and a browser where there is one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 90  # generous: the whole suite may be running beside it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test in a browser may fail once: chromium, the studio and the other worker share two cores. Reruns are told."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=1))


def write_tone(path: Path, seconds: float, rate: int = 16000) -> Path:
    """A buzz with syllables: enough of a voice for planning and for a mouth to move."""
    time_seconds = np.arange(round(seconds * rate)) / rate
    syllables = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * time_seconds)
    buzz = np.sign(np.sin(2 * np.pi * 130 * time_seconds)) * 0.2 * syllables
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((buzz * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "someone.png"
    rows, columns = np.mgrid[0:96, 0:64]
    Image.fromarray(np.stack([rows * 2, columns * 3, rows + columns], -1).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    return write_tone(tmp_path / "voice.wav", 7.0)


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "letter.png"
    path.write_text("this is no picture")
    return path


@pytest.fixture(scope="session")
def studio_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `python app.py`, started as a user would start it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("studio")
    environment = dict(os.environ, GRADIO_TEMP_DIR=str(folder / "cache"), OMP_NUM_THREADS="2")
    command = [sys.executable, "app.py", "--port", str(port), "--jobs-dir", str(folder / "jobs")]
    with open(folder / "output.txt", "w") as output:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=output, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_for(url, process, folder / "output.txt")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str, process: subprocess.Popen, output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"app.py ended with {process.returncode}:\n{output.read_text()}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"app.py was not up after {START_SECONDS} s:\n{output.read_text()}")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Debian's chromium; installed where this may be done, skipped aloud where it may not."""
    if path := _find_chromium():
        return path
    if shutil.which("apt-get") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("NO BROWSER TEST: chromium is not installed and cannot be; run `sudo apt-get install chromium`")
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            pytest.skip(f"NO BROWSER TEST: `{' '.join(command)}` failed: {done.stderr.strip()[-400:]}")
    path = _find_chromium()
    assert path, "chromium was installed and is still not there"
    return path


def _find_chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def open_page(chromium: str, url: str, width: int = 1280, height: int = 1000) -> Iterator[Any]:
    """The studio's page, ready to be used; a fault of a script on it, or on a page beside it, fails the test."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="NO BROWSER TEST: playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            context = browser.new_context(viewport={"width": width, "height": height})
            problems: list[str] = []
            context.on("weberror", lambda error: problems.append(str(error.error)))
            context.set_default_timeout(60_000)
            page = context.new_page()
            page.goto(url, timeout=120_000)
            page.wait_for_selector("#generate", state="visible", timeout=60_000)
            yield page
            assert not problems, problems
        finally:
            browser.close()
