from __future__ import annotations

import json
import subprocess
import sys

import av
import numpy as np
import pytest

from infinitetalk.errors import MediaError, OutputError
from infinitetalk.media.audio import load_speech_16k, read_blocks, sound_format
from infinitetalk.media.mux import check_film_path, frames_of, mux_film, read_metadata
from infinitetalk.media.soundtrack import Soundtrack
from infinitetalk.media.video import VideoSource
from infinitetalk.media.writer import SegmentWriter
from tests.media.conftest import beep, grey_frames, index_of, onset_seconds, write_sound

FLASH_SECONDS = 1.2


def make_segments(folder, counts=(27, 18, 18), flash_seconds=None, sound_rate=None, soundtrack=None):
    """Segments of the given lengths whose frames tell their index; one frame is white."""
    frames = np.stack(grey_frames(sum(counts)))
    if flash_seconds is not None:
        frames[:] = 0
        frames[round(flash_seconds * 25)] = 255
    writer, first, paths = SegmentWriter(64, 48, sound_rate), 0, []
    for number, count in enumerate(counts):
        sound = soundtrack.read_frames(first, count) if soundtrack is not None else None
        paths.append(writer.write(folder / f"{number}.mp4", frames[first : first + count], sound).path)
        first += count
    return paths


@pytest.mark.parametrize(
    "name, codec, rate, layout",
    [
        ("s.wav", "pcm_s16le", 16000, "mono"),
        ("s.mp3", "libmp3lame", 44100, "stereo"),
        ("s.m4a", "aac", 48000, "5.1"),
        ("s.wav", "pcm_s24le", 37800, "stereo"),
        ("s.wav", "pcm_s16le", 8000, "7.1"),
        ("s.ogg", "libopus", 48000, "mono"),
    ],
)
def test_film_has_the_length_of_the_speech_and_flash_meets_beep(tmp_path, name, codec, rate, layout):
    num_channels = {"mono": 1, "stereo": 2, "5.1": 6, "7.1": 8}[layout]
    num_samples = round(2.137 * rate)
    tone = beep(num_samples, rate, FLASH_SECONDS, num_channels)
    sound = write_sound(tmp_path / name, tone, rate, codec, layout)
    speech = load_speech_16k(sound)
    duration_seconds = len(speech) / 16000
    film = tmp_path / "film.mp4"
    num_frames = mux_film(make_segments(tmp_path, flash_seconds=FLASH_SECONDS), sound, duration_seconds, film)
    assert num_frames == frames_of(duration_seconds) == 53
    with av.open(str(film)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert video.duration * video.time_base * 25 == 53 and video.frames == 53
        expected_rate = {37800: 44100}.get(rate, rate)  # AAC has no 37.8 kHz
        assert audio.codec_context.sample_rate == expected_rate
        assert audio.codec_context.layout.name == {"7.1": "stereo"}.get(layout, layout)
        num_heard = round(duration_seconds * expected_rate)
        assert audio.duration == num_heard
        assert container.duration == pytest.approx(duration_seconds * 1e6, abs=100)
        decoded = list(container.decode(video=0))
        assert len(decoded) == 53
    flash = [i for i, frame in enumerate(decoded) if frame.to_ndarray(format="gray").mean() > 128]
    assert flash == [round(FLASH_SECONDS * 25)]
    heard = np.concatenate(list(read_blocks(film)), axis=1)
    assert heard.shape[1] == num_heard
    assert onset_seconds(heard.max(axis=0), expected_rate) == pytest.approx(FLASH_SECONDS, abs=0.01)
    data = film.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first, so that browsers play at once"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["0.mp4", "1.mp4", "2.mp4", name, "film.mp4"])


def test_live_segments_add_up_to_the_film(tmp_path):
    """Played one after another they carry every sample of the soundtrack once."""
    signal = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 45_000)).astype(np.float32)
    sound = write_sound(tmp_path / "s.wav", signal, 22050, "pcm_f32le")
    soundtrack = Soundtrack(sound, signal.shape[1] / 22050)
    segments = make_segments(tmp_path, (27, 9, 15), sound_rate=22050, soundtrack=soundtrack)
    heard = np.concatenate([np.concatenate(list(read_blocks(path)), axis=1) for path in segments], axis=1)
    assert heard.shape[1] == 51 * 22050 // 25
    assert np.abs(heard[:, : signal.shape[1]] - signal[:, : heard.shape[1]]).max() <= 1 / 32000


def test_pictures_are_copied_and_not_encoded_again(tmp_path):
    segments = make_segments(tmp_path)
    sound = write_sound(tmp_path / "s.wav", beep(40320, 16000), 16000, "pcm_s16le")
    mux_film(segments, sound, 2.52, tmp_path / "film.mp4")

    def payload(path):
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.pts is not None]

    assert payload(tmp_path / "film.mp4") == sum((payload(path) for path in segments), [])
    with VideoSource(tmp_path / "film.mp4") as source:
        assert [index_of(frame) for frame in source.frames(0, 63)] == [i % 30 for i in range(63)]


def test_metadata(tmp_path):
    sound = write_sound(tmp_path / "s.wav", beep(16000, 16000), 16000, "pcm_s16le")
    settings = {"seed": 7, "preset": "nano", "name": "Zoë"}
    mux_film(make_segments(tmp_path), sound, 1.0, tmp_path / "film.mp4", metadata={"comment": settings, "title": "t"})
    tags = read_metadata(tmp_path / "film.mp4")
    assert json.loads(tags["comment"]) == settings and tags["title"] == "t"


