"""Files that attack: bombs, scripts, pipes, devices, names. Each is one sentence, soon, and without much memory."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import threading
import time
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infinitetalk.commands.main import main
from infinitetalk.config.presets import load_preset
from infinitetalk.config.settings import quoted
from infinitetalk.errors import MediaError, PresetError, UserError, printable
from infinitetalk.files import read_json
from infinitetalk.media.audio import load_speech_16k
from infinitetalk.media.images import load_image
from infinitetalk.media.picture_files import forget_other_formats
from infinitetalk.media.probe import probe
from infinitetalk.paths import assets_dir
from infinitetalk.vision.camera_path import load_path
from infinitetalk.vision.pose_file import load_pose

PORTRAIT, SPEECH = str(assets_dir() / "portrait.png"), str(assets_dir() / "speech.wav")

ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join('*' + chr(97 + i) for _ in range(9))}]\n" for i in range(12)
)


def soon(seconds: float = 5.0):
    """Fails if the block takes longer; a hang is stopped by the suite's own limit."""

    @contextlib.contextmanager
    def timed():
        started = time.monotonic()
        yield
        assert time.monotonic() - started < seconds

    return timed()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("loop.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{ } loop\n"),
        ("layers.png", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 64, 64, 8, 3) + bytes(100)),
        ("sky.jpg", b"SIMPLE  =                    T" + b" " * 50 + b"BITPIX  =                    8" + b" " * 2770),
        ("icon.webp", b"icns" + struct.pack(">I", 100) + bytes(92)),
        ("code.png", b'/* XPM */\nstatic char *a[] = {\n"1 1 1 1",\n' + bytes(40)),
    ],
)
def test_a_picture_of_another_format_is_no_picture(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for reader in (probe, load_image):
        with soon(), pytest.raises(MediaError, match="choose"):
            reader(path)


def test_a_server_forgets_the_other_formats() -> None:
    kept = list(Image.ID), dict(Image.OPEN)
    try:
        forget_other_formats()
        with pytest.raises(OSError, match="cannot identify"):
            Image.open(io.BytesIO(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"))
        Image.open(PORTRAIT).load()
    finally:
        Image.ID[:] = kept[0]
        Image.OPEN.update(kept[1])


@pytest.mark.parametrize(("rate", "channels"), [(1, 1), (100, 2), (4_000_000_000, 1), (16_000, 200)])
def test_a_sound_with_an_impossible_header_is_refused_before_anything_is_written(
    tmp_path: Path, rate: int, channels: int
) -> None:
    path = tmp_path / "bomb.wav"
    data = bytes(20_000)
    head = struct.pack("<HHIIHH", 1, channels, rate, min(rate * channels * 2, 2**32 - 1), channels * 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with soon(), pytest.raises(MediaError, match="export it|cannot be read|damaged|choose"):
        load_speech_16k(path, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["bomb.wav"]


def test_a_sound_that_lasts_for_days_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(2000)
        file.writeframes(bytes(2000 * 3600 * 13))
    with soon(), pytest.raises(MediaError, match=r"lasts 13\.0 hours, at most 12 are read"):
        load_speech_16k(path, tmp_path)


def test_a_preset_with_aliases_tags_or_endless_tables_is_refused(tmp_path: Path) -> None:
    for name, text, said in (
        ("aliases", ALIASES, "refers to another place"),
        ("tag", "model: !!python/object/apply:os.system ['true']\n", "has a tag"),
        ("binary", "model: !!binary aGVsbG8=\n", "has a tag"),
        ("large", "description: '" + "x" * 70_000 + "'\n", "at most 0.064 MB"),
        ("deep", "model: " + "[" * 50 + "]" * 50 + "\n", "nested too deeply"),
        ("deeper", "model: " + "[" * 20_000 + "\n", "nested too deeply|cannot be read"),
        ("two", "a: 1\n---\nb: 2\n", "cannot be read"),
    ):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        with soon(), pytest.raises(PresetError, match=said):
            load_preset(str(path))
    path.write_text("model: 2024-99-99\nsteps: 2\nshift: 1\nguidance_scale: 1\naudio_guidance_scale: 1\n")
    assert load_preset(str(path)).model == "2024-99-99", "a date is text"


def test_a_wrong_value_is_quoted_without_being_written_out() -> None:
    value: list = ["x"]
    for _ in range(30):
        value = [value] * 9  # nine to the thirtieth entries
    with soon(1.0):
        assert len(quoted(value)) < 80
        assert len(quoted("x" * 10**7)) < 80 and len(quoted({"k" * 10**6: value})) < 80
        assert len(printable("word " + "x" * 10**7)) < 200
    assert str(UserError("a\udcfc\x1b[31mb")) == r"a\udcfc\x1b[31mb"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX systems")
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (str(pipe), "/dev/zero", "/proc/self/mem", "/proc/self/environ", "/dev/null"):
        if not os.path.exists(path):
            continue
        for argv in (
            ["plan", "--source", path, "--audio", SPEECH],
            ["plan", "--source", PORTRAIT, "--audio", path],
            ["plan", "--project", path],
            ["plan", "--source", PORTRAIT, "--audio", SPEECH, "--pose", path],
            ["plan", "--source", PORTRAIT, "--audio", SPEECH, "--camera", path],
        ):
            with soon(20.0), contextlib.redirect_stderr(io.StringIO()) as said:
                assert main(argv) == 1, argv
            assert "inside" not in said.getvalue() and said.getvalue().count("\n") == 1, (argv, said.getvalue())


def test_json_that_is_deep_or_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ("[" * 200_000, "[" * 40 + "]" * 40, '{"a":' * 100_000):
        path.write_text(text)
        with soon(), pytest.raises(ValueError):
            read_json(path)
    path.write_text("[" + "0," * 9_000_000 + "0]")
    with soon(), pytest.raises(ValueError, match="at most 16 MB"):
        read_json(path)
    with pytest.raises(UserError):
        load_path(path)


def test_arrays_that_claim_terabytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pose.npz"
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 2), }"
    header += b" " * (64 - (10 + len(header) + 1) % 64) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("version.npy", _npy(np.array(1)))
        archive.writestr("joints.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + bytes(64))
    with soon(), pytest.raises(MediaError, match="not a recorded pose"):
        load_pose(path)


def _npy(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


def test_no_file_is_opened_in_another_thread_for_ever(tmp_path: Path) -> None:
    """What the page does with an upload ends, so its threads are free again."""
    path = tmp_path / "loop.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{ } loop\n")

    def work() -> None:
        with contextlib.suppress(UserError):
            probe(path)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5.0)
    assert not any(thread.is_alive() for thread in threads)
