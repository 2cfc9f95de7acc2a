"""Training clips: rendered talking heads with sound and exact truth, opened for reading.

A data folder holds two folders of clips, `train` and `heldout`, as `infinitetalk.training.synthetic.clips` writes
them: plain arrays, memory-mapped here.  Nothing is copied until a stage asks for frames, and clips of a rendering
that is still going are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import InputError

Split = Literal["train", "test"]


@dataclass(frozen=True)
class ClipSet:
    """N clips of F frames, S pixels square, at 25 frames a second with 16 kHz sound.

    video: per clip [F,S,S,3] uint8. audio: per clip [640 F] float. jaw: [N,F], 0 closed to 1. mouth_shapes: [N,F,K].
    mouth_boxes: [N,F,4], row and column of the first and of the last corner, in pixels.
    is_test: [N], clips whose heads and voices appear in no training clip. is_finished: [N], clips to use.
    """

    video: list[np.ndarray]
    audio: list[np.ndarray]
    jaw: np.ndarray
    mouth_shapes: np.ndarray
    mouth_boxes: np.ndarray
    is_test: np.ndarray
    is_finished: np.ndarray
    folder: Path | None = None

    @property
    def num_clips(self) -> int:
        return len(self.video)

    @property
    def num_frames(self) -> int:
        return self.video[0].shape[0]

    @property
    def size(self) -> int:
        return self.video[0].shape[1]

    def split(self, name: Split) -> np.ndarray:
        """Indices of the finished clips of one split."""
        return np.flatnonzero((self.is_test == (name == "test")) & self.is_finished)

    def reopened(self) -> ClipSet:
        """The same clips and those that a rendering still under way has finished since."""
        return self if self.folder is None else open_clips(self.folder)

    def frames(self, clip: int, start: int, stop: int) -> np.ndarray:
        """[stop-start,S,S,3] uint8."""
        return self.video[clip][start:stop]

    def samples(self, clip: int) -> np.ndarray:
        """[640 F] at 16 kHz, -1 to 1."""
        return self.audio[clip]


def open_clips(folder: Path) -> ClipSet:
    """Open `folder/train` and `folder/heldout`, training clips first; a clip keeps its index while more are rendered.

    Raises:
        InputError: if either folder is missing or has no finished clip.
    """
    parts: dict[str, list] = {name: [] for name in ("jaw", "shapes", "mouth_boxes", "done", "video", "audio", "test")}
    for name in ("train", "heldout"):
        if not (folder / name / "index.json").exists():
            raise InputError(
                f"{folder / name} holds no clips; render some with "
                f"`python -m infinitetalk.training.synthetic --split {name} --out {folder / name} --clips 300`."
            )
        for key in ("jaw", "shapes", "mouth_boxes", "done"):
            parts[key].append(np.load(folder / name / f"{key}.npy"))
        if not parts["done"][-1].any():
            raise InputError(f"{folder / name} has no finished clip yet; wait for the rendering or start it again.")
        for key in ("video", "audio"):
            parts[key] += list(np.load(folder / name / f"{key}.npy", mmap_mode="r"))
        parts["test"] += [name == "heldout"] * len(parts["done"][-1])
    jaw, shapes, boxes, done = (np.concatenate(parts[key]) for key in ("jaw", "shapes", "mouth_boxes", "done"))
    return ClipSet(parts["video"], parts["audio"], jaw, shapes, boxes, np.array(parts["test"]), done, folder)
