"""Clips of synthetic talking heads with exact truth, written as plain arrays for memory mapping.

A folder of N clips of T frames (25 fps, S pixels square):

    video.npy        uint8   [N, T, S, S, 3]
    audio.npy        float32 [N, 640 T]       16 kHz mono, -1..1
    jaw.npy          float32 [N, T]           0 closed to 1 wide open, at the middle of each frame
    shapes.npy       float32 [N, T, K]        see `visemes.SHAPES` ("shapes" in index.json)
    openness.npy     float32 [N, T]           inner lip distance divided by mouth width
    pose.npy         float32 [N, T, 3]        head yaw, pitch, roll in degrees
    lids.npy         float32 [N, T]           0 open to 1 closed
    brows.npy        float32 [N, T]           0 at rest to 1 raised
    closures.npy     bool    [N, T]           lips shut by a p, b or m
    camera.npy       float32 [N, T, 3]        pan right, pan down (shares of the picture), zoom factor; 0, 0, 1 is still
    skeleton.npy     float32 [N, T, J, 3]     x, y in shares of the picture, visible 0 or 1 ("joints" in index.json)
    mask.npy         uint8   [N, T, 64, 8]    the person: packed bits of 64 x 64
    mouth_boxes.npy  float32 [N, T, 4]        row, column of the first and of the last corner around the lips, pixels
    eye_boxes.npy    float32 [N, T, 4]        the same around both eyes
    motion.npy       uint8   [N]              0 calm, 1 lively head, 2 moving camera (see `motion`)
    head_ids.npy     int32   [N]              from heads.HELD_OUT_START on: held out
    voice_ids.npy    int32   [N]              see `voices.VOICES` ("voices" in index.json, with their languages)
    done.npy         bool    [N]              clips that are complete; read no other
    index.json       what the folder is: format 2, split, seed, counts, sizes, names

The arrays have their full size from the start; a worker fills one clip and then sets `done`, so a run that was
stopped continues where it was, and a reader may use the finished clips of a run that is still going.
Every clip follows from (seed, split, clip number) alone, whichever worker makes it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infinitetalk.training.clips import CALM, LIVELY, MOVING_CAMERA

from . import visemes, voices
from .heads import HELD_OUT_START, load_bank
from .motion import make_motion
from .skeleton import JOINTS
from .tracks import FPS, SAMPLES_PER_FRAME, recorded, speech_track
from .voices import SAMPLE_RATE

DEFAULT_NUM_FRAMES = 153  # two chunks: 81 + 72
NUM_TRAIN_HEADS = 400
NUM_HELD_OUT_HEADS = 24
DEFAULT_SIZE = 256
JAW_REACH = 0.72  # strength of the jawOpen action at jaw = 1; the action's full strength is a scream


@dataclass(frozen=True)
class ClipSettings:
    """What a folder of clips is made from. `split` is "train" or "heldout": no head and no voice is in both."""

    num_clips: int
    seed: int = 0
    split: str = "train"
    num_frames: int = DEFAULT_NUM_FRAMES
    size: int = DEFAULT_SIZE

    def __post_init__(self) -> None:
        if self.split not in ("train", "heldout"):
            raise ValueError(f'split is "train" or "heldout", not {self.split!r}')
        if self.num_clips < 1 or self.num_frames < 1:
            raise ValueError(f"at least one clip of one frame is needed, not {self.num_clips} of {self.num_frames}")

    @property
    def head_ids(self) -> list[int]:
        first, count = (0, NUM_TRAIN_HEADS) if self.split == "train" else (HELD_OUT_START, NUM_HELD_OUT_HEADS)
        return list(range(first, first + min(count, self.num_clips)))

    def arrays(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> dtype and shape of every array of the folder."""
        n, t, s = self.num_clips, self.num_frames, self.size
        return {
            "video": ("uint8", (n, t, s, s, 3)),
            "audio": ("float32", (n, t * SAMPLES_PER_FRAME)),
            "jaw": ("float32", (n, t)),
            "shapes": ("float32", (n, t, len(visemes.SHAPES))),
            "openness": ("float32", (n, t)),
            "pose": ("float32", (n, t, 3)),
            "mouth_boxes": ("float32", (n, t, 4)),
            "head_ids": ("int32", (n,)),
            "voice_ids": ("int32", (n,)),
            "lids": ("float32", (n, t)),
            "brows": ("float32", (n, t)),
            "closures": ("bool", (n, t)),
            "camera": ("float32", (n, t, 3)),
            "skeleton": ("float32", (n, t, len(JOINTS), 3)),
            "mask": ("uint8", (n, t, 64, 8)),
            "eye_boxes": ("float32", (n, t, 4)),
            "motion": ("uint8", (n,)),
            "done": ("bool", (n,)),
        }


def clip_generator(settings: ClipSettings, clip: int) -> np.random.Generator:
    """The clip's own random numbers."""
    return np.random.default_rng([settings.seed, HELD_OUT_START * (settings.split == "heldout") + clip, 47])


def motion_kind(settings: ClipSettings, clip: int) -> int:
    """CALM, LIVELY or MOVING_CAMERA: of twenty training clips 13, 4 and 3; of ten held-out ones 8, 1 and 1."""
    if settings.split == "heldout":
        return {4: LIVELY, 9: MOVING_CAMERA}.get(clip % 10, CALM)
    return {2: LIVELY, 7: LIVELY, 12: LIVELY, 17: LIVELY, 5: MOVING_CAMERA, 10: MOVING_CAMERA, 15: MOVING_CAMERA}.get(
        clip % 20, CALM
    )


