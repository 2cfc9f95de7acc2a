"""Nano, measured through the public pipeline on heads and voices it was never trained on.

Each held-out clip gives a portrait (its first frame), speech, and the true jaw curve of that speech. The film is made
by `generate`, read back from its mp4, and compared with the jaw curve, with those of the other clips' speech, and with
the portrait.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import soundfile

from ..events import Finished
from ..pipeline import generate, load_models
from ..request import GenerationRequest, Speaker
from .identity import FaceEmbedder, distance_between_people, identity_distance
from .lipsync import LipSync, measure_lip_sync, mouth_openness


@dataclass(frozen=True)
class HeldOutClip:
    """video: [F,S,S,3] uint8. audio: [640 F] at 16 kHz. jaw: [F]."""

    video: np.ndarray
    audio: np.ndarray
    jaw: np.ndarray


def held_out_clips(folder: Path, most: int) -> list[HeldOutClip]:
    """The first finished clips of `folder/heldout`."""
    from ..training.clips import open_clips

    clips = open_clips(folder)
    return [
        HeldOutClip(np.array(clips.video[clip]), np.array(clips.samples(clip)), clips.jaw[clip])
        for clip in clips.split("test")[:most]
    ]


def make_films(clips: list[HeldOutClip], preset: str, seed: int = 7, **overrides: float) -> list[np.ndarray]:
    """One film per clip through `generate`: uint8 [F,H,W,3] each. `overrides` are settings of the request."""
    films, models = [], None
    with tempfile.TemporaryDirectory() as folder:
        for number, clip in enumerate(clips):
            portrait, speech = Path(folder, f"{number}.png"), Path(folder, f"{number}.wav")
            cv2.imwrite(str(portrait), clip.video[0][:, :, ::-1])
            soundfile.write(speech, clip.audio, 16_000)
            request = GenerationRequest(
                str(portrait), (Speaker(str(speech)),), preset=preset, seed=seed, **overrides
            )
            models = models or load_models(request)
            for event in generate(request, models, Path(folder, f"job-{number}")):
                if isinstance(event, Finished):
                    films.append(read_film(event.output))
    return films


def read_film(path: Path) -> np.ndarray:
    """All frames of a film, uint8 [F,H,W,3] RGB."""
    import av

    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def evaluate_films(films: list[np.ndarray], clips: list[HeldOutClip]) -> dict[str, float]:
    """Figures of the films, averaged over clips; `true_*` are the same measures on the true renders."""
    embedder = FaceEmbedder()
    own, true, distances = [], [], []
    for number, (film, clip) in enumerate(zip(films, clips, strict=True)):
        others = [other.jaw for index, other in enumerate(clips) if index != number]
        own.append(measure_lip_sync(mouth_openness(film), clip.jaw, others))
        true.append(measure_lip_sync(mouth_openness(clip.video), clip.jaw, others))
        distances.append(identity_distance(embedder, film, clip.video[0]))
    people = distance_between_people(embedder, [clip.video[0] for clip in clips])
    return {
        **_mean(own, ""),
        **_mean(true, "true_"),
        "worst_lag": max((abs(sync.lag) for sync in own), default=0),
        "dlib_distance": float(np.nanmean(distances)),
        "dlib_distance_between_people": people,
        "dlib_share": float(np.nanmean(distances)) / people,
        "clips": len(clips),
    }


def _mean(measured: list[LipSync], prefix: str) -> dict[str, float]:
    rows = [asdict(sync) for sync in measured]
    return {prefix + key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def contact_sheet(films: list[np.ndarray], clips: list[HeldOutClip], path: Path, columns: int = 8) -> None:
    """True frames above generated ones, from the most closed to the widest true jaw, one pair of rows per clip."""
    rows = []
    for film, clip in zip(films, clips, strict=True):
        order = np.argsort(clip.jaw[: len(film)])
        chosen = order[np.linspace(0, len(order) - 1, columns).astype(int)]
        small = clip.video.shape[1:3]
        rows.append(np.concatenate([clip.video[index] for index in chosen], axis=1))
        rows.append(np.concatenate([cv2.resize(film[index], small[::-1]) for index in chosen], axis=1))
    cv2.imwrite(str(path), np.concatenate(rows)[:, :, ::-1])
