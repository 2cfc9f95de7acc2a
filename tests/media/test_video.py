from __future__ import annotations

import math
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace
from PIL import Image

from infinitetalk.errors import MediaError
from infinitetalk.media.probe import probe
from infinitetalk.media.video import StillSource, VideoSource, first_frame, open_source
from tests.media.conftest import beep, grey_frames, index_of, write_video

X265_OPTIONS = {"x265-params": "log-level=none:frame-threads=1:pools=1:bframes=0"}  # plain order, no threads to race


def indices(source: VideoSource, count: int, start_seconds: float = 0.0) -> list[int]:
    return [index_of(frame) for frame in source.frames(start_seconds, count)]


@pytest.mark.parametrize("fps", [Fraction(10), Fraction(24000, 1001), Fraction(25), Fraction(30), Fraction(60)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_any_frame_rate_is_mapped_by_time(tmp_path, fps, suffix):
    times = [round(float(i / fps), 3) for i in range(30)]  # containers may keep milliseconds only
    path = write_video(tmp_path / f"a.{suffix}", grey_frames(30), times, rate=fps)
    with VideoSource(path) as source:
        num_frames = math.ceil(float(30 / fps) * 25 - 0.05)
        assert source.num_frames_25 in (num_frames, num_frames + 1)  # the end is rounded too
        expected = [max(i for i, t in enumerate(times) if t <= k / 25 + 6e-4) for k in range(num_frames)]
        assert indices(source, num_frames) == expected


def test_variable_frame_rate(tmp_path):
    times = [0, 0.04, 0.3, 0.31, 0.32, 1.0, 1.5, 1.52, 4.0, 9.0, 9.1]
    path = write_video(tmp_path / "a.mkv", grey_frames(len(times)), times, options={"g": "3"})
    with VideoSource(path) as source:
        forwards = [k * 0.01 for k in range(930)]
        expected = [max(i for i, t in enumerate(times) if t <= s + 1e-6) for s in forwards]
        assert [index_of(source.frame_at(s)) for s in forwards] == expected
        order = np.random.default_rng(0).permutation(len(forwards))[:60]
        assert [index_of(source.frame_at(forwards[k])) for k in order] == [expected[k] for k in order]
        assert index_of(source.frame_at(1000)) == 10 and index_of(source.frame_at(0)) == 0


def test_seeking_far_gives_what_reading_on_gives(tmp_path):
    times = [i / 25 for i in range(300)]
    path = write_video(tmp_path / "a.mp4", grey_frames(300), times, options={"g": "25", "bf": "3"})
    with VideoSource(path) as source:
        assert source.num_frames_25 == 300
        read_on = indices(source, 300)
        assert read_on == [i % 30 for i in range(300)]
        for k in (299, 3, 250, 251, 100, 280, 0):
            assert index_of(source.frame_at(k / 25)) == k % 30


def test_audio_that_starts_before_the_picture(tmp_path):
    sound = beep(16000, 16000)
    path = write_video(tmp_path / "a.mkv", grey_frames(10), [0.4 + i / 25 for i in range(10)], sound=sound)
    with VideoSource(path) as source:
        assert [index_of(source.frame_at(t)) for t in (0, 0.2, 0.44, 0.2, 0.6)] == [0, 0, 1, 0, 5]
        assert source.duration_seconds == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("rotation, expected", [(0, "RGBW"), (90, "GWRB"), (180, "WBGR"), (270, "BRWG")])
def test_rotation(tmp_path, quadrants, corners, rotation, expected):
    path = write_video(tmp_path / "a.mp4", [quadrants] * 3, [0, 0.04, 0.08], rotation=rotation)
    with VideoSource(path) as source:
        frame = source.frame_at(0.04)
        assert frame.shape == (source.height, source.width, 3)
        assert corners(frame) == expected


@pytest.mark.parametrize("hflip, vflip, expected", [(True, False, "GRWB"), (False, True, "BWRG"), (True, True, "WBGR")])
def test_mirrored(tmp_path, quadrants, corners, hflip, vflip, expected):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.set_display_rotation(0, hflip=hflip, vflip=vflip)
        container.mux([*stream.encode(av.VideoFrame.from_ndarray(quadrants, "rgb24")), *stream.encode(None)])
    assert corners(first_frame(path)) == expected


def test_10_bit(tmp_path, quadrants, corners):
    path = write_video(
        tmp_path / "a.mp4", [quadrants] * 2, [0, 0.04], codec="libx265", pix_fmt="yuv420p10le", options=X265_OPTIONS
    )
    frame = first_frame(path)
    assert corners(frame) == "RGBW" and np.abs(frame[10, 10].astype(int) - (255, 0, 0)).max() <= 6


def test_hdr_keeps_an_order_of_brightness(tmp_path):
    params = X265_OPTIONS["x265-params"] + ":transfer=arib-std-b67:colorprim=bt2020:colormatrix=bt2020nc"
    ramp = np.repeat(np.repeat(np.linspace(0, 255, 8).astype(np.uint8), 8)[None, :, None], 48, axis=0)
    frames = [np.repeat(ramp, 3, axis=2)] * 2
    path = write_video(
        tmp_path / "a.mp4", frames, [0, 0.04], codec="libx265", pix_fmt="yuv420p10le", options={"x265-params": params}
    )
    levels = first_frame(path)[24, 4::8].astype(int)
    assert (np.ptp(levels, axis=1) <= 4).all(), "grey stays grey"
    assert (np.diff(levels[:, 1]) >= 0).all() and levels[0, 1] < 20 and levels[-1, 1] > 235


@pytest.mark.parametrize("codec, suffix", [("libvpx-vp9", "webm"), ("mpeg4", "avi"), ("mjpeg", "mov")])
def test_other_codecs(tmp_path, codec, suffix):
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(
        tmp_path / f"a.{suffix}", grey_frames(10), [i / 25 for i in range(10)], codec=codec, pix_fmt=pix_fmt
    )
    with VideoSource(path) as source:
        assert indices(source, 10) == list(range(10))


def test_recording_without_a_duration(tmp_path):
    """Browsers write such WebM files: they stream, and never go back to fill in the header."""
    path = tmp_path / "a.webm"
    with open(path, "wb") as file, av.open(file, "w", format="webm", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for pixels in grey_frames(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.duration is None, "the test file should have no duration"
    with VideoSource(path) as source:
        assert source.duration_seconds == pytest.approx(1.2, abs=0.05)
        assert index_of(source.frame_at(0.8)) == 20 and index_of(source.frame_at(0.2)) == 5


def test_large_frames_are_scaled_as_they_are_decoded(tmp_path):
    path = write_video(tmp_path / "a.mp4", [np.full((480, 640, 3), 90, np.uint8)] * 2, [0, 0.04], rotation=90)
    with VideoSource(path, max_side=320) as source:
        assert source.frame_at(0).shape == (320, 240, 3) == (source.height, source.width, 3)


def test_picture_is_a_source_too(tmp_path, quadrants, corners):
    Image.fromarray(quadrants).save(tmp_path / "a.png")
    with open_source(tmp_path / "a.png") as source:
        assert isinstance(source, StillSource) and source.kind == "image"
        assert source.duration_seconds == math.inf and source.num_frames_25 is None
        assert [corners(frame) for frame in source.frames(100.0, 2)] == ["RGBW"] * 2
        with pytest.raises(ValueError):
            source.frame_at(0)[0, 0] = 0  # shared by all callers


def test_damaged_in_the_middle(tmp_path):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(20)]
    path = write_video(tmp_path / "a.mkv", frames, [i / 25 for i in range(20)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    try:
        with VideoSource(path) as source:  # Matroska plays as far as it goes, and holds there
            assert len(list(source.frames(0, 20))) == 20
    except MediaError as error:
        assert "damaged" in str(error)


@pytest.mark.parametrize(("aspect", "expected"), [("4/3", (128, 96)), ("1/2", (96, 192)), ("100/1", (96, 96))])
def test_pixels_that_are_not_square_are_shown_as_players_do(tmp_path, aspect, expected):
    """DV, DVD and anamorphic films; an absurd aspect is damage."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 96
        stream.pix_fmt, stream.codec_context.sample_aspect_ratio = "yuv420p", Fraction(aspect)
        frame = np.zeros((96, 96, 3), np.uint8)
        frame[:, 48:] = 255
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    info = probe(path)
    assert (info.width, info.height) == expected
    picture = first_frame(path)
    assert picture.shape[:2] == expected[::-1]
    assert picture[10, info.width // 2 - 8, 0] < 40 and picture[10, info.width // 2 + 8, 0] > 215


def test_transparent_pixels_are_grey_whatever_color_they_hide(tmp_path):
    hidden = np.zeros((64, 64, 4), np.uint8)
    hidden[..., 0] = 255
    hidden[16:48, 16:48] = (40, 180, 60, 255)
    Image.fromarray(hidden).save(
        tmp_path / "a.png", save_all=True, append_images=[Image.fromarray(np.roll(hidden, 2, 0))], duration=200
    )
    for name, options in (("prores_ks", {"pix_fmt": "yuva444p10le"}), ("libvpx-vp9", {"pix_fmt": "yuva420p"})):
        path = tmp_path / f"{name}.{'mov' if name == 'prores_ks' else 'webm'}"
        with av.open(str(path), "w") as container:
            profile = {"profile": "4444"} if name == "prores_ks" else {"crf": "4", "b": "0"}
            stream = container.add_stream(name, rate=25, options=profile)
            stream.width = stream.height = 64
            stream.pix_fmt = options["pix_fmt"]
            for _ in range(5):
                frame = av.VideoFrame.from_ndarray(hidden, "rgba").reformat(format=options["pix_fmt"])
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    for path in tmp_path.iterdir():
        picture = first_frame(path).astype(int)
        assert np.abs(picture[4, 4] - 128).max() < 6, (path.name, picture[4, 4])
        assert np.abs(picture[32, 32] - (40, 180, 60)).max() < 14, (path.name, picture[32, 32])


@pytest.mark.parametrize(("size", "exact"), [((720, 1280), True), ((480, 640), False)])
def test_untagged_hd_is_bt709(tmp_path, size, exact):
    """As players do: from HD size on BT.709, below it BT.601."""
    path = tmp_path / "a.mp4"
    color = np.broadcast_to(np.array([40, 180, 60], np.uint8), (*size, 3))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4", "preset": "ultrafast"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(color), "rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
        frame.colorspace = 2
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    off = np.abs(first_frame(path)[size[0] // 2, 8].astype(int) - (40, 180, 60)).max()
    assert (off < 5) == exact
