"""Speech with the truth about its mouth, opened for reading: what the audio stage trains on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..models.audio_encoder import SAMPLES_PER_FRAME
from .clips import ClipSet


@dataclass(frozen=True)
class SpeechSet:
    """N excerpts of F frames at 25 a second.

    Attributes:
        audio: per excerpt [640 F], 16 kHz, int16 or float, any level.
        shapes: [N,F,K] float32, the jaw first.
        groups: [N,F] uint8, what is spoken (`synthetic.phones.PHONE_GROUPS`), or None where it is not known.
        is_test: [N], excerpts by voices that no other excerpt has.
        voice_ids: [N].
    """

    audio: list[np.ndarray]
    shapes: np.ndarray
    groups: np.ndarray | None
    is_test: np.ndarray
    voice_ids: np.ndarray

    @property
    def num_frames(self) -> int:
        return self.shapes.shape[1]

    def samples(self, index: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Float32 samples of frames [start, stop)."""
        stop = self.num_frames if stop is None else stop
        part = self.audio[index][start * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME]
        return part.astype(np.float32) / (32768 if part.dtype == np.int16 else 1)

    def indices(self, test: bool) -> np.ndarray:
        """Which excerpts are held out, or which are not."""
        return np.flatnonzero(self.is_test == test)


def open_speech(folder: Path) -> SpeechSet:
    """The finished excerpts in every folder of speech below `folder`; those of split "heldout" are for testing.

    Raises:
        InputError: if there is none for training or none for testing.
    """
    parts: dict[str, list] = {name: [] for name in ("audio", "shapes", "groups", "test", "voices")}
    for index in sorted(folder.glob("*/index.json")):
        described = json.loads(index.read_text())
        if "num_clips" not in described or not (index.parent / "groups.npy").exists():
            continue
        done = np.flatnonzero(np.load(index.parent / "done.npy"))
        audio, shapes, groups, voices = (
            np.load(index.parent / f"{name}.npy", mmap_mode="r") for name in ("audio", "shapes", "groups", "voice_ids")
        )
        parts["audio"] += [audio[clip] for clip in done]
        parts["shapes"].append(np.asarray(shapes[done], np.float32))
        parts["groups"].append(np.asarray(groups[done]))
        parts["voices"].append(np.asarray(voices[done]))
        parts["test"] += [described["split"] == "heldout"] * len(done)
    if not any(parts["test"]) or all(parts["test"]):
        raise InputError(
            f"{folder} has no finished speech of both splits; make some with "
            f"`python -m synthetic_people.speech --out {folder / 'train'} --clips 3000`, "
            f"and with `--split heldout --out {folder / 'heldout'} --clips 60`."
        )
    shapes, groups, voices = (np.concatenate(parts[name]) for name in ("shapes", "groups", "voices"))
    return SpeechSet(parts["audio"], shapes, groups, np.asarray(parts["test"]), voices)


def speech_of(clips: ClipSet) -> SpeechSet:
    """The sound of rendered clips; what is spoken in them is not known."""
    finished = np.concatenate([clips.split("train"), clips.split("test")])
    shapes = np.concatenate([clips.jaw[:, :, None], clips.mouth_shapes], axis=2)[finished].astype(np.float32)
    return SpeechSet(
        [clips.samples(int(clip)) for clip in finished],
        shapes,
        None,
        clips.is_test[finished],
        np.asarray(clips.voice_ids)[finished],
    )
