"""The command line as a user meets it: flags in, one sentence or a film out."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import wave
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infinitetalk.commands.main import main
from infinitetalk.commands.terminal import format_seconds
from infinitetalk.config.request import load_preset, preset_names

RATE = 16_000


def write_wav(path: Path, seconds: float, loudness: float = 0.2) -> Path:
    times = np.arange(round(seconds * RATE)) / RATE
    samples = loudness * np.sin(2 * np.pi * 150 * times) * np.abs(np.sin(2 * np.pi * 3 * times))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def write_gigantic_png(path: Path) -> Path:
    """A few bytes that claim to be 100,000 x 100,000 pixels."""

    def block(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1000)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header) + block(b"IDAT", rows) + block(b"IEND", b""))
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A desk with one good picture, one good sound, and one file of every bad kind; also the working directory."""
    monkeypatch.chdir(tmp_path)
    rows, columns = np.mgrid[0:200, 0:160]
    picture = Image.fromarray(np.stack([rows, columns, rows ^ columns], -1).astype(np.uint8))
    picture.save("portrait.png")
    write_wav(tmp_path / "speech.wav", 1.0)

    (tmp_path / "letter.txt").write_text("Dear Sir or Madam,\n" * 100, encoding="utf-8")
    (tmp_path / "letter.png").write_text("This is no picture.\n" * 100, encoding="utf-8")
    (tmp_path / "letter.wav").write_text("This is no sound.\n" * 100, encoding="utf-8")
    (tmp_path / "nothing.png").touch()
    (tmp_path / "nothing.wav").touch()
    (tmp_path / "cut.png").write_bytes((tmp_path / "portrait.png").read_bytes()[:300])
    (tmp_path / "cut.wav").write_bytes((tmp_path / "speech.wav").read_bytes()[:20])
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.wav").mkdir()
    write_gigantic_png(tmp_path / "gigantic.png")
    (tmp_path / "bad-key.yaml").write_text("model: nano\nsteps: 4\nshift: 1\ntext_scale: 1\naudio_scale: 2\nstepz: 3\n")
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "text.json").write_text('{"format": 1, "request": "abc"}')
    (tmp_path / "key.json").write_text('{"format": 1, "request": {"source": "a.png", "speakers": [], "sede": 1}}')
    return tmp_path


