"""A long film: does it stay the same person, in the same colours, without visible joints, and still speak?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..planning.chunks import plan_chunks
from ..vision.head_pose import face_points
from .color import ColorDrift, Regions, cell_colors, color_drift, regions
from .films import Film
from .identity import FaceEmbedder, IdentityScale, distances
from .lipsync import MAX_LAG, lagged_correlation, mouth_openness
from .report import Figure, at_least, at_most
from .seams import measure_seams
from .statistics import Estimate, estimate
from .truth import HeldOutClip

GROUP = "A minute"
_ENDS, _BETWEEN = 10, 3  # frames embedded of the first and last chunk, and of each other one


@dataclass(frozen=True)
class LongSpeech:
    """Clips of one voice said by one face: samples [640 F] at 16 kHz, the true jaw [F]."""

    portrait: np.ndarray
    samples: np.ndarray
    jaw: np.ndarray


def long_speech(clips: list[HeldOutClip], seconds: float) -> LongSpeech:
    """The first clip's face with the clips' speech one after another, repeated until `seconds` are filled."""
    num_frames = round(seconds * 25)
    repeats = -(-num_frames // sum(len(clip.jaw) for clip in clips))
    samples = np.concatenate([clip.audio for clip in clips] * repeats)[: num_frames * 640]
    jaw = np.concatenate([clip.jaw for clip in clips] * repeats)[:num_frames]
    return LongSpeech(clips[0].portrait, samples, jaw)


def chunk_spans(num_frames: int) -> list[tuple[int, int]]:
    """The new frames of every chunk; a last one of less than half a second belongs to the one before."""
    spans = [(chunk.new_start_frame, chunk.new_stop_frame) for chunk in plan_chunks(num_frames)]
    if len(spans) > 1 and spans[-1][1] - spans[-1][0] < 12:
        spans[-2:] = [(spans[-2][0], spans[-1][1])]
    return spans


def minute_figures(
    film: Film, speech: LongSpeech, embedder: FaceEmbedder, scale: IdentityScale
) -> tuple[list[Figure], dict[str, list[float]]]:
    """Figures of one long film and their curves over its chunks."""
    spans = chunk_spans(len(film.frames))
    length = f"{film.seconds:.0f} s"
    identity, drift = _identity(film, spans, embedder), _drift(film, spans)
    similar = scale.similarity(identity)
    seams = measure_seams(film.frames)
    first, last = _openness(film, spans[0]), _openness(film, spans[-1])

    def jaw(openness: np.ndarray, span: tuple[int, int]) -> float:
        return max(lagged_correlation(openness, speech.jaw[slice(*span)], MAX_LAG).values())

    def alone(value: float) -> Estimate:
        return Estimate(float(value), float("nan"), float("nan"), 1)

    figures = [
        Figure("identity_minute", GROUP, f"identity, first against last chunk of {length} (dlib; same person 1)",
               estimate(scale.similarity(_ends(film, spans, embedder))), over="over frames", true=1.0,
               must=at_least(0.9), aim=at_least(0.97)),
        Figure("identity_minute_worst", GROUP, f"identity against the first chunk, worst chunk of {length}",
               alone(np.nanmin(similar[1:]))),
        Figure("color_drift", GROUP, f"colour drift over {length}, mean ΔE (CIEDE2000) of face and background",
               alone(drift[-1].both), must=at_most(3), aim=at_most(1)),
        Figure("color_drift_face", GROUP, "colour drift, face", alone(drift[-1].face)),
        Figure("color_drift_background", GROUP, "colour drift, background", alone(drift[-1].background)),
        Figure("color_drift_worst", GROUP, "colour drift of the worst chunk, mean ΔE",
               alone(max(one.both for one in drift))),
        Figure("seams", GROUP, f"difference across chunk borders over that inside, median of {len(seams.steps)}",
               estimate(seams.ratios, np.median), over="over borders", must=at_most(1.3), aim=at_most(1.05)),
        Figure("seams_worst", GROUP, "the worst border", alone(seams.ratios.max() if seams.steps else np.nan)),
        Figure("seam_step", GROUP, "median difference across a chunk border, of 255",
               estimate(seams.steps, np.median), over="over borders"),
        Figure("usual_step", GROUP, "median difference from frame to frame inside chunks, of 255", alone(seams.usual)),
        Figure("jaw_first_chunk", GROUP, "jaw correlation in the first chunk", alone(jaw(first, spans[0]))),
        Figure("jaw_last_chunk", GROUP, "jaw correlation in the last chunk", alone(jaw(last, spans[-1]))),
        Figure("compute", GROUP, "processor time of all cores per second of film, s",
               alone(film.processor_seconds / film.seconds), must=at_most(1.5), aim=at_most(0.8)),
        Figure("wall", GROUP, "wall time per second of film, s, on this machine as busy as it was",
               alone(film.wall_seconds / film.seconds)),
    ]  # fmt: skip
    curves = {
        "identity against the first chunk, chunk by chunk": [float(value) for value in similar],
        "colour drift against the first chunk, chunk by chunk": [one.both for one in drift],
        "border over inside, border by border": [float(value) for value in seams.ratios],
    }
    return figures, curves


def _ends(film: Film, spans: list[tuple[int, int]], embedder: FaceEmbedder) -> np.ndarray:
    """Distance of each frame of the last chunk to those of the first: [N]."""
    first = embedder.embed_some(film.frames[slice(*spans[0])], _ENDS)
    last = embedder.embed_some(film.frames[slice(*spans[-1])], _ENDS)
    return distances(last, first).mean(axis=1) if len(first) and len(last) else np.array([np.nan])


def _identity(film: Film, spans: list[tuple[int, int]], embedder: FaceEmbedder) -> np.ndarray:
    """Mean distance of every chunk to the first: [chunks], NaN where no face was found."""
    first = embedder.embed_some(film.frames[slice(*spans[0])], _ENDS)
    curve = np.full(len(spans), np.nan)
    for index, span in enumerate(spans):
        own = embedder.embed_some(film.frames[slice(*span)], _BETWEEN)
        if len(own) and len(first):
            curve[index] = distances(own, first).mean()
    return curve


def _drift(film: Film, spans: list[tuple[int, int]]) -> list[ColorDrift]:
    """Colour difference of every chunk to the first; the face is where it is in a few frames of the first."""
    start, stop = spans[0]
    chosen = np.linspace(start, stop - 1, 5).astype(int)
    where: Regions = regions(face_points(film.frames[chosen]), *film.frames.shape[1:3])
    colors = [cell_colors(film.frames[start:stop:2]) for start, stop in spans]
    return [color_drift(colors[0], one, where) for one in colors]


def _openness(film: Film, span: tuple[int, int]) -> np.ndarray:
    return mouth_openness(face_points(film.frames[slice(*span)]))
