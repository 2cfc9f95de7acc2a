"""Cuts are found where shots were joined, in real encoded films of several frame rates, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from infinitetalk.errors import MediaError
from infinitetalk.media.cuts import find_cuts


def _write(path: Path, frames: list[np.ndarray], fps: int = 25) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def _shot(seed: int, count: int, *, speed: float = 1.0) -> list[np.ndarray]:
    """A textured scene with a camera that pans over it."""
    import cv2

    rng = np.random.default_rng(seed)
    scene = cv2.resize(rng.integers(0, 256, (12, 40, 3), dtype=np.uint8), (960, 160), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(scene[:, round(i * speed) : round(i * speed) + 160]) for i in range(count)]


@pytest.mark.parametrize("fps", [12, 25, 50])
def test_joined_shots_are_told_apart(tmp_path: Path, fps: int) -> None:
    lengths = [2 * fps, 3 * fps, fps]
    frames = [frame for seed, count in enumerate(lengths) for frame in _shot(seed, count)]
    cuts = find_cuts(_write(tmp_path / "film.mp4", frames, fps))
    assert cuts == pytest.approx([2.0, 5.0], abs=1e-3)


def test_a_fast_pan_is_one_shot(tmp_path: Path) -> None:
    assert find_cuts(_write(tmp_path / "pan.mp4", _shot(3, 75, speed=10))) == ()


def test_a_flash_is_no_shot(tmp_path: Path) -> None:
    frames = _shot(5, 75)
    frames[40] = np.full_like(frames[40], 255)
    assert find_cuts(_write(tmp_path / "flash.mp4", frames)) == ()


def test_the_search_ends_where_it_is_told_to(tmp_path: Path) -> None:
    film = _write(tmp_path / "film.mp4", _shot(0, 50) + _shot(1, 50))
    assert find_cuts(film, until_seconds=1.5) == ()
    shares: list[float] = []
    assert len(find_cuts(film, report=shares.append)) == 1
    assert shares == sorted(shares) and 0 < shares[0] and shares[-1] <= 1
    assert find_cuts(film, should_stop=lambda: True) == ()


def test_a_damaged_film_is_said(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"\0" * 4000)
    with pytest.raises(MediaError):
        find_cuts(path)
