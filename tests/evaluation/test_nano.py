"""The whole evaluation, small: two people who hold still, a few seconds of sound, the shipped model."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from infinitetalk.commands.evaluate import main
from infinitetalk.errors import InputError
from infinitetalk.paths import assets_dir

NUM_FRAMES, SIZE = 40, 128


def people() -> list[np.ndarray]:
    """The bundled portrait, and a sister of hers: narrower, darker, mirrored."""
    own = cv2.resize(np.array(Image.open(assets_dir() / "portrait.png").convert("RGB")), (SIZE, SIZE))
    narrow = cv2.resize(own[:, ::-1], (int(0.8 * SIZE), SIZE))
    edge = (SIZE - narrow.shape[1]) // 2
    sister = cv2.copyMakeBorder(narrow, 0, 0, edge, SIZE - narrow.shape[1] - edge, cv2.BORDER_REPLICATE)
    return [own, (0.6 * sister).astype(np.uint8)]


def write_clips(folder: Path) -> None:
    place = folder / "heldout"
    place.mkdir()
    rng = np.random.default_rng(0)
    jaw = np.abs(np.sin(np.arange(NUM_FRAMES) / 3 + np.array([[0.0], [1.5]]))).astype(np.float32)
    closures = jaw < 0.1
    lids = np.zeros((2, NUM_FRAMES), np.float32)
    lids[:, 20:23] = 1
    loudness = np.repeat(jaw, 640, axis=1)
    arrays = {
        "video": np.stack([np.repeat(picture[None], NUM_FRAMES, axis=0) for picture in people()]),
        "audio": (0.1 * loudness * rng.normal(size=loudness.shape)).astype(np.float32),
        "jaw": jaw,
        "shapes": jaw[:, :, None],
        "lids": lids,
        "closures": closures,
        "voice_ids": np.array([100, 101]),
        "head_ids": np.array([1, 2]),
        "done": np.ones(2, bool),
    }
    for name, array in arrays.items():
        np.save(place / f"{name}.npy", array)
    voices = {"100": {"name": "a", "language": "en"}, "101": {"name": "b", "language": "de"}}
    (place / "index.json").write_text(json.dumps({"shapes": ["jaw"], "voices": voices}))


@pytest.mark.slow
def test_everything_is_measured_told_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("dlib")
    write_clips(tmp_path)
    out = tmp_path / "out"
    assert main(["nano", "--data", str(tmp_path), "--out", str(out), "--clips", "2", "--minute", "7", "--no-real",
                 "--json"]) == 0  # fmt: skip
    printed = capsys.readouterr()
    figures = json.loads(printed.out)["figures"]
    assert figures == json.loads((out / "report.json").read_text())["figures"]
    assert figures["faces"]["value"] == 1
    assert figures["viseme_opening"]["true"] == 1
    assert figures["blinks_per_minute"]["true"] == pytest.approx(37.5)
    assert figures["jaw_correlation_languages"]["samples"] == 1
    assert figures["identity_minute"]["value"] > 0.3
    assert 0 <= figures["color_drift"]["value"] < 10
    assert figures["seams"]["samples"] == 2
    assert "frechet_lips" in figures and "frechet_faces" in figures
    assert printed.err.count("s left") == 6
    sheets = {"phonemes.png", "phonemes_close.png", "blinks.png", "borders.png", "minute.png"}
    assert sheets <= {path.name for path in out.iterdir()}
    assert {path.name for path in (out / "films").iterdir()} == {"clip-0.mp4", "clip-1.mp4", "minute.mp4"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [(["--clips", "1"], "at least 2"), (["--minute", "3"], "at least 6 seconds"), (["--minute", "-1"], "at least 6")],
)
def test_numbers_that_cannot_be_measured_are_refused(tmp_path: Path, options: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        main(["nano", "--data", str(tmp_path), *options])
