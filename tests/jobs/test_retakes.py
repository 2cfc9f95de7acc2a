"""Takes of single chunks, with the shipped model: only what has to be made is made, and nothing that was is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from infinitetalk import (
    ChunkFinished,
    Finished,
    GenerationRequest,
    Progress,
    Speaker,
    UserError,
    generate,
    load_models,
)
from infinitetalk.errors import InputError, JobError
from infinitetalk.jobs.folder import JobFolder
from infinitetalk.jobs.retakes import ChunkTakes, TakeOverrides, read_takes
from infinitetalk.paths import assets_dir
from infinitetalk.pipeline import choose_take, retake

PORTRAIT = assets_dir() / "portrait.png"
MOUTH = slice(160, 210), slice(96, 160)  # rows and columns of the portrait's
LAST_OF_FIRST = 80  # the last frame of chunk 0; chunk 1 was made to follow it


@pytest.fixture(scope="module")
def models():
    return load_models(GenerationRequest(str(PORTRAIT), (Speaker("unread.wav"),)))


@pytest.fixture(scope="module")
def film(tmp_path_factory, models) -> Path:
    """A finished job of two chunks, not to be changed."""
    folder = tmp_path_factory.mktemp("film")
    samples, rate = soundfile.read(assets_dir() / "speech.wav")
    soundfile.write(folder / "voice.wav", samples[: round(4.2 * rate)], rate)
    request = GenerationRequest(str(PORTRAIT), (Speaker(str(folder / "voice.wav")),), steps=1)
    list(generate(request, models, folder / "job"))
    return folder / "job"


@pytest.fixture
def job(film, tmp_path) -> Path:
    return Path(shutil.copytree(film, tmp_path / "job"))


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(np.int16)


def packets(path: Path) -> list[bytes]:
    """The encoded pictures."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def made(events: list) -> list[int]:
    """Chunks that were denoised."""
    return sorted({event.chunk for event in events if isinstance(event, Progress) and event.stage == "decoding"})


def test_a_take_that_fades_leaves_what_follows_alone(job, models):
    before = packets(job / "output.mp4"), pictures(job / "output.mp4")
    events = list(retake(job, 0, TakeOverrides(audio_guidance_scale=3.0), models))
    assert made(events) == [0]
    after = packets(job / "output.mp4"), pictures(job / "output.mp4")
    assert after[0][LAST_OF_FIRST + 1 :] == before[0][LAST_OF_FIRST + 1 :], "chunk 1 was encoded again"
    difference = np.abs(after[1] - before[1])[:, MOUTH[0], MOUTH[1]].mean(axis=(1, 2, 3))
    assert difference[5:60].max() > 2, "the take differs"
    # And ends where chunk 1 begins, but for what encoding the same pictures again costs.
    assert difference[LAST_OF_FIRST] < difference[5:60].max() / 3

    assert made(list(choose_take(job, 0, 0, models))) == []
    assert packets(job / "output.mp4") == before[0]
    assert made(list(choose_take(job, 0, 1, models))) == []
    assert packets(job / "output.mp4") == after[0]


def test_a_take_that_ripples_makes_what_follows_anew(job, models):
    before = packets(job / "output.mp4")
    events = list(retake(job, 0, TakeOverrides(audio_guidance_scale=3.0, join="ripple"), models))
    assert made(events) == [0, 1]
    assert sum(isinstance(event, ChunkFinished) for event in events) == 2
    assert packets(job / "output.mp4")[LAST_OF_FIRST + 1 :] != before[LAST_OF_FIRST + 1 :]
    list(choose_take(job, 0, 0, models))
    assert packets(job / "output.mp4") == before


def test_the_last_chunk_with_another_seed_and_picture(job, models, tmp_path):
    picture = shutil.copy(PORTRAIT, tmp_path / "other.png")
    events = list(retake(job, 1, TakeOverrides(seed=5, reference_image=str(picture)), models))
    assert made(events) == [1]
    Path(picture).unlink()
    takes = read_takes(JobFolder.open(job))
    assert takes == {1: ChunkTakes(1, takes[1].overrides)} and takes[1].overrides[0].seed == 5
    assert Path(takes[1].overrides[0].reference_image).parent == job / "inputs"
    assert made(list(choose_take(job, 1, 1, models))) == [], "the picture is the job's own now"


@pytest.mark.parametrize("after", [0, 1])
def test_a_cancelled_retake_changes_nothing(job, models, after):
    before = (job / "output.mp4").read_bytes(), (job / "project.json").read_text()
    asked = iter(range(100))
    events = list(retake(job, 0, TakeOverrides(join="ripple"), models, should_stop=lambda: next(asked) >= after))
    assert isinstance(events[-1], Finished) and not events[-1].complete
    assert (job / "output.mp4").read_bytes() == before[0]
    assert json.loads((job / "project.json").read_text()).get("takes", {}) == {}


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (lambda job, models: retake(job, 2, TakeOverrides(), models), "chunks 0 to 1, and chunk 2 was given"),
        (
            lambda job, models: retake(job, 0, TakeOverrides(reference_image="gone.png"), models),
            "gone.png does not exist",
        ),
        (lambda job, models: choose_take(job, 0, 3, models), "no take 3"),
        (lambda job, models: retake(job.parent, 0, TakeOverrides(), models), "project.json"),
    ],
)
def test_what_cannot_be_made_is_said(job, models, action: Callable, sentence: str):
    before = (job / "project.json").read_text()
    with pytest.raises(UserError, match=sentence):
        list(action(job, models))
    assert json.loads((job / "project.json").read_text()) == json.loads(before)


@pytest.mark.parametrize(
    "fields",
    [{"seed": -1}, {"join": "cut"}, {"audio_guidance_scale": 90}, {"prompt": 3}, {"reference_seconds": -1.0},
     {"reference_seconds": 1.0, "reference_image": "a.png"}],
)  # fmt: skip
def test_a_recipe_that_cannot_be_is_refused(fields):
    with pytest.raises(InputError):
        TakeOverrides(**fields)


@pytest.mark.parametrize(
    "takes",
    [[], {"0": {"chosen": 2, "recipes": [{}]}}, {"0": {"chosen": 0}}, {"x": {"chosen": 0, "recipes": []}},
     {"0": {"chosen": 1, "recipes": [{"speed": 2}]}}, {"0": {"chosen": 1, "recipes": [{"over": 1}]}},
     {"0": {"chosen": 1, "recipes": [{"reference_image": "../../etc/passwd"}]}}],
)  # fmt: skip
def test_takes_written_wrongly_by_hand_are_refused(job, takes):
    project = json.loads((job / "project.json").read_text())
    (job / "project.json").write_text(json.dumps({**project, "takes": takes}))
    with pytest.raises(JobError, match="project.json"):
        read_takes(JobFolder.open(job))


def test_the_owner_of_a_lock_is_named(job):
    first, second = JobFolder.open(job), JobFolder.open(job)
    with first.locked():
        with pytest.raises(JobError, match=r"Another run \(process \d+ on .*, since 20"), second.locked():
            pass
    with second.locked():
        pass
