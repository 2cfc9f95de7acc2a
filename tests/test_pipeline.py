"""The main path with the shipped model: real weights, the bundled portrait, real speech cut short."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from infinitetalk import (
    ChunkFinished,
    Finished,
    GenerationRequest,
    Keyframe,
    Progress,
    Speaker,
    UserError,
    generate,
    load_models,
    plan,
    resume,
)
from infinitetalk.paths import assets_dir

PORTRAIT = assets_dir() / "portrait.png"


@pytest.fixture(scope="module")
def models():
    return load_models(GenerationRequest(str(PORTRAIT), (Speaker("unread.wav"),)))


def speech(path: Path, seconds: float, start_seconds: float = 0.0) -> str:
    samples, rate = soundfile.read(assets_dir() / "speech.wav")
    samples = np.tile(samples, 2)
    start = round(start_seconds * rate)
    soundfile.write(path, samples[start : start + round(seconds * rate)], rate)
    return str(path)


def request_for(tmp_path: Path, seconds: float, **changes) -> GenerationRequest:
    options = {"source": str(PORTRAIT), "speakers": (Speaker(speech(tmp_path / "voice.wav", seconds)),), "steps": 1}
    return GenerationRequest(**(options | changes))


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def sound_seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return float(stream.duration * stream.time_base)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.28])
def test_film_is_exactly_as_long_as_the_speech(tmp_path, models, seconds):
    events = list(generate(request_for(tmp_path, seconds), models, tmp_path / "job"))
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.complete
    film = pictures(finished.output)
    assert len(film) == finished.num_frames == max(1, round(25 * seconds))
    assert sound_seconds(finished.output) == pytest.approx(seconds, abs=0.002)
    chunks = [event for event in events if isinstance(event, ChunkFinished)]
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert sum(len(pictures(chunk.segment)) for chunk in chunks) == len(film)
    assert all(event.fraction <= 1 for event in events if isinstance(event, Progress))


def test_at_a_cut_of_the_source_the_film_cuts_too_and_looks_back_at_nothing(tmp_path, models):
    first = np.asarray(Image.open(PORTRAIT).convert("RGB").resize((192, 192)))
    second = np.ascontiguousarray(255 - first[:, ::-1])
    source = tmp_path / "source.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 192
        stream.pix_fmt = "yuv420p"
        for picture in [first] * 50 + [second] * 50:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    request = request_for(tmp_path, 3.0, source=str(source), framing="whole")
    film_plan = plan(request)
    assert film_plan.cuts == pytest.approx((2.0,)) and [c.new_stop_frame for c in film_plan.chunks] == [50, 75]
    finished = list(generate(request, models, tmp_path / "job"))[-1]
    film = pictures(finished.output).astype(int)
    assert len(film) == 75
    small = [np.asarray(Image.fromarray(picture).resize(film.shape[2:0:-1])).astype(int) for picture in (first, second)]
    errors = np.array([[np.abs(frame - picture).mean() for picture in small] for frame in film])
    assert (errors[:50, 0] < 12).all() and (errors[50:, 1] < 12).all(), errors.round()
    # The shots that were found are written down for whoever continues; none are looked for when they are given.
    assert json.loads((tmp_path / "job" / "project.json").read_text())["request"]["cuts"] == pytest.approx([2.0])
    assert len(plan(replace(request, cuts=())).chunks) == 1


def test_the_picture_is_the_portrait_and_it_moves(tmp_path, models):
    request = request_for(tmp_path, 2.0, steps=None)
    *_, finished = generate(request, models, tmp_path / "job")
    film = pictures(finished.output).astype(np.float32)
    assert film.std(axis=0).mean() > 0.3, "nothing moves"
    side = film.shape[1]
    mouth = film[:, int(0.6 * side) : int(0.85 * side), int(0.3 * side) : int(0.7 * side)]
    corner = film[:, : side // 8, : side // 8]
    assert mouth.std(axis=0).mean() > 2 * corner.std(axis=0).mean(), "the mouth moves no more than the background"


def test_same_seed_same_film_other_seed_another(tmp_path, models):
    films = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        *_, finished = generate(request_for(tmp_path, 0.6, seed=seed), models, tmp_path / name)
        films.append(pictures(finished.output))
    assert np.array_equal(films[0], films[1])
    assert not np.array_equal(films[0], films[2])


def test_cancel_keeps_what_is_finished(tmp_path, models):
    stop = threading.Event()
    for event in generate(request_for(tmp_path, 9.0), models, tmp_path / "job", should_stop=stop.is_set):
        if isinstance(event, ChunkFinished):
            stop.set()
        finished = event
    assert not finished.complete and 81 <= finished.num_frames < 225
    kept = pictures(finished.output)
    assert len(kept) == finished.num_frames

    *_, whole = resume(tmp_path / "job", models)
    assert whole.complete and whole.num_frames == 225
    assert np.array_equal(pictures(whole.output)[: len(kept)], kept)


KILLED_RUN = """
import os, signal, sys
from infinitetalk import ChunkFinished, GenerationRequest, Progress, Speaker, generate, load_models
request = GenerationRequest(sys.argv[1], (Speaker(sys.argv[2]),), steps=1)
for event in generate(request, load_models(request), sys.argv[3]):
    if isinstance(event, Progress) and event.chunk == 1 and event.stage == "decoding":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_killed_job_resumes_to_the_same_film(tmp_path, models):
    voice = speech(tmp_path / "voice.wav", 6.5)
    whole = GenerationRequest(str(PORTRAIT), (Speaker(voice),), steps=1)
    *_, unbroken = generate(whole, models, tmp_path / "whole")
    done = subprocess.run([sys.executable, "-c", KILLED_RUN, PORTRAIT, voice, tmp_path / "killed"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "output.mp4").exists()
    *_, resumed = resume(tmp_path / "killed", models)
    assert np.array_equal(pictures(resumed.output), pictures(unbroken.output))


def test_one_job_a_folder(tmp_path, models):
    request = request_for(tmp_path, 0.2)
    *_, finished = generate(request, models, tmp_path / "job")
    before = finished.output.read_bytes()
    with pytest.raises(UserError, match="already holds a job"):
        list(generate(request, models, tmp_path / "job"))
    assert finished.output.read_bytes() == before


def test_abandoned_generator_stops_its_work(tmp_path, models):
    events = generate(request_for(tmp_path, 9.0), models, tmp_path / "job")
    next(events)
    next(events)
    events.close()
    assert not (tmp_path / "job" / "output.mp4").exists()
    *_, finished = resume(tmp_path / "job", models)
    assert finished.complete


def test_a_keyframe_changes_its_chunk_alone(tmp_path, models):
    from PIL import Image, ImageOps

    pin = tmp_path / "mirrored.png"
    ImageOps.mirror(Image.open(PORTRAIT)).save(pin)
    plain = request_for(tmp_path, 4.0)
    pinned = request_for(tmp_path, 4.0, keyframes=(Keyframe(3.5, image=str(pin)),))
    assert plan(pinned).chunks[1].reference.image == str(pin)
    films = []
    for name, request in (("plain", plain), ("pinned", pinned)):
        *_, finished = generate(request, models, tmp_path / name)
        films.append(pictures(finished.output))
    assert np.array_equal(films[0][:81], films[1][:81])
    assert not np.array_equal(films[0][81:], films[1][81:])


def test_two_voices_make_one_film(tmp_path, models):
    voices = (Speaker(speech(tmp_path / "a.wav", 0.8)), Speaker(speech(tmp_path / "b.wav", 0.6, 2.0)))
    request = request_for(tmp_path, 1.0, speakers=voices, arrangement="in-turn")
    film_plan = plan(request)
    assert film_plan.num_frames == 35
    assert any("one face" in warning for warning in film_plan.warnings)
    *_, finished = generate(request, models, tmp_path / "job")
    assert len(pictures(finished.output)) == 35


def test_silence_and_a_picture_without_a_face_are_warned_of_and_work(tmp_path, models):
    from PIL import Image

    rows, columns = np.mgrid[0:96, 0:128]
    picture = tmp_path / "wall.png"
    Image.fromarray(np.stack([rows, columns, rows + columns], -1).astype(np.uint8)).save(picture)
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(8000), 16000)
    request = GenerationRequest(str(picture), (Speaker(str(silence)),), steps=1)
    warnings = " ".join(plan(request).warnings)
    assert "silent" in warnings and "No face" in warnings
    *_, finished = generate(request, models, tmp_path / "job")
    assert len(pictures(finished.output)) == 12


