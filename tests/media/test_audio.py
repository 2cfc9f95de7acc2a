from __future__ import annotations

import subprocess
import sys
import wave

import numpy as np
import pytest
import soundfile

from infinitetalk.errors import MediaError
from infinitetalk.media import audio
from infinitetalk.media.audio import (
    Resampler,
    is_silent,
    load_speech_16k,
    measure_level,
    mix_to_mono,
    mix_to_stereo,
    read_blocks,
    sound_format,
    sound_warnings,
)
from tests.media.conftest import beep, grey_frames, onset_seconds, write_sound, write_video

KINDS = [
    ("a.wav", "pcm_u8", 8000, "mono"),
    ("a.wav", "pcm_s16le", 44100, "stereo"),
    ("a.wav", "pcm_s24le", 37800, "5.1"),
    ("a.wav", "pcm_s32le", 48000, "quad"),
    ("a.wav", "pcm_f32le", 96000, "stereo"),
    ("a.wav", "pcm_f64le", 11025, "7.1"),
    ("a.aiff", "pcm_s16be", 22050, "mono"),
    ("a.mp3", "libmp3lame", 44100, "stereo"),
    ("a.mp3", "libmp3lame", 16000, "mono"),
    ("a.m4a", "aac", 44100, "stereo"),
    ("a.m4a", "alac", 48000, "mono"),
    ("a.ogg", "libopus", 48000, "stereo"),
    ("a.webm", "libopus", 48000, "mono"),
    ("a.flac", "flac", 22050, "stereo"),
    ("a.m4a", "aac", 48000, "7.1"),  # decoded to 8 planes, which PyAV cannot hand over
]


@pytest.mark.parametrize("name, codec, rate, layout", KINDS)
def test_every_kind_keeps_its_length_and_its_time(tmp_path, name, codec, rate, layout):
    num_channels = {"mono": 1, "stereo": 2, "quad": 4, "5.1": 6, "7.1": 8}[layout]
    num_samples = rate * 3 // 2 + 123
    path = write_sound(tmp_path / name, beep(num_samples, rate, 1.0, num_channels), rate, codec, layout)
    assert sound_format(path).rate == rate and len(sound_format(path).channels) == num_channels
    blocks = np.concatenate(list(read_blocks(path)), axis=1)
    tolerance = rate // 1000 if name == "a.m4a" else 0  # foreign MP4s tell lengths in milliseconds
    assert blocks.shape[0] == num_channels and abs(blocks.shape[1] - num_samples) <= tolerance
    speech = load_speech_16k(path)
    assert speech.dtype == np.float32 and speech.ndim == 1
    assert abs(len(speech) - round(num_samples * 16000 / rate)) <= (16 if tolerance else 0)
    assert onset_seconds(speech, 16000) == pytest.approx(1.0, abs=0.003)
    assert 0.4 < np.abs(speech).max() < 0.6


def test_sound_track_of_a_video_stays_in_time(tmp_path):
    """The picture starts 0.4 s after the sound here, and 0.4 s before it there."""
    frames, sound = grey_frames(40), beep(24000, 16000, 1.0)
    early = write_video(tmp_path / "a.mkv", frames, [0.4 + i / 25 for i in range(40)], sound=sound)
    assert onset_seconds(load_speech_16k(early), 16000) == pytest.approx(1.0, abs=0.03)
    plain = write_video(tmp_path / "a.mp4", frames, [i / 25 for i in range(40)], sound=sound)
    assert onset_seconds(load_speech_16k(plain), 16000) == pytest.approx(1.0, abs=0.003)


