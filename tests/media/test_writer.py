from __future__ import annotations

import subprocess
import sys
import threading
import time

import av
import numpy as np
import pytest

from infinitetalk.errors import OutputError
from infinitetalk.media.audio import read_blocks
from infinitetalk.media.video import VideoSource
from infinitetalk.media.writer import BackgroundWriter, SegmentWriter
from tests.media.conftest import beep, grey_frames, index_of


@pytest.mark.parametrize("codec", ["alac", "pcm_s16le"])
@pytest.mark.parametrize("rate, num_channels", [(16000, 1), (44100, 2), (22050, 6), (11025, 1)])
def test_picture_and_sound_have_exactly_the_same_length(tmp_path, codec, rate, num_channels):
    frames = np.stack(grey_frames(27))
    sound = beep(rate * 27 // 25, rate, 0.5, num_channels)
    segment = SegmentWriter(64, 48, rate, sound_codec=codec).write(tmp_path / "a.mp4", frames, sound)
    assert segment.num_frames == 27 and segment.num_samples == sound.shape[1]
    with av.open(str(segment.path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.start_time == audio.start_time == 0
        assert video.duration * video.time_base * 25 == 27 and audio.duration == sound.shape[1]
        assert video.codec_context.pix_fmt == "yuv420p"
        packets = [packet for packet in container.demux(video) if packet.pts is not None]
        assert packets[0].is_keyframe and all(packet.pts == packet.dts for packet in packets)
    with VideoSource(segment.path) as source:
        assert [index_of(frame) for frame in source.frames(0, 27)] == list(range(27))
    heard = np.concatenate(list(read_blocks(segment.path)), axis=1)
    assert heard.shape == (min(num_channels, 2), sound.shape[1])
    if num_channels <= 2:
        assert np.abs(heard - sound).max() <= 1 / 32000


def test_colours_survive(tmp_path):
    colors = np.array([(200, 60, 40), (220, 180, 150), (30, 60, 220), (128, 128, 128), (90, 30, 120)], np.uint8)
    frame = np.repeat(np.repeat(colors, 16, axis=0)[None], 48, axis=0)
    SegmentWriter(80, 48, crf=8).write(tmp_path / "a.mp4", frame[None])
    with VideoSource(tmp_path / "a.mp4") as source:
        seen = source.frame_at(0)[24, 8::16].astype(int)
    assert np.abs(seen - colors).max() <= 5


def test_odd_sizes_get_one_more_row_and_column(tmp_path):
    SegmentWriter(63, 47).write(tmp_path / "a.mp4", np.full((2, 47, 63, 3), 120, np.uint8))
    with VideoSource(tmp_path / "a.mp4") as source:
        frame = source.frame_at(0)
    assert frame.shape == (48, 64, 3) and np.abs(frame.astype(int) - 120).max() < 5, "no dark edge"


def test_short_sound_is_filled_and_long_sound_is_cut(tmp_path):
    for given in (1000, 20000):
        segment = SegmentWriter(64, 48, 16000).write(
            tmp_path / "a.mp4", iter(grey_frames(25)), np.zeros(given, np.float32)
        )
        assert abs(segment.num_samples - 16000) <= 1


def test_same_input_same_bytes(tmp_path):
    frames, sound = np.random.default_rng(0).integers(0, 255, (9, 48, 64, 3), dtype=np.uint8), beep(5760, 16000, 0)
    for name in ("a.mp4", "b.mp4"):
        SegmentWriter(64, 48, 16000).write(tmp_path / name, frames, sound)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_nothing_is_left_when_it_fails(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"earlier")

    def failing():
        yield from grey_frames(3)
        raise RuntimeError("the network stopped")

    with pytest.raises(RuntimeError, match="the network stopped"):
        SegmentWriter(64, 48).write(path, failing())
    assert path.read_bytes() == b"earlier" and list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="there is no folder"):
        SegmentWriter(64, 48).write(tmp_path / "none" / "a.mp4", grey_frames(1))
    with pytest.raises(OutputError, match="is a folder"):
        SegmentWriter(64, 48).write(tmp_path, grey_frames(1))


def test_full_disk(tmp_path):
    """A limit on file sizes fails in the same places as a full disk."""
    script = (
        "import resource, signal, sys\nimport numpy as np\n"
        "from infinitetalk.media.writer import SegmentWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "noise = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), dtype=np.uint8)\n"
        "try: SegmentWriter(64, 64).write(sys.argv[1], noise)\n"
        "except ValueError as error: print(type(error).__name__, error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.mp4")], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("OutputError The disk is full"), result.stdout + result.stderr
    assert list(tmp_path.iterdir()) == []


def test_background_runs_in_order_and_beside(tmp_path):
    done, gate = [], threading.Event()
    with BackgroundWriter(max_pending=2) as background:
        background.submit(gate.wait)
        background.submit(done.append, 1)
        background.submit(done.append, 2)
        assert done == [], "the caller goes on while the first task runs"
        gate.set()
        background.wait()
        assert done == [1, 2]


def test_background_holds_no_more_than_it_may():
    gate = threading.Event()
    background = BackgroundWriter(max_pending=1)
    background.submit(gate.wait)
    time.sleep(0.05)
    background.submit(int)
    third = threading.Thread(target=background.submit, args=(int,))
    third.start()
    third.join(0.1)
    assert third.is_alive(), "a third task has to wait"
    gate.set()
    third.join(5)
    background.close()
    assert not third.is_alive()


def test_background_errors_reach_the_caller(tmp_path):
    background = BackgroundWriter()
    background.submit(SegmentWriter(64, 48).write, tmp_path / "none" / "a.mp4", grey_frames(1))
    with pytest.raises(OutputError, match="there is no folder"):
        background.wait()
    background.close()
    with pytest.raises(ZeroDivisionError), BackgroundWriter() as background:
        background.submit(lambda: 1 / 0)
