"""A recorded movement on disk: one .npz of plain arrays, versioned; it is read without pickle."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from ..errors import MediaError
from ..files import check_arrays
from ..media.atomic import atomic_output
from .pose import NUM_JOINTS, PoseSequence

VERSION = 1
_MOST_FRAMES = 25 * 60 * 60 * 4  # four hours


def save_pose(sequence: PoseSequence, path: str | os.PathLike) -> Path:
    """Write `path`, whole or not at all. Raises OutputError where it cannot be written."""
    path = Path(path)
    with atomic_output(path) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            version=np.int32(VERSION),
            joints=sequence.joints.astype(np.float32),
            confidence=sequence.confidence.astype(np.float32),
            filled=sequence.filled.astype(bool),
            size=np.array([sequence.width, sequence.height], np.int32),
            source=np.array(sequence.source),
        )
    return path


def load_pose(path: str | os.PathLike) -> PoseSequence:
    """Read what `save_pose` wrote.

    Raises:
        MediaError: no such file, not a recorded pose, of a newer version, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise MediaError(f"There is no recorded pose {path}; make one with `python -m infinitetalk pose FILM`.")
    try:
        check_arrays(path)
        with np.load(path, allow_pickle=False) as stored:
            if isinstance(stored, np.ndarray) or "version" not in stored:
                raise KeyError("version")
            version = int(stored["version"])
            if version != VERSION:
                raise MediaError(
                    f"{path.name} is a recorded pose of version {version}, version {VERSION} was expected; record it "
                    "again with `python -m infinitetalk pose`."
                )
            joints, confidence, filled = stored["joints"], stored["confidence"], stored["filled"]
            width, height = (int(side) for side in stored["size"])
            source = str(stored["source"])
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        AttributeError,
        TypeError,
        zipfile.BadZipFile,
        MemoryError,
    ) as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError(
            f"{path.name} is not a recorded pose, or it is damaged; record it again with `python -m infinitetalk pose`."
        ) from error
    frames = len(joints) if joints.ndim else 0
    sound = (
        0 < frames <= _MOST_FRAMES and joints.shape == (frames, NUM_JOINTS, 2) and min(width, height) > 0
        and confidence.shape == filled.shape == (frames, NUM_JOINTS) and filled.dtype == bool
        and joints.dtype == confidence.dtype == np.float32
        and bool(np.isfinite(joints).all() and np.isfinite(confidence).all())
    )  # fmt: skip
    if not sound:
        raise MediaError(f"{path.name} holds no usable pose (wrong shapes or numbers); record it again.")
    return PoseSequence(joints, confidence, filled, width, height, source)
