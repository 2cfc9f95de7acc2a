"""How soon a finished chunk can be played in the browser: `python -m tests.ui.measure_playable [seconds of speech]`.

For each chunk: from the moment the page says that its last denoising step is done (reported at most a quarter of a
second late) until the live player has its end in its buffer. A player that still has seconds to play fetches nothing
yet: for such a chunk the wait ends when the page hears that it is there. Also whether the player ever went back.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.ui.conftest import REPOSITORY, wait_for, write_tone

BUSY_SECONDS = 2.0  # the player asks for more only when less is left

WATCH = """() => {
  window.seen = { denoised: {}, finished: {}, buffered: [], back: 0 };
  let last = 0;
  const look = () => {
    const words = document.querySelector('#progress')?.textContent || '';
    const chunk = /Developing the frames, chunk (\\\\d+)/.exec(words);
    if (chunk) window.seen.denoised[chunk[1]] ??= performance.now();
    const bands = document.querySelectorAll('#strip .band.done').length;
    if (bands) window.seen.finished[bands] ??= performance.now();
    const video = document.querySelector('#live video');
    if (video) {
      const end = video.buffered.length ? video.buffered.end(video.buffered.length - 1) : 0;
      const known = window.seen.buffered.at(-1);
      if (end && (!known || end > known[1] + 0.01)) {
        window.seen.buffered.push([performance.now(), end, video.currentTime]);
      }
      if (video.currentTime < last - 0.01) window.seen.back += 1;
      last = video.currentTime;
    }
    setTimeout(look, 20);
  };
  look();
}""".replace("\\\\", "\\")


def main() -> None:
    """Print a line for each chunk and the largest."""
    from playwright.sync_api import sync_playwright

    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    folder = Path(tempfile.mkdtemp())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), "--jobs-dir", str(folder / "jobs")]
    environment = dict(os.environ, GRADIO_TEMP_DIR=str(folder / "cache"))
    with open(folder / "output.txt", "w") as output:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://127.0.0.1:{port}/", process, folder / "output.txt")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
            )
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"http://127.0.0.1:{port}/", timeout=120_000)
            page.wait_for_selector("#generate", state="visible", timeout=60_000)
            page.set_input_files("#source input[type=file]", str(REPOSITORY / "assets" / "portrait.png"))
            page.set_input_files("#voice input[type=file]", str(write_tone(folder / "voice.wav", seconds)))
            page.wait_for_selector("#plan dl", timeout=90_000)
            page.wait_for_timeout(5000)  # until the networks are loaded, as while a visitor chooses
            page.evaluate(WATCH)
            page.click("#generate")
            page.wait_for_selector("#download", state="visible", timeout=600_000)
            page.wait_for_timeout(3000)
            seen = page.evaluate("window.seen")
            browser.close()
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)

    waits = []
    for chunk, denoised in sorted(seen["denoised"].items(), key=lambda pair: int(pair[0])):
        stop = min(seconds, 3.24 + 2.88 * (int(chunk) - 1))
        buffered = next((at for at, end, _ in seen["buffered"] if end >= stop - 0.15), None)
        listed = seen["finished"].get(chunk)
        ahead = 0.0 if listed is None else _seconds_ahead(seen["buffered"], listed)
        waits.append(((listed if ahead > BUSY_SECONDS else buffered) - denoised) / 1000)
        print(json.dumps({
            "chunk": int(chunk), "until_seconds": round(stop, 2), "playable_after": round(waits[-1], 2),
            "listed_after": None if listed is None else round((listed - denoised) / 1000, 2),
            "left_to_play_then": round(ahead, 1),
        }))  # fmt: skip
    print(json.dumps({"chunks": len(waits), "largest": round(max(waits), 2), "went_back": seen["back"]}))


def _seconds_ahead(buffered: list, now: float) -> float:
    """What the player still has to play at `now` (milliseconds of the page's clock)."""
    known = [(at, end, place) for at, end, place in buffered if at <= now]
    if not known:
        return 0.0
    at, end, place = known[-1]
    return end - place - (now - at) / 1000


if __name__ == "__main__":
    main()