def test_late_track_and_holes_become_silence(tmp_path):
    import av

    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for pixels in grey_frames(30):
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(video.encode(None))
        for start in (3200, 4800, 12800):  # 0.2–0.4 s and 0.8–0.9 s
            frame = av.AudioFrame.from_ndarray(np.full((1, 1600), 8000, np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = 16000, start
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    speech = load_speech_16k(path)
    loud = np.abs(speech) > 0.1
    assert len(speech) == 14400
    assert not loud[:3200].any() and loud[3200:6400].all() and not loud[6400:12800].any() and loud[12800:].all()


def test_tiny_and_empty(tmp_path):
    tiny = write_sound(tmp_path / "tiny.wav", beep(2205, 44100, 0.01), 44100, "pcm_s16le")
    assert len(load_speech_16k(tiny)) == 800
    empty = tmp_path / "empty.wav"
    with wave.open(str(empty), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
    speech = load_speech_16k(empty)
    assert len(speech) == 1600 and not speech.any() and list(read_blocks(empty)) == []
    assert "is silent" in sound_warnings(speech, "empty.wav")[0]


def test_cut_short(tmp_path):
    path = write_sound(tmp_path / "a.wav", beep(48000, 16000), 16000, "pcm_s16le")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match="cut short: it promises 3.0 seconds and holds 1.5"):
        load_speech_16k(path)
    flac = write_sound(tmp_path / "a.flac", np.random.default_rng(0).uniform(-1, 1, (1, 48000)), 16000, "flac")
    flac.write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    with pytest.raises(MediaError, match="cut short|damaged"):
        load_speech_16k(flac)


def test_recording_with_an_unfinished_header(tmp_path):
    """A recorder that was killed, or wrote to a pipe, leaves sizes of zero or the largest number."""
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes((beep(32000, 16000)[0] * 32767).astype("<i2").tobytes())
    data = bytearray(path.read_bytes())
    for size in (b"\xff\xff\xff\xff", b"\0\0\0\0"):
        data[4:8] = data[40:44] = size
        path.write_bytes(data)
        assert len(load_speech_16k(path)) >= 31_900


def test_samples_that_are_no_numbers_become_silence(tmp_path):
    signal = beep(1600, 16000, 0)
    signal[0, 10:20], signal[0, 30] = np.nan, np.inf
    path = write_sound(tmp_path / "a.wav", signal, 16000, "pcm_f32le")
    speech = load_speech_16k(path)
    assert np.isfinite(speech).all() and not speech[10:20].any() and speech[30] == 0 and speech.any()


def test_levels():
    loud, quiet, silence = beep(32000, 16000, width=0.5)[0], 0.01 * beep(32000, 16000, width=0.5)[0], np.zeros(1600)
    assert measure_level(loud).peak_dbfs == pytest.approx(-6.02, abs=0.05)
    assert measure_level(loud).loudest_dbfs == pytest.approx(-9.03, abs=0.05)
    assert is_silent(silence) and is_silent(loud * 1e-4) and not is_silent(quiet)
    assert sound_warnings(loud, "x") == []
    assert "very quiet" in sound_warnings(quiet, "x")[0]
    assert "is silent" in sound_warnings(silence, "x")[0]
    assert "less than a word" in sound_warnings(loud[16000:18000], "x")[0]


def test_mixing():
    stereo = np.array([[1.0, 0.0], [0.0, 0.5]], np.float32)
    assert np.allclose(mix_to_mono(stereo, ("FL", "FR")), [[0.5, 0.25]])
    surround = np.zeros((6, 2), np.float32)
    surround[3] = 1  # the subwoofer carries no speech
    names = ("FL", "FR", "FC", "LFE", "BL", "BR")
    assert not mix_to_mono(surround, names).any() and not mix_to_stereo(surround, names).any()
    full = mix_to_stereo(np.ones((6, 1), np.float32), names)
    assert full.shape == (2, 1) and np.allclose(full[0], full[1]) and full.max() <= 1
    left = np.zeros((6, 1), np.float32)
    left[0] = 1
    assert mix_to_stereo(left, names)[0] > 0 and mix_to_stereo(left, names)[1] == 0


@pytest.mark.parametrize("rate_in, rate_out", [(44100, 16000), (8000, 48000), (37800, 44100), (16000, 16000)])
def test_resampling_in_pieces_keeps_length_and_tone(rate_in, rate_out):
    signal = beep(rate_in + 77, rate_in, 0.0, width=2)
    resampler = Resampler(rate_in, rate_out, 1)
    edges = [0, 1, 500, 501, 7000, rate_in + 77]
    pieces = [resampler.push(signal[:, a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    result = np.concatenate([*pieces, resampler.flush(1)], axis=1)
    assert result.shape == (1, round((rate_in + 77) * rate_out / rate_in))
    time = np.arange(result.shape[1]) / rate_out
    inside = slice(rate_out // 20, -rate_out // 20)
    assert np.abs(result[0] - 0.5 * np.sin(2 * np.pi * 440 * time))[inside].max() < 0.01


def test_long_speech_is_the_same_from_disk(tmp_path, monkeypatch):
    path = write_sound(tmp_path / "a.wav", beep(80000, 16000, 3.0), 16000, "pcm_s16le")
    in_memory = load_speech_16k(path)
    monkeypatch.setattr(audio, "SPILL_SAMPLES", 20000)
    on_disk = load_speech_16k(path, tmp_path)
    assert isinstance(on_disk, np.memmap) and np.array_equal(in_memory, on_disk)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.wav"]


def test_memory_does_not_grow_with_length(tmp_path):
    """15 minutes would be 58 MB as an array."""
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(0).integers(0, 255, 8000 * 60, dtype=np.uint8).tobytes() * 15)
    script = (
        "import resource, sys\nfrom infinitetalk.media.audio import load_speech_16k\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before = peak()\nspeech = load_speech_16k(sys.argv[1], sys.argv[2])\n"
        "print(len(speech), peak() - before)"
    )
    result = subprocess.run([sys.executable, "-c", script, str(path), str(tmp_path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    num_samples, growth_mb = result.stdout.split()
    assert int(num_samples) == 16000 * 900 and float(growth_mb) < 30


def test_a_floating_point_sound_of_absurd_loudness_is_bounded(tmp_path):
    path = tmp_path / "loud.wav"
    soundfile.write(path, np.array([1e38, -1e38, 3e38, 0.5] * 8000), 16000, subtype="FLOAT")
    assert np.abs(load_speech_16k(path)).max() <= 100


def test_channels_in_opposite_phase_are_heard(tmp_path):
    """Their mean is silence; the louder one has the speech."""
    tone = beep(32000, 16000, width=0.5)
    path = write_sound(tmp_path / "a.wav", np.concatenate([tone, -0.9 * tone]), 16000, "pcm_s16le", "stereo")
    speech = load_speech_16k(path)
    assert np.abs(speech).max() > 0.4 and not is_silent(speech)
    same = write_sound(tmp_path / "b.wav", np.concatenate([tone, 0.5 * tone]), 16000, "pcm_s16le", "stereo")
    assert np.abs(load_speech_16k(same)).max() == pytest.approx(0.375, abs=0.01), "others are still averaged"