def render_clip(settings: ClipSettings, clip: int, bank, maps) -> dict[str, np.ndarray]:
    """All arrays of one clip, without the leading N (see the module's head)."""
    from .people import Person, Stance

    rng = clip_generator(settings, clip)
    head_id = settings.head_ids[clip % len(settings.head_ids)]
    voice = voices.choose_voice(settings.split, rng)
    num_frames, kind = settings.num_frames, motion_kind(settings, clip)
    track = speech_track(voice, num_frames, rng)
    shapes = visemes.mouth_shapes(track, num_frames, FPS)
    person = Person(bank, maps, head_id, settings.seed, clip, settings.size)
    motion = make_motion(track, num_frames, FPS, kind, rng)
    reach = JAW_REACH * rng.uniform(0.92, 1.08)

    frames = []
    for t in range(num_frames):
        weights = visemes.face_weights(shapes[t], reach)
        weights |= {
            "eyeBlink": float(motion.lids[t]),
            "browInnerUp": 0.55 * float(motion.brows[t]),
            "browOuterUp": 0.65 * float(motion.brows[t]),
            "mouthSmile": max(float(motion.smile[t]), weights.get("mouthSmile", 0.0)),
        }
        stance = Stance(
            pose=motion.pose[t], gaze=motion.gaze[t], body=motion.body[t], lean=float(motion.lean[t]),
            shrug=float(motion.shrug[t]), view=motion.camera[t],
        )  # fmt: skip
        frames.append(person.draw(weights, stance))
    return {
        "video": np.stack([frame.picture for frame in frames]),
        "audio": recorded(track.signal, rng),
        "jaw": shapes[:, visemes.JAW],
        "shapes": shapes,
        "openness": np.asarray([frame.openness for frame in frames], np.float32),
        "pose": motion.pose,
        "lids": motion.lids,
        "brows": motion.brows,
        "closures": motion.closures,
        "camera": motion.camera,
        "skeleton": np.stack([frame.joints for frame in frames]),
        "mask": np.stack([frame.mask for frame in frames]),
        "mouth_boxes": np.stack([frame.mouth_box for frame in frames]),
        "eye_boxes": np.stack([frame.eye_box for frame in frames]),
        "motion": np.uint8(kind),
        "head_ids": np.int32(head_id),
        "voice_ids": np.int32(voice.voice_id),
    }


def _open_arrays(folder: Path, settings: ClipSettings) -> dict[str, np.ndarray]:
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in settings.arrays()}


def _describe(settings: ClipSettings) -> dict:
    return {
        "format": 2,
        "split": settings.split,
        "seed": settings.seed,
        "num_clips": settings.num_clips,
        "num_frames": settings.num_frames,
        "size": settings.size,
        "fps": FPS,
        "sample_rate": SAMPLE_RATE,
        "shapes": list(visemes.SHAPES),
        "joints": list(JOINTS),
        "voices": {str(v.voice_id): {"name": v.name, "language": v.language} for v in voices.voices(settings.split)},
    }


def prepare_folder(folder: Path, settings: ClipSettings) -> None:
    """Make the folder's arrays, or check that those present were made from the same settings.

    Raises ValueError when the folder holds clips of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.json"
    if index.exists():
        stored = json.loads(index.read_text())
        if stored != _describe(settings):
            raise ValueError(f"{folder} holds clips made from other settings; choose another folder or delete it")
        return
    for name, (dtype, shape) in settings.arrays().items():
        np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
    partial = folder / "index.json.tmp"
    partial.write_text(json.dumps(_describe(settings), indent=1))
    os.replace(partial, index)


def _work(folder: Path, settings: ClipSettings, worker: int, num_workers: int, finished=lambda: None) -> None:
    from .skin import surface_maps

    os.environ["OMP_NUM_THREADS"] = "1"
    arrays = _open_arrays(folder, settings)
    bank = load_bank(settings.head_ids, settings.seed)
    maps = surface_maps(bank.surface)
    for clip in range(worker, settings.num_clips, num_workers):
        if arrays["done"][clip]:
            continue
        for name, value in render_clip(settings, clip, bank, maps).items():
            arrays[name][clip] = value
        for array in arrays.values():
            array.flush()
        arrays["done"][clip] = True
        arrays["done"].flush()
        finished()


def make_clips(folder: Path, settings: ClipSettings, num_workers: int = 1, report=print) -> None:
    """Render every clip that is still missing in `folder`; `report(line)` hears about the progress.

    Raises RuntimeError when a worker process fails.
    """
    prepare_folder(folder, settings)
    load_bank(settings.head_ids, settings.seed)  # bake once, before the workers read the cache
    done = np.load(folder / "done.npy", mmap_mode="r")
    began, already = time.monotonic(), int(done.sum())
    if already == settings.num_clips:
        report(f"{folder}: all {already} clips are there")
        return

    def tell() -> None:
        report(_progress(folder, settings, int(done.sum()), already, time.monotonic() - began))

    if num_workers == 1:
        _work(folder, settings, 0, 1, tell)
        return
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(folder, settings, w, num_workers)) for w in range(num_workers)]
    for process in workers:
        process.start()
    while any(process.is_alive() for process in workers):
        for process in workers:
            process.join(timeout=5)
        tell()
    failed = [process.exitcode for process in workers if process.exitcode]
    if failed:
        raise RuntimeError(f"a rendering process ended with code {failed[0]}; run again to continue")


def _progress(folder: Path, settings: ClipSettings, count: int, already: int, seconds: float) -> str:
    rate = (count - already) * settings.num_frames / max(seconds, 1e-6)
    return f"{folder}: {count} of {settings.num_clips} clips, {rate:.0f} frames a second"