def test_project_file_holds_everything(tmp_path, models):
    request = request_for(tmp_path, 0.2, seed=5, audio_guidance_scale=1.5)
    list(generate(request, models, tmp_path / "job"))
    stored = json.loads((tmp_path / "job" / "project.json").read_text())["request"]
    assert stored["seed"] == 5 and stored["audio_guidance_scale"] == 1.5 and stored["preset"] == "nano"
    take = json.loads((tmp_path / "job" / "chunks" / "0000" / "take-00" / "take.json").read_text())
    assert take["num_frames"] == 5 and len(take["inputs_sha256"]) == 64


def test_plan_reads_no_weights(tmp_path):
    voice = speech(tmp_path / "voice.wav", 1.0)
    code = (
        "import sys; from infinitetalk import *\n"
        f"plan(GenerationRequest({str(PORTRAIT)!r}, (Speaker({voice!r}),)))\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules), 'networks were imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_chunks_second_reference_reaches_the_network_on_the_whole_way(tmp_path, models):
    """With a model that is said to know it; nano, which does not, makes the film of one reference."""
    portrait = np.asarray(Image.open(PORTRAIT).convert("RGB").resize((192, 192)))
    source = tmp_path / "source.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 192
        stream.pix_fmt = "yuv420p"
        for index in range(60):  # a camera that moves to the side
            moved = np.ascontiguousarray(np.roll(portrait, index, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode())
    request = request_for(tmp_path, 1.0, source=str(source), framing="whole", reference_placement="ends", cuts=())
    assert plan(request).chunks[0].second.source_seconds == pytest.approx(0.96)
    assert "was not trained on a second reference" in " ".join(plan(request).warnings)
    assert "ends with 0.96 s at its end" in plan(request).describe()

    def film(name: str, **changes) -> np.ndarray:
        knows = replace(models, spec=replace(models.spec, second_reference=name == "two"))
        finished = list(generate(replace(request, **changes), knows, tmp_path / name))[-1]
        return pictures(finished.output).astype(int)

    one, two, published = film("one"), film("two"), film("published", reference_placement="edge")
    assert np.array_equal(one, published)
    changed = np.abs(two - one).mean((1, 2, 3))
    assert changed[-4:].mean() > changed[:9].mean() > 0, changed.round(2)  # how much, only training decides
