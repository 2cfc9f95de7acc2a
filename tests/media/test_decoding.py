"""Damaged packets are left out and named; a file of which much is lost is refused."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from infinitetalk.errors import MediaError
from infinitetalk.media.audio import load_speech_16k
from infinitetalk.media.decoding import Damage
from infinitetalk.media.probe import probe
from infinitetalk.media.video import VideoSource
from tests.media.conftest import beep, write_sound, write_video


def moving(count: int, size: int = 64) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 255, (size, 4 * size, 3), dtype=np.uint8)
    return [np.ascontiguousarray(scene[:, i : i + size]) for i in range(count)]


def test_two_joined_mp3s_are_one_sound(tmp_path: Path) -> None:
    first = write_sound(tmp_path / "a.mp3", beep(32000, 16000), 16000, "libmp3lame")
    joined = tmp_path / "joined.mp3"
    # What the second file begins with (a tag and a table of contents) is no sound, and may end in half a frame.
    joined.write_bytes(first.read_bytes()[:-100] + b"ID3\4\0\0\0\0\0\x21" + bytes(33) + first.read_bytes())
    damage = Damage()
    seconds = len(load_speech_16k(joined, damage=damage)) / 16000
    assert 3.7 < seconds < 4.2
    assert damage.skipped == 0 or "left out" in damage.notes("joined.mp3")[0]


def test_a_damaged_packet_of_a_sound_is_left_out_and_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 64000)).astype(np.float32)
    path = write_sound(tmp_path / "a.flac", noise, 16000, "flac")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    path.write_bytes(data)
    damage = Damage()
    assert len(load_speech_16k(path, damage=damage)) / 16000 > 3.0
    assert "damaged" in damage.notes("a.flac")[0]


def test_a_damaged_packet_of_a_film_is_left_out(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", moving(50), [i / 25 for i in range(50)], codec="mpeg4")
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    start, size = places[20]
    data[start + 8 : start + size] = bytes(size - 8)
    path.write_bytes(data)
    with VideoSource(path) as source:
        assert sum(1 for _ in source.own_frames()) >= 45


def test_a_file_of_noise_behind_a_header_is_refused(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.flac", beep(160000, 16000), 16000, "flac")
    data = bytearray(path.read_bytes())
    data[200:] = np.random.default_rng(0).integers(0, 255, len(data) - 200, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    with pytest.raises(MediaError, match="damaged|cut short"):
        load_speech_16k(path)


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", "h264"), ("mpeg2video", "m2v")])
def test_a_raw_stream_opens(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"raw.{suffix}"
    with av.open(str(path), "w", format={"h264": "h264", "m2v": "mpeg2video"}[suffix]) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for frame in moving(50):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    info = probe(path)
    assert info.kind == "video" and info.duration_seconds == pytest.approx(2.0, abs=0.1)
    with VideoSource(path) as source:
        assert source.frame_at(1.0).shape == (64, 64, 3)
        assert not np.array_equal(source.frame_at(1.0), source.frame_at(0.2))


def test_an_mkv_that_was_cut_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", moving(100), [i / 25 for i in range(100)], options={"g": "12"})
    assert probe(path).notes == ()
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 5])
    info = probe(path)
    assert info.duration_seconds is not None and 1.2 < info.duration_seconds < 2.0
    assert info.notes == (
        f"a.mkv is cut short: it holds {info.duration_seconds:.2f} of the 4.00 s that its header states.",
    )


def test_joined_dvd_titles_keep_their_end(tmp_path: Path) -> None:
    """Their times begin anew at each title."""
    path = tmp_path / "a.vob"
    with av.open(str(path), "w", format="vob") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for index in range(50):
            frame = np.full((64, 64, 3), 5 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    joined = tmp_path / "joined.vob"
    joined.write_bytes(path.read_bytes() * 2)
    assert probe(joined).duration_seconds == pytest.approx(4.0, abs=0.1)
    with VideoSource(joined) as source:
        levels = [int(source.frame_at(seconds)[32, 32, 0]) for seconds in (0.4, 1.6, 2.4, 3.6, 0.4)]
    assert levels == pytest.approx([50, 200, 50, 200, 50], abs=8)
