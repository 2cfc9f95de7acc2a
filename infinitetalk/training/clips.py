"""Training clips: rendered talking people with sound and exact truth, opened for reading.

A data folder holds two folders of clips, `train` and `heldout`, as `synthetic_people.clips` writes
them: plain arrays, memory-mapped here.  Nothing is copied until a stage asks for frames, and clips of a rendering
that is still going are left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import InputError

Split = Literal["train", "test"]

SMALL_SIZE = 128  # pixels: what the autoencoder reads
CALM, LIVELY, MOVING_CAMERA = range(3)  # kinds of motion

# Truth that a folder of format 1 lacks, with its shape after [N, F]; it is read as neutral: eyes open, camera still.
_NEWER = {
    "lids": (), "brows": (), "closures": (), "camera": (3,), "skeleton": (0, 3), "mask": (64, 8), "eye_boxes": (4,),
}  # fmt: skip
# ClipSet's field -> name of its file.
_STORED_AS = {
    "jaw": "jaw", "mouth_shapes": "shapes", "openness": "openness", "pose": "pose", "mouth_boxes": "mouth_boxes",
    "eye_boxes": "eye_boxes", "lids": "lids", "brows": "brows", "closures": "closures", "camera": "camera",
    "skeleton": "skeleton", "packed_masks": "mask", "motion": "motion", "head_ids": "head_ids",
    "voice_ids": "voice_ids", "is_finished": "done",
}  # fmt: skip


@dataclass(frozen=True)
class ClipSet:
    """N clips of F frames, S pixels square, at 25 frames a second with 16 kHz sound.

    Attributes:
        video: per clip [F,S,S,3] uint8. audio: per clip [640 F] float.
        jaw: [N,F], 0 closed to 1. mouth_shapes: [N,F,K]. openness: [N,F], inner lip distance over mouth width.
        pose: [N,F,3] head yaw, pitch, roll in degrees.
        mouth_boxes, eye_boxes: [N,F,4], row and column of the first and of the last corner, in pixels of `video`.
        lids: [N,F], 0 open to 1 closed. brows: [N,F], 0 at rest to 1 raised.
        closures: [N,F] bool, the frame lies in a p, b or m. camera: [N,F,3] pan right, pan down (shares of the
            picture) and zoom factor; 0, 0, 1 is still. skeleton: [N,F,J,3] x, y in shares of the picture, visible 0/1.
        motion: [N], CALM, LIVELY or MOVING_CAMERA.
        head_ids, voice_ids: [N], who is seen and heard.
        is_test: [N], clips whose heads and voices appear in no training clip. is_finished: [N], clips to use.
        joints: names of the skeleton's J joints. languages: [N], such as "en".
    """

    video: list[np.ndarray]
    audio: list[np.ndarray]
    jaw: np.ndarray
    mouth_shapes: np.ndarray
    openness: np.ndarray
    pose: np.ndarray
    mouth_boxes: np.ndarray
    eye_boxes: np.ndarray
    lids: np.ndarray
    brows: np.ndarray
    closures: np.ndarray
    camera: np.ndarray
    skeleton: np.ndarray
    motion: np.ndarray
    head_ids: np.ndarray
    voice_ids: np.ndarray
    is_test: np.ndarray
    is_finished: np.ndarray
    packed_masks: np.ndarray
    joints: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def num_clips(self) -> int:
        return len(self.video)

    @property
    def num_frames(self) -> int:
        return self.video[0].shape[0]

    @property
    def size(self) -> int:
        """Pixels per side of the stored video."""
        return self.video[0].shape[1]

    def split(self, name: Split) -> np.ndarray:
        """Indices of the finished clips of one split."""
        return np.flatnonzero((self.is_test == (name == "test")) & self.is_finished)

    def reopened(self) -> ClipSet:
        """The same clips and those that a rendering still under way has finished since."""
        return self if self.folder is None else open_clips(self.folder)

    def frames(self, clip: int, start: int, stop: int) -> np.ndarray:
        """[stop-start,S,S,3] uint8, as stored."""
        return self.video[clip][start:stop]

    def small(self, clip: int, start: int, stop: int) -> np.ndarray:
        """[stop-start,128,128,3] uint8: the mean of each square of pixels (as stored where S is 128)."""
        return area_mean(self.frames(clip, start, stop), SMALL_SIZE)

    def samples(self, clip: int) -> np.ndarray:
        """[640 F] at 16 kHz, -1 to 1."""
        return self.audio[clip]

    def masks(self, clip: int, start: int, stop: int) -> np.ndarray:
        """[stop-start,64,64] bool: the person."""
        return np.unpackbits(self.packed_masks[clip, start:stop], axis=-1).astype(bool)


def area_mean(pictures: np.ndarray, size: int) -> np.ndarray:
    """Pictures [...,S,S,3] uint8 → [...,size,size,3] uint8 by the rounded mean of whole squares of pixels.

    Raises:
        ValueError: if S is not a multiple of `size`.
    """
    side = pictures.shape[-2]
    if side == size:
        return np.asarray(pictures)
    if side % size:
        raise ValueError(f"pictures of {side} pixels cannot be averaged to {size}; expected a multiple of {size}.")
    factor = side // size
    squares = pictures.reshape(*pictures.shape[:-3], size, factor, size, factor, 3)
    total = squares.astype(np.uint16).sum(axis=(-4, -2), dtype=np.uint16)
    return ((total + factor * factor // 2) // (factor * factor)).astype(np.uint8)


def neutral_truth(num_clips: int, num_frames: int) -> dict[str, np.ndarray]:
    """The truth of format 2 as it is where nothing is known: eyes open, camera still, nobody's joints."""
    truth = {}
    for name, shape in _NEWER.items():
        dtype = {"closures": bool, "mask": np.uint8}.get(name, np.float32)
        truth[name] = np.zeros((num_clips, num_frames, *shape), dtype)
    truth["camera"][..., 2] = 1
    truth["packed_masks"] = truth.pop("mask")
    truth["motion"] = np.zeros(num_clips, np.uint8)
    return truth


