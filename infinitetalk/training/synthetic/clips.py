"""Clips of synthetic talking heads with exact truth, written as plain arrays for memory mapping.

A folder of N clips of T frames (25 fps, S pixels square):

    video.npy        uint8   [N, T, S, S, 3]
    audio.npy        float32 [N, 640 T]       16 kHz mono, -1..1
    jaw.npy          float32 [N, T]           0 closed to 1 wide open, at the middle of each frame
    shapes.npy       float32 [N, T, K]        see `visemes.SHAPES` ("shapes" in index.json)
    openness.npy     float32 [N, T]           inner lip distance divided by mouth width
    pose.npy         float32 [N, T, 3]        head yaw, pitch, roll in degrees
    mouth_boxes.npy  float32 [N, T, 4]        row, column of the first and of the last corner around the lips, pixels
    head_ids.npy     int32   [N]              from heads.HELD_OUT_START on: held out
    voice_ids.npy    int32   [N]              see `voices.VOICES`
    done.npy         bool    [N]              clips that are complete; read no other
    index.json       what the folder is: split, seed, counts, sizes, names of shapes and voices

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
from scipy.ndimage import gaussian_filter1d

from infinitetalk.training.synthetic import sentences, visemes, voices
from infinitetalk.training.synthetic.heads import HELD_OUT_START, load_bank
from infinitetalk.training.synthetic.voices import SAMPLE_RATE, Utterance, Voice

FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS  # 640
DEFAULT_NUM_FRAMES = 153  # two chunks: 81 + 72
NUM_TRAIN_HEADS = 240
NUM_HELD_OUT_HEADS = 16
JAW_REACH = 0.70  # strength of the jawOpen action at jaw = 1; the action's full strength is a scream


@dataclass(frozen=True)
class ClipSettings:
    """What a folder of clips is made from. `split` is "train" or "heldout": no head and no voice is in both."""

    num_clips: int
    seed: int = 0
    split: str = "train"
    num_frames: int = DEFAULT_NUM_FRAMES
    size: int = 128

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
            "done": ("bool", (n,)),
        }


def clip_generator(settings: ClipSettings, clip: int) -> np.random.Generator:
    """The clip's own random numbers."""
    return np.random.default_rng([settings.seed, HELD_OUT_START * (settings.split == "heldout") + clip, 47])


def speech_track(voice: Voice, num_frames: int, rng: np.random.Generator) -> Utterance:
    """Sentences with pauses, exactly `num_frames` long, a little room noise under them."""
    total_seconds = num_frames / FPS
    signal = np.zeros(num_frames * SAMPLES_PER_FRAME, np.float32)
    phones: list[voices.Phone] = []
    # Some clips start in silence, some in the middle of a sentence.
    start_seconds = float(rng.uniform(-1.5, 0.6))
    while start_seconds < total_seconds - 0.3:
        spoken = voices.speak(voice, sentences.make_sentence(rng), rng)
        peak_free = spoken.signal / (np.sqrt(np.mean(spoken.signal**2)) + 1e-6) * 0.07
        first = round(start_seconds * SAMPLE_RATE)
        source = slice(max(0, -first), min(len(peak_free), len(signal) - first))
        if source.stop > source.start:
            signal[first + source.start : first + source.stop] += peak_free[source]
            for phone in spoken.phones:
                begin, end = phone.start_seconds + start_seconds, phone.end_seconds + start_seconds
                if end > 0 and begin < total_seconds:
                    phones.append(voices.Phone(phone.name, max(0.0, begin), min(total_seconds, end)))
        start_seconds += spoken.seconds + float(rng.choice([rng.uniform(0.0, 0.3), rng.uniform(0.4, 1.1)]))
    return Utterance(signal, tuple(phones))