def test_very_short_speech(tmp_path):
    sound = write_sound(tmp_path / "s.wav", beep(800, 16000, 0), 16000, "pcm_s16le")
    assert mux_film(make_segments(tmp_path), sound, 0.05, tmp_path / "film.mp4") == 1
    assert np.concatenate(list(read_blocks(tmp_path / "film.mp4")), axis=1).shape == (1, 800)


def test_two_voices_together_do_not_clip(tmp_path):
    loud = 0.9 * np.sign(beep(16000, 16000, 0, width=1))
    quiet = write_sound(tmp_path / "b.wav", beep(22050, 44100, 0.2, 2), 44100, "pcm_s16le", "stereo")
    same = [write_sound(tmp_path / f"{i}.wav", loud, 16000, "pcm_f32le") for i in (1, 2)]
    both = Soundtrack(same, 1.0)
    mixed = both.read(0, both.num_samples)
    assert np.abs(mixed).max() == pytest.approx(1, abs=1e-4)
    correlation = np.corrcoef(mixed[0], loud[0])[0, 1]
    assert correlation > 0.9999, "lowered as a whole, not cut off"
    different = Soundtrack([same[0], quiet], 1.0)
    assert (different.rate, different.num_channels, different.num_samples) == (44100, 2, 44100)


def test_two_voices_in_turn(tmp_path):
    paths = [write_sound(tmp_path / f"{i}.wav", beep(16000, 16000, 0.5), 16000, "pcm_s16le") for i in (1, 2)]
    track = Soundtrack(paths, 2.0, start_seconds=[0.0, 1.0])
    mixed = track.read(0, track.num_samples)[0]
    assert onset_seconds(mixed, 16000) == pytest.approx(0.5, abs=0.001)
    assert onset_seconds(mixed[16000:], 16000) == pytest.approx(0.5, abs=0.001)
    assert np.abs(mixed).max() == pytest.approx(0.5, abs=0.001), "nothing overlaps, so nothing is lowered"


def test_a_sound_may_begin_later_than_its_file(tmp_path):
    sound = write_sound(tmp_path / "s.wav", beep(32000, 16000, 1.5), 16000, "pcm_s16le")
    track = Soundtrack(sound, 1.0, skip_seconds=1.2)
    assert onset_seconds(track.read(0, track.num_samples)[0], 16000) == pytest.approx(0.3, abs=0.001)
    assert not track.read(12800, 3200).any(), "the file ended 0.8 s after what was skipped"


def test_soundtrack_reads_the_same_in_any_pieces(tmp_path):
    signal = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 30_000)).astype(np.float32)
    sound = write_sound(tmp_path / "s.wav", signal, 16000, "pcm_f32le", "stereo")
    track = Soundtrack(sound, 2.5)
    assert np.array_equal(track.read(100, 50), signal[:, 100:150])
    assert np.array_equal(track.read(9000, 16000), signal[:, 9000:25000]), "a jump ahead"
    assert np.array_equal(track.read(0, 7), signal[:, :7]), "and back"
    assert not track.read(35_000, 5000).any(), "silence after the end"
    assert np.array_equal(np.concatenate([track.read_frames(i, 1) for i in range(10)], axis=1), signal[:, :6400])


def test_paths_that_cannot_be_written(tmp_path):
    segments = make_segments(tmp_path, (5,))
    sound = write_sound(tmp_path / "s.wav", beep(3200, 16000, 0), 16000, "pcm_s16le")
    for output, words in [
        (tmp_path / "film.avi", r"does not end in \.mp4"),
        (tmp_path / "none" / "film.mp4", "there is no folder"),
        (tmp_path, r"does not end in \.mp4"),
    ]:
        with pytest.raises(OutputError, match=words):
            mux_film(segments, sound, 0.2, output)
        with pytest.raises(OutputError, match=words):
            check_film_path(output)
    assert check_film_path(tmp_path / "new.MP4") == tmp_path / "new.MP4" and not (tmp_path / "new.MP4").exists()


def test_earlier_film_stays_when_the_new_one_fails(tmp_path):
    segments = make_segments(tmp_path, (5,))
    sound = write_sound(tmp_path / "s.wav", beep(16000, 16000, 0), 16000, "pcm_s16le")
    film = tmp_path / "film.mp4"
    film.write_bytes(b"earlier")
    with pytest.raises(OutputError, match="hold 5 frames and the speech needs 25"):
        mux_film(segments, sound, 1.0, film)
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(MediaError, match="is text"):
        mux_film(segments, tmp_path / "text.wav", 0.2, film)
    assert film.read_bytes() == b"earlier"
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_full_disk(tmp_path):
    segments = make_segments(tmp_path, (5,))
    sound = write_sound(tmp_path / "s.wav", beep(480_000, 16000, 0, width=30), 16000, "pcm_s16le")
    noise = np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3), dtype=np.uint8)
    segments = [SegmentWriter(64, 64).write(tmp_path / "n.mp4", noise).path]
    assert segments[0].stat().st_size > 60_000
    script = (
        "import resource, signal, sys\nfrom infinitetalk.media.mux import mux_film\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000))\n"
        "try: mux_film(sys.argv[1:2], sys.argv[2], 2.0, sys.argv[3])\n"
        "except ValueError as error: print(type(error).__name__, error)"
    )
    film = tmp_path / "film.mp4"
    arguments = [str(segments[0]), str(sound), str(film)]
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("OutputError The disk is full"), result.stdout + result.stderr
    assert not film.exists() and not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_own_format_is_kept(tmp_path):
    sound = write_sound(tmp_path / "s.wav", beep(96000, 96000, 0.5, 2), 96000, "pcm_s24le", "stereo")
    mux_film(make_segments(tmp_path), sound, 1.0, tmp_path / "film.mp4")
    assert sound_format(tmp_path / "film.mp4").rate == 96000
