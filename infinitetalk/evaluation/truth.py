"""Held-out clips: people and voices that no training clip has, with all that was true when they were rendered."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..media.faces import centre_square, cut, face_square, find_faces

SAMPLES_PER_FRAME = 640
MOVING_CAMERA = 2  # of the array `motion`
_PRESSED = 0.25  # of the shape "press", where a folder of format 1 has no closures


@dataclass(frozen=True)
class HeldOutClip:
    """F frames at 25 a second.

    video: [F,S,S,3] uint8. audio: [640 F] at 16 kHz. jaw: [F], 0 shut to 1 wide. shapes: name to [F].
    closures: bool [F], lips shut for p, b or m. lids: [F], 0 open to 1 shut; None in folders without them.
    number: of the clip in its folder. head: of the person. voice, language: by name.
    source: the whole portrait [S,S,3] that films are made from, where `video` is cut as films are.
    """

    number: int
    head: int
    voice: str
    language: str
    video: np.ndarray
    audio: np.ndarray
    jaw: np.ndarray
    shapes: dict[str, np.ndarray]
    closures: np.ndarray
    lids: np.ndarray | None
    source: np.ndarray | None = None

    @property
    def num_frames(self) -> int:
        return len(self.video)

    @property
    def portrait(self) -> np.ndarray:
        """The frame [S,S,3] with mouth shut and eyes open, as a portrait is."""
        return self.video[self.portrait_frame]

    @property
    def portrait_frame(self) -> int:
        lids = 0 if self.lids is None else self.lids
        others = sum(curve for name, curve in self.shapes.items() if name != "press")
        return int(np.argmin(self.jaw + 0.2 * others + 2 * lids))


def held_out_clips(folder: Path, most: int) -> list[HeldOutClip]:
    """Up to `most` finished clips of `folder/heldout`, as many voices and heads among them as there are; copied.

    Clips whose camera moves are left out: a still portrait and sound do not say where a camera goes.

    Raises:
        InputError: if there are none.
    """
    place = folder / "heldout"
    if not (place / "index.json").exists():
        raise InputError(
            f"{place} holds no clips; render some with "
            f"`python -m synthetic_people --split heldout --out {place} --clips 24`."
        )
    index = json.loads((place / "index.json").read_text())
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in place.glob("*.npy")}
    usable = np.array(arrays["done"])
    if "motion" in arrays:
        usable &= arrays["motion"] != MOVING_CAMERA
    chosen = _varied(np.flatnonzero(usable), arrays["voice_ids"], arrays["head_ids"], most)
    if not chosen:
        raise InputError(f"{place} has no finished clip yet; wait for the rendering or start it again.")
    return [_clip(arrays, index, number) for number in chosen]


def framed(clip: HeldOutClip) -> HeldOutClip:
    """The clip cut to the face as the engine cuts its portrait, so that film and truth show the same place."""
    import cv2

    portrait, side = clip.portrait, clip.video.shape[1]
    faces = find_faces(portrait)
    square = face_square(faces[0]) if faces else centre_square(*portrait.shape[:2])
    frames = [cv2.resize(cut(frame, square), (side, side), interpolation=cv2.INTER_AREA) for frame in clip.video]
    return replace(clip, video=np.stack(frames), source=portrait)


def other_portraits(folder: Path, most: int) -> list[np.ndarray]:
    """One picture [S,S,3] of each of up to `most` held-out heads: how far apart different people are."""
    place = folder / "heldout"
    video, heads, done = (np.load(place / f"{name}.npy", mmap_mode="r") for name in ("video", "head_ids", "done"))
    first: dict[int, int] = {}
    for number in np.flatnonzero(done):
        first.setdefault(int(heads[number]), int(number))
    return [np.array(video[number][0]) for number in list(first.values())[:most]]


def _varied(candidates: np.ndarray, voices: np.ndarray, heads: np.ndarray, most: int) -> list[int]:
    """Clips in such an order that each next one has the voice, then the head, seen least so far."""
    left, chosen = [int(number) for number in candidates], []
    while left and len(chosen) < most:
        best = min(
            left,
            key=lambda number: (
                sum(voices[other] == voices[number] for other in chosen),
                sum(heads[other] == heads[number] for other in chosen),
                number,
            ),
        )
        chosen.append(best)
        left.remove(best)
    return chosen


def _clip(arrays: dict[str, np.ndarray], index: dict, number: int) -> HeldOutClip:
    shapes = {name: np.array(arrays["shapes"][number, :, k]) for k, name in enumerate(index["shapes"])}
    voice = index["voices"][str(int(arrays["voice_ids"][number]))]
    voice = voice if isinstance(voice, dict) else {"name": voice}
    closures = np.array(arrays["closures"][number]) if "closures" in arrays else shapes["press"] > _PRESSED
    return HeldOutClip(
        number=number,
        head=int(arrays["head_ids"][number]),
        voice=voice["name"],
        language=voice.get("language", "en"),
        video=np.array(arrays["video"][number]),
        audio=np.array(arrays["audio"][number]),
        jaw=np.array(arrays["jaw"][number]),
        shapes=shapes,
        closures=closures.astype(bool),
        lids=np.array(arrays["lids"][number]) if "lids" in arrays else None,
    )
