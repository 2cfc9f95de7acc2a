"""Two real films against each other, as a film and as a page."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

from infinitetalk.commands.main import main
from infinitetalk.comparison.film import export_film, sweep, wipe
from infinitetalk.comparison.page import export_page
from infinitetalk.comparison.sides import Side, differences, open_side
from infinitetalk.config.request import GenerationRequest, Speaker
from infinitetalk.errors import InputError, UserError


def _film(path: Path, color: tuple[int, int, int], seconds: float, *, size: int = 64, sound: bool = True) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = size
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono") if sound else None
        for _ in range(round(25 * seconds)):
            picture = np.full((size, size, 3), color, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
        if audio is not None:
            tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(round(16000 * seconds)) / 16000)
            frame = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
            frame.sample_rate = 16000
            container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


def _frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Side, Side]:
    red = _film(tmp_path / "red.mp4", (200, 30, 30), 1.0)
    blue = _film(tmp_path / "blue.mp4", (30, 30, 200), 0.8, size=48, sound=False)
    return Side("red", red), Side("blue", blue)


def test_side_by_side_shows_both_at_one_height_for_as_long_as_both_last(sides, tmp_path: Path) -> None:
    shares: list[float] = []
    film = export_film(*sides, tmp_path / "both.mp4", report=shares.append)
    frames = _frames(film).astype(int)
    assert len(frames) == 20 and frames.shape[1] == 64 and frames.shape[2] == 64 + 4 + 64
    left, right = frames[10, 8, 16], frames[10, 8, -16]
    assert left[0] > 150 > left[2] and right[2] > 150 > right[0]
    with av.open(str(film)) as container:
        assert container.streams.audio, "the first film's sound is heard"
    assert shares and shares == sorted(shares)
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_wipe_shows_the_first_left_of_the_line(sides, tmp_path: Path) -> None:
    frames = _frames(export_film(*sides, tmp_path / "wipe.mp4", layout="wipe")).astype(int)
    assert frames.shape[1:3] == (64, 64)
    assert frames[1, 8, 32][2] > 150, "at the start the line stands left and the second film is seen"
    picture = wipe(np.zeros((4, 10, 3), np.uint8), np.full((4, 10, 3), 9, np.uint8), 0.5)
    assert (picture[:, :4] == 0).all() and (picture[:, 6:] == 9).all() and (picture[:, 4:6] == 255).all()
    assert [sweep(t) for t in (0, 2, 4)] == pytest.approx([0, 1, 0])


def test_a_wipe_keeps_the_shape_of_the_second_film(tmp_path: Path) -> None:
    """A tall film under a square one stands between black bars."""
    square = Side("square", _film(tmp_path / "square.mp4", (200, 30, 30), 0.4))
    tall = tmp_path / "tall.mp4"
    with av.open(str(tall), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 32, 64, "yuv420p"
        for _ in range(10):
            picture = np.full((64, 32, 3), (30, 30, 200), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
    frame = _frames(export_film(square, Side("tall", tall), tmp_path / "wipe.mp4", layout="wipe"))[1].astype(int)
    assert frame[8, 32][2] > 150 and frame[8, 8].max() < 40 and frame[8, 56].max() < 40


def test_the_second_sound_is_heard_where_the_first_film_has_none(sides, tmp_path: Path) -> None:
    red, blue = sides
    with av.open(str(export_film(blue, red, tmp_path / "both.mp4"))) as container:
        assert container.streams.audio


def test_a_stretch_lies_at_its_place_in_the_whole_film(tmp_path: Path) -> None:
    """0.8 s from 0.4 s on against a film of 1 s: what both have lasts 0.6 s."""
    whole = Side("whole", _film(tmp_path / "whole.mp4", (200, 30, 30), 1.0))
    stretch = Side("stretch", _film(tmp_path / "stretch.mp4", (30, 30, 200), 0.8), start_seconds=0.4)
    # The sound of these is padded to whole packets, up to 64 ms.
    assert 15 <= len(_frames(export_film(whole, stretch, tmp_path / "both.mp4"))) <= 17
    far = Side("far", stretch.film, start_seconds=5.0)
    with pytest.raises(InputError, match="no instant in common"):
        export_film(whole, far, tmp_path / "none.mp4")
    assert not (tmp_path / "none.mp4").exists()


def test_the_page_holds_both_films_and_what_differs(sides, tmp_path: Path) -> None:
    requests = [GenerationRequest("a<b>.png", (Speaker("voice.wav"),), seed=seed) for seed in (1, 2)]
    first, second = (Side(side.label, side.film, request) for side, request in zip(sides, requests, strict=True))
    (page,) = export_page(first, second, tmp_path / "page.html")
    text = page.read_text()
    assert text.count("data:video/mp4;base64,") == 2 and "<td>seed</td><td>1</td><td>2</td>" in text
    assert differences(first, second) == [("seed", "1", "2")]


def test_large_films_lie_beside_the_page(sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infinitetalk.comparison.page.EMBED_BELOW_BYTES", 10)
    files = export_page(*sides, tmp_path / "out" / "page.html")
    assert [file.name for file in files] == ["page.html", "page-first.mp4", "page-second.mp4"]
    assert all(file.is_file() for file in files) and '"url": "page-first.mp4"' in files[0].read_text()


def test_names_are_text_on_the_page(sides, tmp_path: Path) -> None:
    first = Side("<script>alert(1)</script>", sides[0].film)
    (page,) = export_page(first, sides[1], tmp_path / "page.html")
    assert "<script>alert" not in page.read_text()


def test_the_command_line_compares(sides, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", str(sides[0].film), str(sides[1].film), "--json", "--output"]
    assert main([*arguments, str(tmp_path / "c.html")]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == [str(tmp_path / "c.html")]
    assert main([*arguments, str(tmp_path / "c.gif")]) == 1
    assert "neither .mp4 nor .html" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["missing", "picture", "empty folder", "text"])
def test_what_cannot_be_compared_is_said(tmp_path: Path, kind: str) -> None:
    from PIL import Image

    path = tmp_path / "thing"
    if kind == "picture":
        path = tmp_path / "thing.png"
        Image.new("RGB", (32, 32)).save(path)
    elif kind == "empty folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("no film")
    with pytest.raises(UserError if kind == "text" else InputError) as raised:
        open_side(path)
    assert "thing" in str(raised.value) and "\n" not in str(raised.value)