def state(folder: Path) -> dict[str, str]:
    """Every file below `folder` with a hash of its content."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


def assert_refused(capfd, arguments: list[str], folder: Path, *words: str) -> None:
    """Exit code 1, one sentence with `words` on stderr, nothing on stdout, and nothing changed on disk."""
    before = state(folder)
    code = main(arguments)
    out, err = capfd.readouterr()
    assert (code, out) == (1, ""), err
    lines = [line for line in err.strip().splitlines() if not line.startswith("Note: ")]  # a note is no failure
    assert len(lines) == 1, err
    assert lines[0].endswith("."), err
    assert "Traceback" not in err
    assert "went wrong inside" not in err  # that sentence is for our own mistakes
    for word in words:
        assert word.lower() in err.lower(), err
    assert state(folder) == before
    assert not (folder / "job").exists()


SPEECH = ["--audio", "speech.wav"]
PICTURE = ["--source", "portrait.png"]

BAD_INPUT = {
    "no source": (SPEECH, ["picture or film"]),
    "no audio": (PICTURE, ["speech"]),
    "source missing": (["--source", "nobody.png", *SPEECH], ["nobody.png", "does not exist"]),
    "source empty": (["--source", "nothing.png", *SPEECH], ["nothing.png", "empty"]),
    "source truncated": (["--source", "cut.png", *SPEECH], ["cut.png"]),
    "source is text": (["--source", "letter.txt", *SPEECH], ["letter.txt"]),
    "source is text that says png": (["--source", "letter.png", *SPEECH], ["letter.png"]),
    "source is a sound": (["--source", "speech.wav", *SPEECH], ["speech.wav", "sound", "picture"]),
    "source is a folder": (["--source", "folder.png", *SPEECH], ["folder.png", "folder"]),
    "source is gigantic": (["--source", "gigantic.png", *SPEECH], ["gigantic.png", "pixels"]),
    "source name is blank": (["--source", " ", *SPEECH], ["picture or film"]),
    "audio missing": ([*PICTURE, "--audio", "nobody.wav"], ["nobody.wav", "does not exist"]),
    "audio empty": ([*PICTURE, "--audio", "nothing.wav"], ["nothing.wav", "empty"]),
    "audio truncated": ([*PICTURE, "--audio", "cut.wav"], ["cut.wav"]),
    "audio is text": ([*PICTURE, "--audio", "letter.wav"], ["letter.wav"]),
    "audio is a picture": ([*PICTURE, "--audio", "portrait.png"], ["portrait.png", "picture", "sound"]),
    "audio is a folder": ([*PICTURE, "--audio", "folder.wav"], ["folder.wav", "folder"]),
    "audio name is blank": ([*PICTURE, "--audio", ""], ["speech"]),
    "second audio missing": ([*PICTURE, *SPEECH, "--audio2", "nobody.wav"], ["nobody.wav"]),
    "unknown preset": ([*PICTURE, *SPEECH, "--preset", "huge"], ["huge", "nano"]),
    "preset file missing": ([*PICTURE, *SPEECH, "--preset", "mine.yaml"], ["mine.yaml", "does not exist"]),
    "unknown key in a preset": ([*PICTURE, *SPEECH, "--preset", "bad-key.yaml"], ["bad-key.yaml", "stepz"]),
    "unknown flag": ([*PICTURE, *SPEECH, "--sped", "3"], ["--sped"]),
    "flag without value": ([*PICTURE, "--audio"], ["--audio"]),
    "seed is a word": ([*PICTURE, *SPEECH, "--seed", "lucky"], ["seed", "lucky", "whole number"]),
    "seed is a fraction": ([*PICTURE, *SPEECH, "--seed", "1.5"], ["seed", "1.5"]),
    "seed is negative": ([*PICTURE, *SPEECH, "--seed=-3"], ["seed", "-3"]),
    "seed is too large": ([*PICTURE, *SPEECH, "--seed", str(2**63)], ["seed"]),
    "steps is a word": ([*PICTURE, *SPEECH, "--steps", "many"], ["--steps", "many"]),
    "steps is nan": ([*PICTURE, *SPEECH, "--steps", "nan"], ["steps", "nan"]),
    "no steps": ([*PICTURE, *SPEECH, "--steps", "0"], ["steps"]),
    "audio scale is infinite": ([*PICTURE, *SPEECH, "--audio-guidance-scale", "inf"], ["audio_guidance_scale"]),
    "no length": ([*PICTURE, *SPEECH, "--max-seconds", "0"], ["max_seconds"]),
    "framing": ([*PICTURE, *SPEECH, "--framing", "closer"], ["framing", "closer"]),
    "short source": ([*PICTURE, *SPEECH, "--short-source", "loop"], ["short_source", "loop"]),
    "keyframe without time": ([*PICTURE, *SPEECH, "--keyframe", "portrait.png"], ["--keyframe"]),
    "keyframe without target": ([*PICTURE, *SPEECH, "--keyframe", "0.5="], ["keyframe"]),
    "keyframe picture missing": ([*PICTURE, *SPEECH, "--keyframe", "0.5=nobody.png"], ["nobody.png"]),
    "keyframe after the end": ([*PICTURE, *SPEECH, "--keyframe", "60=portrait.png"], ["keyframe", "60"]),
    "project missing": (["--project", "nowhere.json"], ["nowhere.json", "does not exist"]),
    "project is text": (["--project", "letter.txt"], ["letter.txt", "not a project file"]),
    "project is a list": (["--project", "list.json"], ["list.json", "not a project file"]),
    "project without a request": (["--project", "text.json"], ["text.json"]),
    "unknown key in a project": (["--project", "key.json"], ["key.json", "sede"]),
}


@pytest.mark.parametrize(("flags", "words"), BAD_INPUT.values(), ids=BAD_INPUT)
@pytest.mark.parametrize("command", ["generate", "plan"])
def test_bad_input(capfd, folder, command, flags, words):
    place = ["--job-dir", "job", "--output", "film.mp4"] if command == "generate" else []
    assert_refused(capfd, [command, *flags, *place], folder, *words)


BAD_OUTPUT = {
    "a folder": ("folder.mp4", ["folder.mp4", "folder"]),
    "in a folder that is not there": ("nowhere/film.mp4", ["nowhere", "does not exist"]),
    "below a file": ("speech.wav/film.mp4", ["speech.wav"]),
    "of another kind": ("film.avi", ["film.avi", ".mp4"]),
    "without a kind": ("film", ["film", ".mp4"]),
}


@pytest.mark.parametrize(("output", "words"), BAD_OUTPUT.values(), ids=BAD_OUTPUT)
def test_output_that_cannot_be_written(capfd, folder, output, words):
    (folder / "folder.mp4").mkdir()
    assert_refused(capfd, ["generate", *PICTURE, *SPEECH, "--job-dir", "job", "--output", output], folder, *words)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not hold this user back")
def test_output_in_a_folder_without_permission(capfd, folder):
    (folder / "locked").mkdir(mode=0o500)
    flags = ["--job-dir", "job", "--output", "locked/film.mp4"]
    assert_refused(capfd, ["generate", *PICTURE, *SPEECH, *flags], folder, "locked", "cannot be written")


def test_output_must_not_replace_the_source(capfd, folder):
    film = folder / "me.mp4"
    film.write_bytes((folder / "portrait.png").read_bytes())  # what counts is the content, not the name
    flags = ["--source", "me.mp4", *SPEECH, "--job-dir", "job", "--output", "me.mp4"]
    assert_refused(capfd, ["generate", *flags], folder, "me.mp4", "source")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["generate", "extra"],
        ["bench", "--seconds", "0"],
        ["bench", "--seconds", "soon"],
        ["bench", "--preset", "huge"],
        ["demo", "--preset", "huge"],
        ["resume", "nowhere"],
        ["resume"],
        ["resume", "folder.png"],
        ["resume", "speech.wav"],
    ],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_bad_commands(capfd, folder, arguments):
    assert_refused(capfd, arguments, folder)


def test_weights_that_are_not_there(capfd, folder):
    text = "model: infinitetalk-14b-single\nsteps: 4\nshift: 7\ntext_scale: 5\naudio_scale: 4\n"
    (folder / "large.yaml").write_text(text, encoding="utf-8")
    flags = [*PICTURE, *SPEECH, "--preset", "large.yaml", "--job-dir", "job"]
    assert_refused(capfd, ["generate", *flags], folder, "weights", "nano")
    assert_refused(capfd, ["generate", *flags, "--checkpoints-dir", "nowhere"], folder, "nowhere")


def test_a_fresh_process_prints_no_traceback(folder):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "infinitetalk", "generate", "--source", "nobody.png", *SPEECH]
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == "nobody.png does not exist; check the name and the folder.\n"


# ----------------------------------------------------------------------------------------------------------------------
# What only deserves a warning


def the_plan(capfd, *flags: str) -> dict:
    assert main(["plan", *flags, "--json"]) == 0
    return json.loads(capfd.readouterr().out)


def test_plan_for_machines(capfd):
    plan = the_plan(capfd, *PICTURE, *SPEECH)
    assert plan["num_frames"] == 25
    assert plan["duration_seconds"] == pytest.approx(1.0)
    assert len(plan["chunks"]) == 1
    assert plan["settings"]["model"] == "nano"
    assert 0 < plan["seconds_low"] < plan["seconds_high"]


def test_plan_for_people(capfd):
    assert main(["plan", *PICTURE, *SPEECH]) == 0
    out = capfd.readouterr().out
    assert "1.00 s" in out
    assert "25 frames" in out


def test_a_picture_without_a_face_is_a_warning(capfd):
    assert any("No face" in warning for warning in the_plan(capfd, *PICTURE, *SPEECH)["warnings"])


def test_silence_is_a_warning(capfd, folder):
    write_wav(folder / "silence.wav", 1.0, loudness=0.0)
    plan = the_plan(capfd, *PICTURE, "--audio", "silence.wav")
    assert plan["num_frames"] == 25
    assert any("silence.wav" in w and "silent" in w for w in plan["warnings"])


def test_sound_without_a_single_sample_is_a_warning(capfd, folder):
    write_wav(folder / "instant.wav", 0.0)
    plan = the_plan(capfd, *PICTURE, "--audio", "instant.wav")
    assert plan["num_frames"] >= 1
    assert any("instant.wav" in w for w in plan["warnings"])


def test_seed_and_overrides_reach_the_plan(capfd):
    settings = the_plan(capfd, *PICTURE, *SPEECH, "--steps", "3", "--audio-guidance-scale", "1.5")["settings"]
    assert (settings["steps"], settings["audio_guidance_scale"]) == (3, 1.5)


def test_presets(capfd):
    assert main(["presets", "--json"]) == 0
    listed = json.loads(capfd.readouterr().out)
    assert list(listed) == preset_names()
    assert listed["nano"]["steps"] == load_preset("nano").steps
    assert main(["presets"]) == 0
    assert load_preset("nano").description in capfd.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (7, "7 s"), (59.4, "59 s"), (75, "1:15"), (4000, "1:06:40")]
)
def test_durations_for_people(seconds, text):
    assert format_seconds(seconds) == text


# ----------------------------------------------------------------------------------------------------------------------
# Films


@pytest.fixture
def short_speech(folder) -> list[str]:
    write_wav(folder / "short.wav", 0.2)
    return ["--audio", "short.wav", "--steps", "1"]


def num_frames(film: Path) -> int:
    import av

    with av.open(str(film)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_generate_writes_the_film_and_prints_where_it_is(capfd, folder, short_speech):
    assert main(["generate", *PICTURE, *short_speech, "--job-dir", "job", "--output", "film.mp4"]) == 0
    out, err = capfd.readouterr()
    assert Path(out.strip()).resolve() == folder / "film.mp4"
    assert "\x1b" not in err  # no bar in a pipe
    assert num_frames(folder / "film.mp4") == num_frames(folder / "job" / "output.mp4") == 5


def test_events_for_machines(capfd, short_speech):
    assert main(["generate", *PICTURE, *short_speech, "--job-dir", "job", "--json"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {event["event"] for event in events} == {"progress", "chunk_finished", "finished"}
    assert events[-1]["event"] == "finished"
    assert events[-1]["complete"] is True
    assert events[-1]["num_frames"] == 5


def test_second_job_in_a_folder_is_refused_and_the_first_untouched(capfd, folder, short_speech):
    assert main(["generate", *PICTURE, *short_speech, "--job-dir", "first"]) == 0
    capfd.readouterr()
    before = state(folder)
    assert main(["generate", *PICTURE, *SPEECH, "--job-dir", "first", "--output", "film.mp4"]) == 1
    err = capfd.readouterr().err.strip().splitlines()
    assert "already holds a job" in err[-1]
    assert state(folder) == before


def test_job_that_another_run_works_on(capfd, folder, short_speech):
    from infinitetalk.jobs.folder import JobFolder

    assert main(["generate", *PICTURE, *short_speech, "--job-dir", "first"]) == 0
    capfd.readouterr()
    with JobFolder.open(folder / "first").locked():
        assert main(["resume", "first"]) == 1
    assert re.search(r"Another run \(process \d+ on .*\) is working in", capfd.readouterr().err)


def test_job_again_from_its_project_file(capfd, folder, short_speech):
    assert main(["generate", *PICTURE, *short_speech, "--seed", "5", "--job-dir", "first", "--output", "a.mp4"]) == 0
    assert main(["generate", "--project", "first/project.json", "--job-dir", "second", "--output", "b.mp4"]) == 0
    first, second = (json.loads((folder / name / "project.json").read_text()) for name in ("first", "second"))
    assert first["request"]["seed"] == second["request"]["seed"] == 5
    segments = [(folder / name / "chunks/0000/take-00/segment.mp4").read_bytes() for name in ("first", "second")]
    assert segments[0] == segments[1]


def test_failed_run_leaves_an_earlier_film_alone(capfd, folder, short_speech):
    (folder / "film.mp4").write_bytes(b"an earlier film")
    place = ["--job-dir", "job", "--output", "film.mp4"]
    assert_refused(capfd, ["generate", "--source", "cut.png", *short_speech, *place], folder, "cut.png")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file size are of POSIX systems")
def test_full_disk_is_one_sentence_and_no_partial_film(folder, short_speech):
    """A limit on the size of files stands in for a full disk: writing fails in the same places."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500)); "
        "from infinitetalk.commands.main import main; sys.exit(main(sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PYTHONDONTWRITEBYTECODE": "1"}
    (folder / "film.mp4").write_bytes(b"an earlier film")
    answer = subprocess.run(
        [sys.executable, "-c", code, "generate", *PICTURE, *short_speech, "--job-dir", "job", "--output", "film.mp4"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert "went wrong inside" not in answer.stderr
    assert answer.stderr.strip().splitlines()[-1].endswith(".")
    assert (folder / "film.mp4").read_bytes() == b"an earlier film"
    assert not (folder / "job" / "output.mp4").exists()


@pytest.mark.parametrize("arguments", [["train", "--speed", "2"], ["evaluate", "nano"], ["train", "--stage", "song"]])
def test_mistakes_of_every_command_are_one_sentence(capfd, arguments):
    assert main(arguments) == 1
    error = capfd.readouterr().err.strip()
    assert "--help." in error and "\n" not in error