def _recorded(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The track as a microphone in a room would give it: some tone, some hiss, a level of its own."""
    tilt = rng.uniform(-0.25, 0.25)
    coloured = signal.copy()
    coloured[1:] += tilt * signal[:-1]
    if rng.random() < 0.4:  # a short, weak room
        delay, decay = int(rng.uniform(0.004, 0.02) * SAMPLE_RATE), rng.uniform(0.1, 0.3)
        coloured[delay:] += decay * coloured[:-delay]
    hiss = rng.standard_normal(len(signal)).astype(np.float32) * 0.07 * 10 ** (-rng.uniform(25, 60) / 20)
    return np.clip((coloured + hiss) * rng.uniform(0.5, 1.6), -1, 1).astype(np.float32)


def _wander(num_frames: int, seconds: float, amplitude: float, rng: np.random.Generator) -> np.ndarray:
    """A slow random curve [num_frames] with standard deviation `amplitude`."""
    sigma = seconds * FPS
    padding = int(4 * sigma)
    curve = gaussian_filter1d(rng.standard_normal(num_frames + 2 * padding), sigma)[padding : padding + num_frames]
    # The filter shrinks white noise by this much; scaling by it keeps slow curves small when they happen to be.
    return amplitude * curve * np.sqrt(2 * np.sqrt(np.pi) * sigma)


def _blinks(num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Eyelid closure [num_frames], a blink of about 0.2 s every 2 to 5 s."""
    lids = np.zeros(num_frames)
    at = rng.uniform(0.3, 3.0)
    frames = np.arange(num_frames) / FPS
    while at < num_frames / FPS:
        lids = np.maximum(lids, np.exp(-(((frames - at) / 0.065) ** 4)))
        at += rng.uniform(2.0, 5.0)
    return lids


def render_clip(settings: ClipSettings, clip: int, bank, maps) -> dict[str, np.ndarray]:
    """All arrays of one clip, without the leading N (see the module's head)."""
    from infinitetalk.training.synthetic.people import Person

    rng = clip_generator(settings, clip)
    head_id = settings.head_ids[clip % len(settings.head_ids)]
    choices = voices.voices(settings.split)
    voice = choices[clip % len(choices)]
    num_frames = settings.num_frames
    track = speech_track(voice, num_frames, rng)
    shapes = visemes.mouth_shapes(track, num_frames, FPS)
    person = Person(bank, maps, head_id, settings.seed, clip, settings.size)

    jaw = shapes[:, visemes.JAW]
    emphasis = gaussian_filter1d(jaw.astype(np.float64), 5)
    yaw = rng.normal(0, 1.5) + _wander(num_frames, 1.0, 0.35, rng)
    pitch = rng.normal(0, 1.0) + _wander(num_frames, 0.8, 0.22, rng) - 0.4 * (emphasis - emphasis.mean())
    roll = rng.normal(0, 0.7) + _wander(num_frames, 1.0, 0.15, rng)
    pose = np.stack([yaw, pitch, roll], 1).astype(np.float32)
    gaze = np.stack([_wander(num_frames, 0.6, 1.0, rng) - yaw, _wander(num_frames, 0.6, 0.7, rng) - pitch], 1)
    lids = _blinks(num_frames, rng)
    brows = np.clip(_wander(num_frames, 0.35, 0.25, rng) + 0.5 * (emphasis - 0.3), 0, 0.8)
    smile = np.clip(rng.uniform(-0.05, 0.25) + _wander(num_frames, 1.2, 0.05, rng), 0, 0.4)
    reach = JAW_REACH * rng.uniform(0.92, 1.06)

    video = np.empty((num_frames, settings.size, settings.size, 3), np.uint8)
    boxes = np.empty((num_frames, 4), np.float32)
    openness = np.empty(num_frames, np.float32)
    for t in range(num_frames):
        weights = visemes.face_weights(shapes[t], reach)
        weights |= {
            "eyeBlink": float(lids[t]),
            "browInnerUp": float(brows[t]) * 0.5,
            "browOuterUp": float(brows[t]) * 0.6,
            "mouthSmile": float(smile[t]),
        }
        frame = person.draw(weights, pose[t], gaze[t])
        video[t], boxes[t], openness[t] = frame.picture, frame.mouth_box, frame.openness
    return {
        "video": video,
        "audio": _recorded(track.signal, rng),
        "jaw": jaw,
        "shapes": shapes,
        "openness": openness,
        "pose": pose,
        "mouth_boxes": boxes,
        "head_ids": np.int32(head_id),
        "voice_ids": np.int32(voice.voice_id),
    }


def _open_arrays(folder: Path, settings: ClipSettings) -> dict[str, np.ndarray]:
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in settings.arrays()}


def _describe(settings: ClipSettings) -> dict:
    return {
        "format": 1,
        "split": settings.split,
        "seed": settings.seed,
        "num_clips": settings.num_clips,
        "num_frames": settings.num_frames,
        "size": settings.size,
        "fps": FPS,
        "sample_rate": SAMPLE_RATE,
        "shapes": list(visemes.SHAPES),
        "voices": {str(v.voice_id): v.name for v in voices.voices(settings.split)},
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


def _work(folder: Path, settings: ClipSettings, worker: int, num_workers: int) -> None:
    from infinitetalk.training.synthetic.looks import surface_maps

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
    if num_workers == 1:
        _work(folder, settings, 0, 1)
    else:
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=_work, args=(folder, settings, w, num_workers)) for w in range(num_workers)]
        for process in workers:
            process.start()
        while any(process.is_alive() for process in workers):
            for process in workers:
                process.join(timeout=5)
            report(_progress(folder, settings, int(done.sum()), already, time.monotonic() - began))
        failed = [process.exitcode for process in workers if process.exitcode]
        if failed:
            raise RuntimeError(f"a rendering process ended with code {failed[0]}; run again to continue")
    report(_progress(folder, settings, int(done.sum()), already, time.monotonic() - began))


def _progress(folder: Path, settings: ClipSettings, count: int, already: int, seconds: float) -> str:
    rate = (count - already) * settings.num_frames / max(seconds, 1e-6)
    return f"{folder}: {count} of {settings.num_clips} clips, {rate:.0f} frames a second"