def _read_truth(folder: Path, num_clips: int, num_frames: int) -> dict[str, np.ndarray]:
    """Every array of truth of a folder by the name ClipSet gives it; a folder of format 1 lacks the newer ones."""
    truth = neutral_truth(num_clips, num_frames)
    for field, name in _STORED_AS.items():
        path = folder / f"{name}.npy"
        if path.exists() or field not in truth:
            truth[field] = np.load(path)
    return truth


def open_clips(folder: Path) -> ClipSet:
    """Open `folder/train` and `folder/heldout`, training clips first; a clip keeps its index while more are rendered.

    Raises:
        InputError: if either folder is missing or has no finished clip.
    """
    parts: dict[str, list] = {name: [] for name in (*_STORED_AS, "video", "audio", "is_test", "languages")}
    joints: tuple[str, ...] = ()
    for name in ("train", "heldout"):
        source = folder / name
        if not (source / "index.json").exists():
            raise InputError(
                f"{source} holds no clips; render some with "
                f"`python -m synthetic_people --split {name} --out {source} --clips 300`."
            )
        index = json.loads((source / "index.json").read_text())
        joints = tuple(index.get("joints", ()))
        truth = _read_truth(source, index["num_clips"], index["num_frames"])
        if not truth["is_finished"].any():
            raise InputError(f"{source} has no finished clip yet; wait for the rendering or start it again.")
        for field, values in truth.items():
            parts[field].append(values)
        for key in ("video", "audio"):
            parts[key] += list(np.load(source / f"{key}.npy", mmap_mode="r"))
        parts["is_test"] += [name == "heldout"] * index["num_clips"]
        parts["languages"] += _languages(index["voices"], truth["voice_ids"])
    joined = {field: np.concatenate(parts[field]) for field in _STORED_AS}
    return ClipSet(
        video=parts["video"],
        audio=parts["audio"],
        is_test=np.array(parts["is_test"]),
        joints=joints,
        languages=tuple(parts["languages"]),
        folder=folder,
        **joined,
    )


def _languages(voices: dict[str, str | dict[str, str]], voice_ids: np.ndarray) -> list[str]:
    """Language of each clip from the folder's voices table; a format 1 table has names alone, all of them English."""
    entries = [voices.get(str(voice), "") for voice in voice_ids]
    return [entry.get("language", "en") if isinstance(entry, dict) else "en" for entry in entries]
