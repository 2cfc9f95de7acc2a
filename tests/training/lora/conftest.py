"""A model of the published architecture, tiny, and films to train it on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from infinitetalk.media.writer import SegmentWriter
from infinitetalk.models.specs import SPECS, ModelSpec
from infinitetalk.training.lora.config import LoraConfig
from infinitetalk.training.lora.run import train_lora
from tests.tiny_model import write_tiny_model
from tests.training.lora.toy_lora import TINY, tiny_config

SOUND_RATE = 16_000


def write_film(path: Path, num_frames: int, *, seed: int = 0, cut_at: int | None = None, sound: bool = True) -> Path:
    """A wall with a dark mouth that opens with the noise; after `cut_at` another wall."""
    rng = np.random.default_rng(seed)
    opening = np.abs(np.sin(np.cumsum(rng.uniform(0.1, 0.6, num_frames))))
    frames = np.empty((num_frames, 48, 64, 3), np.uint8)
    for frame in range(num_frames):
        frames[frame] = (200, 150, 120) if cut_at is None or frame < cut_at else (20, 60, 230)
        half = int(1 + 8 * opening[frame])
        frames[frame, 30 - half : 30 + half, 24:40] = (60, 10, 10)
    noise = rng.normal(0, 0.2, num_frames * SOUND_RATE // 25) * np.repeat(opening, SOUND_RATE // 25)
    writer = SegmentWriter(64, 48, SOUND_RATE if sound else None)
    writer.write(path, frames, noise.astype(np.float32) if sound else None)
    return path


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A folder that holds `tiny`, in the layout that generation reads."""
    return write_tiny_model(tmp_path_factory.mktemp("weights") / "tiny").parent


@pytest.fixture(scope="session")
def spec() -> Iterator[ModelSpec]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPECS, "tiny", TINY)
        yield TINY


@pytest.fixture(scope="session")
def films(tmp_path_factory) -> Path:
    """Two films of 4.4 s; one has a prompt of its own."""
    folder = tmp_path_factory.mktemp("films")
    for seed in (0, 1):
        write_film(folder / f"clip{seed}.mp4", 110, seed=seed)
    (folder / "clip0.txt").write_text("a person speaks\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def config(weights) -> LoraConfig:
    return tiny_config(weights)


@dataclass(frozen=True)
class Trained:
    """A finished training: its folder and its last figures."""

    out: Path
    figures: dict[str, float]


@pytest.fixture(scope="session")
def trained(weights, films, spec, config, tmp_path_factory) -> Trained:
    out = tmp_path_factory.mktemp("trained")
    return Trained(out, train_lora(config, films, out))
