"""What the product promises, in a real browser: a first chunk plays with sound before the film is finished."""

from __future__ import annotations

import os
import time
import wave
from pathlib import Path
from typing import Any

import av
import pytest

from tests.ui.conftest import REPOSITORY, open_page

NUM_SECONDS = 16.0  # five chunks, so that there is something left to do while the first one plays
FIND_LIVE = """() => {
  const video = document.querySelector("#live video");
  if (!video) return null;
  return {time: video.currentTime, muted: video.muted, paused: video.paused, volume: video.volume,
          soundBytes: video.webkitAudioDecodedByteCount, pictures: video.webkitDecodedFrameCount};
}"""


@pytest.fixture
def long_speech(tmp_path: Path) -> Path:
    """The bundled sentence, spoken again and again for `NUM_SECONDS`."""
    with wave.open(str(REPOSITORY / "assets" / "speech.wav")) as file:
        parameters, samples = file.getparams(), file.readframes(file.getnframes())
    num_bytes = round(NUM_SECONDS * parameters.framerate) * parameters.nchannels * parameters.sampwidth
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams(parameters)
        file.writeframes((samples * (num_bytes // len(samples) + 1))[:num_bytes])
    return path


def _until(page: Any, condition: Any, seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        page.wait_for_timeout(100)
    pytest.fail(f"after {seconds} s still not: {what}; the page says {page.inner_text('#action-card')!r}")


def test_a_chunk_plays_with_sound_before_the_film_is_done(
    studio_url: str, chromium: str, long_speech: Path, tmp_path: Path
) -> None:
    with open_page(chromium, studio_url, height=900) as page:
        # Two files in, and the plan appears before anything is started.
        page.set_input_files("#source input[type=file]", str(REPOSITORY / "assets" / "portrait.png"))
        page.set_input_files("#voice input[type=file]", str(long_speech))
        page.wait_for_selector("#plan dl", timeout=90_000)
        assert f"{round(NUM_SECONDS * 25)} frames" in page.inner_text("#plan")

        # The first chunk is heard and seen while the others are still being made.
        page.click("#generate")
        page.wait_for_selector("#progress .latent-strip", timeout=120_000)
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=f"{folder}/running.png")
        page.wait_for_selector("#live video", state="attached", timeout=180_000)
        playing = _until(
            page,
            lambda: (live := page.evaluate(FIND_LIVE)) and live["time"] > 0.2 and live["soundBytes"] > 0 and live,
            60,
            "the first chunk plays with sound",
        )
        assert page.is_visible("#cancel") and not page.is_visible("#download"), "the film was already finished"
        assert not playing["muted"] and not playing["paused"] and playing["volume"] > 0 and playing["pictures"] > 0
        _until(page, lambda: page.evaluate(FIND_LIVE)["time"] > playing["time"] + 0.5, 30, "it goes on playing")

        # The end: the whole film, exactly as long as the speech.
        page.wait_for_selector("#download", state="visible", timeout=300_000)
        with page.expect_download() as download:
            page.click("#download")
        film = tmp_path / download.value.suggested_filename
        download.value.save_as(film)

    assert film.name == "portrait-talking.mp4"
    with av.open(str(film)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt, audio.codec_context.name) == (
            "h264", "yuv420p", "aac"
        )  # fmt: skip
        assert video.average_rate == 25
        times = [frame.time for frame in container.decode(video)]
    assert len(times) == round(NUM_SECONDS * 25)
    assert times[-1] - times[0] == pytest.approx(NUM_SECONDS - 1 / 25, abs=1e-3)
    with av.open(str(film)) as container:
        num_samples = sum(frame.samples for frame in container.decode(audio=0))
        assert num_samples / container.streams.audio[0].rate == pytest.approx(NUM_SECONDS, abs=0.05)
