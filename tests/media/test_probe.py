from __future__ import annotations

import os
import struct
import subprocess
import sys
import wave
import zlib

import numpy as np
import pytest
from PIL import Image

from infinitetalk.errors import MediaError
from infinitetalk.media.images import load_image
from infinitetalk.media.probe import probe, require_sound, require_source
from tests.media.conftest import beep, grey_frames, write_sound, write_video


def refused(path, check=probe) -> str:
    with pytest.raises(MediaError) as caught:
        check(path)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


def test_video_with_sound(tmp_path):
    path = write_video(
        tmp_path / "a.mp4", grey_frames(30), [i / 30 for i in range(30)], sound=beep(16000, 16000), rotation=90
    )
    info = probe(path)
    assert (info.kind, info.width, info.height, info.rotation) == ("video", 48, 64, 90)
    assert info.duration_seconds == pytest.approx(1, abs=0.01) and info.fps == pytest.approx(30, abs=0.5)
    assert (info.has_audio, info.sample_rate, info.channels) == (True, 16000, 1)
    assert require_source(path) == require_sound(path) == info


def test_video_without_sound(tmp_path):
    path = write_video(tmp_path / "a.mp4", grey_frames(5), [i / 25 for i in range(5)])
    assert not probe(path).has_audio
    assert "without a sound track" in refused(path, require_sound)


def test_sound(tmp_path):
    path = write_sound(tmp_path / "a.wav", beep(4410, 44100, num_channels=6), 44100, "pcm_s24le", "5.1")
    info = probe(path)
    assert (info.kind, info.sample_rate, info.channels, info.duration_seconds) == ("audio", 44100, 6, 0.1)
    assert "is a sound, a picture or video was expected" in refused(path, require_source)


def test_music_cover_is_not_a_video(tmp_path):
    import av

    cover, sound = tmp_path / "cover.png", tmp_path / "a.mp3"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(cover)
    with av.open(str(sound), "w") as container:
        picture = container.add_stream("png", rate=1)
        picture.width = picture.height = 32
        picture.pix_fmt = "rgb24"
        picture.disposition = av.stream.Disposition.attached_pic
        audio = container.add_stream("libmp3lame", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = 16000, 0
        packets = picture.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24"))
        container.mux([*packets, *picture.encode(None), *audio.encode(frame), *audio.encode(None)])
    assert probe(sound).kind == "audio"


def test_picture(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (70, 50)).save(path)
    info = probe(path)
    assert (info.kind, info.width, info.height, info.duration_seconds) == ("image", 70, 50, None)
    assert "is a picture, a sound was expected; choose" in refused(path, require_sound)


def test_moving_gif_is_a_video_and_a_still_one_a_picture(tmp_path):
    frames = [Image.fromarray(frame) for frame in grey_frames(3)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=200)
    frames[0].save(tmp_path / "still.gif")
    assert probe(tmp_path / "moving.gif").kind == "video"
    assert probe(tmp_path / "still.gif").kind == "image"


def test_missing_empty_folder(tmp_path):
    (tmp_path / "empty.wav").touch()
    assert "does not exist" in refused(tmp_path / "none.png")
    assert "is empty (0 bytes)" in refused(tmp_path / "empty.wav")
    assert "is a folder" in refused(tmp_path)


@pytest.mark.parametrize("name", ["notes.txt", "portrait.png", "speech.wav", "clip.mp4"])
def test_text(tmp_path, name):
    path = tmp_path / name
    path.write_text("Dear diary, ÿ today nothing happened.\n" * 30)
    assert f"{name} is text; choose" in refused(path)
    assert "PNG" in refused(path, require_source) and "WAV" not in refused(path, require_source)
    assert "WAV" in refused(path, require_sound) and "PNG" not in refused(path, require_sound)


@pytest.mark.parametrize(
    "script", ["ffconcat version 1.0\nfile secret.mp4\n", "#EXTM3U\n#EXTINF:1,\nhttp://localhost/secret.ts\n"]
)
def test_playlists_that_name_other_files_are_not_followed(tmp_path, script):
    write_video(tmp_path / "secret.mp4", grey_frames(2), [0, 0.04])
    (tmp_path / "a.mp4").write_text(script)
    assert "is text" in refused(tmp_path / "a.mp4")


def test_noise(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    assert "cannot be read" in refused(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("kept", [0.1, 0.6])
def test_truncated_picture(tmp_path, suffix, kept):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert "damaged" in refused(path)


@pytest.mark.parametrize("options", [{}, {"movflags": "+faststart"}])
def test_truncated_video(tmp_path, options):
    import av

    path = tmp_path / "a.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for pixels in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cut short" in refused(path)


def test_heic_is_named(tmp_path):
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    assert "HEIC" in refused(path)


@pytest.mark.parametrize("side", [12_900, 20_000, 500_000])
def test_gigantic_picture(tmp_path, side):
    """Only a header: a small file may claim any size."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path = tmp_path / "huge.png"
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(bytes(100))))
    assert "pixels" in refused(path)
    assert "pixels" in refused(path, load_image)


def test_no_permission(tmp_path):
    """As another user where the tests run as root, to whom nothing is forbidden."""
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(800))
    path.chmod(0)
    for folder in [tmp_path, *tmp_path.parents][:4]:
        if folder.stat().st_uid == os.getuid() and folder.name.startswith(("test_", "pytest-")):
            folder.chmod(0o755)
    script = (
        "import os, sys\nfrom infinitetalk.media.probe import probe\n"
        "os.geteuid() or os.seteuid(65534)\n"
        "try: probe(sys.argv[1])\nexcept ValueError as error: print(error)"
    )
    result = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert "(no permission)" in result.stdout, result.stderr


def test_names_that_look_like_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sound(tmp_path / "50% of: é 'x' #1.wav", beep(800, 8000), 8000, "pcm_u8")
    assert probe("50% of: é 'x' #1.wav").sample_rate == 8000
    assert "does not exist" in refused("http://localhost/a.wav")
    assert "cannot be read" in refused("a\0b.wav")
