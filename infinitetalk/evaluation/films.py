"""Films for measuring, made as a user makes them: through `generate`, and read back from the finished mp4."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from ..config.constants import FRAMES_PER_SECOND
from ..config.request import GenerationRequest, Speaker
from ..events import Finished
from ..pipeline import generate, load_models
from ..vision.head_pose import face_points

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Film:
    """frames: [F,H,W,3] uint8 RGB. samples: its speech at 16 kHz.

    wall_seconds: that `generate` took. processor_seconds: of all processor cores together, whatever else they did.
    """

    frames: np.ndarray
    samples: np.ndarray
    wall_seconds: float
    processor_seconds: float

    @cached_property
    def points(self) -> np.ndarray:
        """`face_points` [F,478,3], found on first use."""
        return face_points(self.frames)

    @property
    def seconds(self) -> float:
        return len(self.frames) / FRAMES_PER_SECOND


class Studio:
    """Makes films with one preset; the networks are read once. `keep`: folder for the finished films."""

    def __init__(self, preset: str, seed: int, keep: Path | None = None, **settings: Any) -> None:
        self._preset, self._seed, self._keep, self._settings = preset, seed, keep, settings
        self._models = None

    def film(self, portrait: np.ndarray, samples: np.ndarray, name: str) -> Film:
        """Let the portrait (uint8 [H,W,3]) say the samples (16 kHz), framed as the preset does.

        name: of the kept film.
        """
        with tempfile.TemporaryDirectory() as folder:
            picture, speech = Path(folder, "portrait.png"), Path(folder, "speech.wav")
            Image.fromarray(portrait).save(picture)
            soundfile.write(speech, samples, SAMPLE_RATE)
            request = GenerationRequest(
                str(picture),
                (Speaker(str(speech)),),
                preset=self._preset,
                seed=self._seed,
                **self._settings,
            )
            self._models = self._models or load_models(request)
            started, busy = time.monotonic(), time.process_time()
            finished = [event for event in generate(request, self._models, Path(folder, "job"))
                        if isinstance(event, Finished)][-1]  # fmt: skip
            wall, processor = time.monotonic() - started, time.process_time() - busy
            assert finished.output is not None, "nobody asked it to stop"
            if self._keep is not None:
                self._keep.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(finished.output, self._keep / f"{name}.mp4")
            return Film(read_film(finished.output), np.asarray(samples, np.float32), wall, processor)


def read_film(path: Path) -> np.ndarray:
    """All frames of a film, uint8 [F,H,W,3] RGB."""
    import av

    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
