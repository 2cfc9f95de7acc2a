"""Speech without pictures: sound, mouth shapes and phonemes, many times faster than rendering a head.

The speech encoder is trained on these. A folder of N clips of T frames at 25 fps:

    audio.npy      int16   [N, 640 T]   16 kHz mono
    shapes.npy     float16 [N, T, K]    mouth shapes, see `visemes.SHAPES`
    groups.npy     uint8   [N, T]       what is spoken, see `phones.PHONE_GROUPS`
    voice_ids.npy  int32   [N]          see `voices.VOICES`
    done.npy       bool    [N]          clips that are complete; read no other
    index.json     split, seed, counts

`python -m synthetic_people.speech --out DIR --clips N [--split heldout]`. A stopped run is continued.
Every clip follows from (seed, split, clip number) alone.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from . import visemes, voices
from .phones import frame_groups
from .tracks import FPS, SAMPLES_PER_FRAME, speech_track

_FULL_SCALE = 32767
_ATTEMPTS = 4  # a synthesizer that cannot speak some sentence gets another one


@dataclass(frozen=True)
class SpeechSettings:
    """What a folder of speech is made from. `split` is "train" or "heldout": no voice is in both."""

    num_clips: int
    seed: int = 0
    split: str = "train"
    num_frames: int = 150

    def __post_init__(self) -> None:
        if self.split not in ("train", "heldout"):
            raise ValueError(f'split is "train" or "heldout", not {self.split!r}')
        if self.num_clips < 1 or self.num_frames < 1:
            raise ValueError(f"at least one clip of one frame is needed, not {self.num_clips} of {self.num_frames}")

    def arrays(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> dtype and shape of every array of the folder."""
        n, t = self.num_clips, self.num_frames
        return {
            "audio": ("int16", (n, t * SAMPLES_PER_FRAME)),
            "shapes": ("float16", (n, t, len(visemes.SHAPES))),
            "groups": ("uint8", (n, t)),
            "voice_ids": ("int32", (n,)),
            "done": ("bool", (n,)),
        }


def speech_clip(settings: SpeechSettings, clip: int) -> dict[str, np.ndarray]:
    """All arrays of one clip, without the leading N.

    Raises RuntimeError when no sentence could be spoken.
    """
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([settings.seed, settings.split == "heldout", clip, attempt, 53])
        voice = voices.choose_voice(settings.split, rng)
        try:
            track = speech_track(voice, settings.num_frames, rng)
        except RuntimeError:
            if attempt + 1 == _ATTEMPTS:
                raise
            continue
        break
    return {
        "audio": np.round(np.clip(track.signal, -1, 1) * _FULL_SCALE).astype(np.int16),
        "shapes": visemes.mouth_shapes(track, settings.num_frames, FPS).astype(np.float16),
        "groups": frame_groups(track.phones, settings.num_frames, FPS),
        "voice_ids": np.int32(voice.voice_id),
    }


def speech_clips(folder: Path, settings: SpeechSettings, report=print) -> None:
    """Make every clip that is still missing in `folder`; `report(line)` hears about the progress.

    Raises ValueError when the folder holds clips of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.json"
    described = asdict(settings) | {"sample_rate": voices.SAMPLE_RATE, "fps": FPS, "shapes": list(visemes.SHAPES)}
    if not index.exists():
        for name, (dtype, shape) in settings.arrays().items():
            np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
        partial = folder / "index.json.tmp"
        partial.write_text(json.dumps(described, indent=1))
        os.replace(partial, index)
    elif json.loads(index.read_text()) != described:
        raise ValueError(f"{folder} holds speech made from other settings; choose another folder or delete it")
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in settings.arrays()}
    began, made = time.monotonic(), 0
    for clip in np.flatnonzero(~arrays["done"]):
        for name, value in speech_clip(settings, int(clip)).items():
            arrays[name][clip] = value
        arrays["done"][clip] = True
        made += 1
        if made % 20 == 0:
            seconds = time.monotonic() - began
            report(f"{folder}: {int(arrays['done'].sum())} of {settings.num_clips} clips, {seconds / made:.2f} s each")
    for array in arrays.values():
        array.flush()
    report(f"{folder}: all {settings.num_clips} clips are there")


def main() -> None:
    """Read the arguments and speak."""
    parser = argparse.ArgumentParser(prog="python -m synthetic_people.speech", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the clips; an unfinished one is continued")
    parser.add_argument("--clips", type=int, required=True, help="how many clips the folder holds in the end")
    parser.add_argument("--split", choices=("train", "heldout"), default="train", help="which voices")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=150, help="frames per clip at 25 fps")
    arguments = parser.parse_args()
    settings = SpeechSettings(arguments.clips, arguments.seed, arguments.split, arguments.frames)
    speech_clips(arguments.out, settings, report=lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
