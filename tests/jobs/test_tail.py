"""A source longer than the speech: what follows the generated part, in pictures and in sound, to the frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from infinitetalk import GenerationRequest, Speaker, generate, load_models, plan
from infinitetalk.media.audio import read_blocks
from infinitetalk.paths import assets_dir

RATE = 16_000
SPEECH_SECONDS, SOURCE_SECONDS, SOURCE_FPS = 1.0, 2.4, 30
TONE_HZ = 880


@pytest.fixture(scope="module")
def models():
    return load_models(GenerationRequest(str(assets_dir() / "portrait.png"), (Speaker("unread.wav"),)))


@pytest.fixture
def request_with_film(tmp_path: Path) -> GenerationRequest:
    """The portrait under a bar that grows with time, with a tone; and a second of silence to say."""
    portrait = np.asarray(Image.open(assets_dir() / "portrait.png").convert("RGB").resize((128, 128)))
    tone = 0.4 * np.sin(2 * np.pi * TONE_HZ * np.arange(round(SOURCE_SECONDS * RATE)) / RATE)
    with av.open(str(tmp_path / "source.mp4"), "w") as container:
        video = container.add_stream("libx264", rate=SOURCE_FPS, options={"crf": "8"})
        video.width = video.height = 128
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("alac", rate=RATE, layout="mono")
        for index in range(round(SOURCE_SECONDS * SOURCE_FPS)):
            picture = portrait.copy()
            picture[:16] = 0
            picture[:16, : index + 20] = 255
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
        for start in range(0, len(tone), 4096):
            block = np.round(tone[None, start : start + 4096] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(block, "s16p", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    soundfile.write(tmp_path / "voice.wav", np.zeros(round(SPEECH_SECONDS * RATE)), RATE)
    return GenerationRequest(
        str(tmp_path / "source.mp4"), (Speaker(str(tmp_path / "voice.wav")),), framing="whole",
        long_source="keep",
    )  # fmt: skip


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def loudness(path: Path) -> np.ndarray:
    """Amplitude of the tone in every tenth of a second."""
    samples = np.concatenate(list(read_blocks(path)), axis=1)[0]
    parts = samples[: len(samples) // 1600 * 1600].reshape(-1, 1600)
    wave = np.exp(-2j * np.pi * TONE_HZ * np.arange(1600) / RATE)
    return 2 * np.abs(parts @ wave) / 1600


def bars(film: np.ndarray) -> np.ndarray:
    """Length of the bar in each picture, in columns of 128."""
    row = film[:, film.shape[1] // 16, :, 0].astype(int)
    return (row > 128).sum(axis=1) * 128 / film.shape[2]


def test_the_rest_follows_at_its_own_instants(request_with_film, models, tmp_path):
    film_plan = plan(request_with_film)
    assert film_plan.num_frames == 25 and film_plan.tail_seconds == pytest.approx(1.4)
    assert "then 1.40 s of the source" in film_plan.describe()
    *_, finished = generate(request_with_film, models, tmp_path / "job")
    film = pictures(finished.output)
    assert len(film) == finished.num_frames == 60
    shown = bars(film)[37:]  # behind the join of twelve frames
    expected = np.floor(np.arange(37, 60) / 25 * SOURCE_FPS + 1e-6) + 20
    assert np.abs(shown - expected).max() <= 1.5, (shown, expected)
    change = np.abs(np.diff(film.astype(int), axis=0)).mean(axis=(1, 2, 3))
    assert change[24:37].max() < 12, change
    heard = loudness(finished.output)
    assert heard[:9].max() < 0.01 and heard[14:23].min() > 0.35


def test_the_source_is_heard_under_the_speech(request_with_film, models, tmp_path):
    from dataclasses import replace

    request = replace(request_with_film, long_source="trim", background=0.5)
    *_, finished = generate(request, models, tmp_path / "job")
    heard = loudness(finished.output)
    assert len(heard) == 10 and heard[1:9].min() > 0.17 and heard[1:9].max() < 0.23
    assert finished.num_frames == 25


def test_no_more_than_was_asked_for(request_with_film):
    from dataclasses import replace

    assert plan(replace(request_with_film, max_seconds=1.6)).tail_seconds == pytest.approx(0.6)
    assert plan(replace(request_with_film, max_seconds=0.5)).tail_seconds == 0
    still = replace(request_with_film, source=str(assets_dir() / "portrait.png"), background=0.3)
    assert plan(still).tail_seconds == 0
    assert any("no sound of its own" in warning for warning in plan(still).warnings)


def test_the_film_has_the_rate_of_its_source(request_with_film, models, tmp_path):
    from dataclasses import replace

    request = replace(request_with_film, output_rate="source")
    assert plan(request).frames_per_second == 30
    *_, finished = generate(request, models, tmp_path / "job")
    with av.open(str(finished.output)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 30
        times = [frame.time for frame in container.decode(stream)]
    assert finished.num_frames == len(times) == 72
    assert np.abs(np.array(times) - np.arange(72) / 30).max() < 1e-3
    shown = bars(pictures(finished.output))[45:]
    instants = np.floor(np.arange(45, 72) / 30 * 25 + 1e-9) / 25  # of the pictures at 25 per second on screen then
    assert np.abs(shown - (np.floor(instants * SOURCE_FPS + 1e-6) + 20)).max() <= 1.5
    heard = loudness(finished.output)
    assert len(heard) == 24 and heard[14:23].min() > 0.35
