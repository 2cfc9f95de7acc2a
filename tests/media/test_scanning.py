"""Cuts, flashes, fades, dissolves and empty chairs, in real encoded films; and where references then come from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from infinitetalk.media.film_scan import FilmScan, suitable_instant
from infinitetalk.media.scanning import remembered_scan, scan_film
from infinitetalk.paths import assets_dir
from infinitetalk.planning.references import clock, faceless_note, good_instant, shot_of
from tests.media.conftest import write_video

PORTRAIT = np.asarray(Image.open(assets_dir() / "portrait.png").convert("RGB").resize((192, 192)))
OTHER = np.ascontiguousarray(np.roll(PORTRAIT[::-1, :, ::-1], 40, axis=0))  # nobody's face, other colours
ROOM = cv2.resize(np.random.default_rng(3).integers(40, 220, (6, 6, 3), dtype=np.uint8), (192, 192))


def film(path: Path, *parts: tuple[np.ndarray, int], fps: int = 25) -> Path:
    """Each part a picture and its number of frames, with a little movement so that nothing is a still."""
    frames = [np.roll(picture, index % 3, axis=1) for picture, count in parts for index in range(count)]
    return write_video(path, frames, [index / fps for index in range(len(frames))], rate=fps)


def dark(picture: np.ndarray, share: float) -> np.ndarray:
    return (picture * share).astype(np.uint8)


@pytest.mark.parametrize("color", [0, 255])
@pytest.mark.parametrize("count", [1, 5, 10])
def test_a_flash_is_no_cut_and_no_reference(tmp_path: Path, color: int, count: int) -> None:
    flash = np.full_like(PORTRAIT, color)
    scan = scan_film(film(tmp_path / "a.mp4", (PORTRAIT, 40), (flash, count), (PORTRAIT, 40)), 100)
    assert scan.cuts == ()
    ((start, stop, why),) = scan.unsuitable
    assert (start, stop, why) == (1.6, pytest.approx(1.6 + count / 25), "white" if color else "black")
    assert suitable_instant(scan, 1.6, (0, 4.0), 0.04) == (pytest.approx(stop), why)
    assert good_instant(scan, 0.5, 4.0) == 0.5


def test_a_black_beginning_gives_way(tmp_path: Path) -> None:
    scan = scan_film(film(tmp_path / "a.mp4", (np.zeros_like(PORTRAIT), 1), (PORTRAIT, 50)), 100)
    assert scan.cuts == () and good_instant(scan, 0.0, 2.0) == pytest.approx(0.04)


def test_a_dip_to_black_between_shots_is_one_cut_and_guides_nothing(tmp_path: Path) -> None:
    parts = (PORTRAIT, 40), (np.zeros_like(PORTRAIT), 8), (ROOM, 40)
    scan = scan_film(film(tmp_path / "a.mp4", *parts), 100)
    assert scan.cuts == (1.6,)
    assert good_instant(scan, 1.6, 3.52) == pytest.approx(1.92), "the new shot's first picture"
    assert good_instant(scan, 1.56, 3.52) == 1.56


def test_a_fade_in_guides_nothing_until_it_is_bright(tmp_path: Path) -> None:
    steps = [(dark(PORTRAIT, index / 25), 1) for index in range(25)]
    scan = scan_film(film(tmp_path / "a.mp4", *steps, (PORTRAIT, 50)), 100)
    assert scan.cuts == () and 0.6 < good_instant(scan, 0.0, 3.0) < 1.0


def test_a_dissolve_guides_nothing_in_its_middle(tmp_path: Path) -> None:
    mixed = [(cv2.addWeighted(PORTRAIT, 1 - i / 20, ROOM, i / 20, 0), 1) for i in range(1, 20)]
    scan = scan_film(film(tmp_path / "a.mp4", (PORTRAIT, 40), *mixed, (ROOM, 40)), 100)
    assert "in a dissolve" in {why for _, _, why in scan.unsuitable}
    assert good_instant(scan, 2.0, 3.96) > 2.2


def test_a_night_scene_and_a_snowfield_are_themselves(tmp_path: Path) -> None:
    for name, picture in (("night", dark(PORTRAIT, 0.12)), ("snow", (200 + PORTRAIT // 6).astype(np.uint8))):
        assert scan_film(film(tmp_path / f"{name}.mp4", (picture, 60)), 100).unsuitable == ()


def test_a_moving_scene_is_no_dissolve(tmp_path: Path) -> None:
    scene = cv2.resize(np.random.default_rng(1).integers(0, 256, (8, 30, 3), dtype=np.uint8), (900, 192))
    frames = [np.ascontiguousarray(scene[:, 4 * i : 4 * i + 192]) for i in range(100)]
    path = write_video(tmp_path / "a.mp4", frames, [i / 25 for i in range(100)])
    scan = scan_film(path, 100)
    assert scan.cuts == () and scan.unsuitable == () and not scan.has_face


def test_stretches_without_a_face_are_named_and_guide_nothing(tmp_path: Path) -> None:
    pan = (np.concatenate([PORTRAIT, ROOM], axis=1), 1)
    frames = [np.ascontiguousarray(pan[0][:, x : x + 192]) for x in [192] * 30 + list(range(192, 0, -8)) + [0] * 50]
    path = write_video(tmp_path / "a.mp4", frames, [i / 25 for i in range(len(frames))])
    scan = scan_film(path, 100)
    ((start, stop),) = scan.faceless
    assert start == 0 and 1.2 <= stop <= 2.4 and scan.has_face
    assert faceless_note(scan) == [
        f"The source shows no face from 0:00 to {clock(stop, whole=True)}; no mouth moves there."
    ]
    assert good_instant(scan, 0.0, 4.0) == pytest.approx(stop)


def test_an_instant_stays_in_its_shot() -> None:
    scan = FilmScan(cuts=(2.0,), unsuitable=((1.5, 2.0, "black"), (2.0, 2.2, "white")))
    assert shot_of(scan, 1.7, 5.0) == (0.0, 2.0) and shot_of(scan, 2.0, 5.0) == (2.0, 5.0)
    assert good_instant(scan, 1.7, 5.0) == pytest.approx(1.46), "nothing later in the shot: the last one before"
    assert good_instant(scan, 2.1, 5.0) == pytest.approx(2.2)
    assert good_instant(FilmScan(unsuitable=((0.0, 5.0, "black"),)), 1.0, 5.0) == 1.0, "nothing better"
    assert good_instant(scan, 1.7, float("inf")) == 1.7


def test_a_film_is_scanned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFINITETALK_CACHE", str(tmp_path / "cache"))
    path = film(tmp_path / "a.mp4", (PORTRAIT, 40), (np.zeros_like(PORTRAIT), 4), (PORTRAIT, 40))
    scan = remembered_scan(path, 3.0)
    (kept,) = (tmp_path / "cache" / "scans").iterdir()
    written = kept.stat().st_mtime_ns
    assert remembered_scan(path, 3.0) == scan and remembered_scan(path, 1.0).unsuitable == ()
    assert kept.stat().st_mtime_ns == written
    kept.write_text("no answer")
    assert remembered_scan(path, 3.0) == scan
