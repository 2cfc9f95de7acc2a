"""Figures over several held-out clips: what the films do, next to what the true renders of the same speech do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from .blinks import Blinks, measure_blinks
from .face_measures import FaceMeasures
from .films import Film
from .frechet import Frechet, measure_frechet
from .identity import FaceEmbedder, IdentityScale, distances
from .lipsync import LipSync, closed_lips, measure_lip_sync
from .picture_error import psnr, ssim
from .report import Figure, at_least, at_most
from .statistics import Estimate, estimate, estimate_share
from .sync_net import SyncNet, SyncScore, embed_film, sync_score
from .truth import HeldOutClip
from .visemes import MEASURES, shape_correlations

LIPS, FACE, PERSON, PICTURE = "Lips and speech", "Eyes and head", "Person", "Pictures"
_NO_SCORE = SyncScore(float("nan"), float("nan"), 0)
_EMBEDDED_FRAMES = 10  # of each film, by dlib


@dataclass(frozen=True)
class Measured:
    """One film and its clip; fields with `true_` are the clip's own."""

    sync: LipSync
    true_sync: LipSync
    closed: list[bool]
    true_closed: list[bool]
    shapes: dict[str, float]
    blinks: Blinks | None
    true_blinks: Blinks | None
    score: SyncScore
    true_score: SyncScore
    other_score: SyncScore
    turn: float
    true_turn: float
    shift: float
    true_shift: float
    psnr: float
    still_psnr: float
    ssim: float
    still_ssim: float
    compute: float

    @property
    def amplitude(self) -> float:
        """Spread of openness in shares of the true one; NaN where the true mouth does not move."""
        return self.sync.spread / self.true_sync.spread if self.true_sync.spread > 1e-6 else float("nan")


def measure_clip(
    film: Film, clip: HeldOutClip, own: FaceMeasures, true: FaceMeasures, others: list[HeldOutClip], net: SyncNet
) -> Measured:
    """Every figure of one film. `others`: clips with other speech, for what chance would give."""
    other_jaws = [other.jaw for other in others]
    lids = clip.lids
    truth = fitted(clip.video, film.frames)
    still = np.broadcast_to(truth[clip.portrait_frame], truth.shape)

    def score(crops: np.ndarray | None, samples: np.ndarray) -> SyncScore:
        return _NO_SCORE if crops is None else sync_score(net, crops, samples)

    return Measured(
        sync=measure_lip_sync(own.openness, clip.jaw, other_jaws),
        true_sync=measure_lip_sync(true.openness, clip.jaw, other_jaws),
        closed=closed_lips(own.openness, clip.closures),
        true_closed=closed_lips(true.openness, clip.closures),
        shapes=shape_correlations(own.lips, true.lips),
        blinks=None if lids is None else measure_blinks(own.eyes, lids),
        true_blinks=None if lids is None else measure_blinks(true.eyes, lids),
        score=score(own.crops, clip.audio),
        true_score=score(true.crops, clip.audio),
        other_score=score(own.crops, others[0].audio) if others else _NO_SCORE,
        turn=own.turn,
        true_turn=true.turn,
        shift=own.shift,
        true_shift=true.shift,
        psnr=psnr(film.frames[: len(truth)], truth),
        still_psnr=psnr(still, truth),
        ssim=ssim(film.frames[: len(truth)], truth),
        still_ssim=ssim(still, truth),
        compute=film.processor_seconds / film.seconds,
    )


def fitted(video: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """True frames in the film's size and at most as many as it has."""
    height, width = frames.shape[1:3]
    if video.shape[1:3] == (height, width):
        return video[: len(frames)]
    method = cv2.INTER_AREA if video.shape[1] > height else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (width, height), interpolation=method) for frame in video[: len(frames)]])


def clip_figures(measured: list[Measured], languages: list[str]) -> list[Figure]:
    """The figures over all clips, as far as they follow from each clip alone; `languages` are the clips' own."""

    def mean(read) -> Estimate:
        return estimate([read(one) for one in measured])

    def true(read) -> float:
        return mean(read).value

    figures = [
        Figure("jaw_correlation", LIPS, "jaw correlation, best lag within ±5", mean(lambda m: m.sync.correlation),
               true=true(lambda m: m.true_sync.correlation), must=at_least(0.65), aim=at_least(0.85)),
        Figure("jaw_lag", LIPS, "largest lag of any clip, frames",
               estimate([abs(m.sync.lag) for m in measured], np.max),
               true=float(max(abs(m.true_sync.lag) for m in measured)), must=at_most(1)),
        Figure("jaw_correlation_at_zero", LIPS, "jaw correlation without a shift", mean(lambda m: m.sync.at_zero),
               true=true(lambda m: m.true_sync.at_zero)),
        Figure("other_speech", LIPS, "jaw correlation with other speech, same lag",
               mean(lambda m: m.sync.other_speech), true=true(lambda m: m.true_sync.other_speech),
               must=at_most(0.2), aim=at_most(0.1)),
        Figure("other_best", LIPS, "jaw correlation with other speech, best of 11 lags",
               mean(lambda m: m.sync.other_best), true=true(lambda m: m.true_sync.other_best)),
        Figure("amplitude", LIPS, "spread of openness, share of the true one",
               mean(lambda m: m.amplitude), true=1.0),
        Figure("closed_lips", LIPS, "closed lips on p, b, m", estimate_share([m.closed for m in measured]),
               true=estimate_share([m.true_closed for m in measured]).value, must=at_least(0.7), aim=at_least(0.9)),
    ]  # fmt: skip
    foreign = [m for m, language in zip(measured, languages, strict=True) if not language.startswith("en")]
    if foreign:
        figures.append(
            Figure(
                "jaw_correlation_languages",
                LIPS,
                "jaw correlation, clips in other languages than English",
                estimate([m.sync.correlation for m in foreign]),
                true=estimate([m.true_sync.correlation for m in foreign]).value,
            )  # fmt: skip
        )
    figures += [
        Figure(f"viseme_{name}", LIPS, f"lip shape against true renders: {name.replace('_', ' ')}",
               estimate([m.shapes[name] for m in measured]), true=1.0)
        for name in MEASURES
    ]  # fmt: skip
    figures += [
        Figure("viseme_mean", LIPS, "lip shape against true renders: mean of the four",
               estimate([np.mean(list(m.shapes.values())) for m in measured]), true=1.0),
        Figure("sync_confidence", LIPS, "studio sync confidence (own score; large is good)",
               mean(lambda m: m.score.confidence), true=true(lambda m: m.true_score.confidence)),
        Figure("sync_confidence_other", LIPS, "studio sync confidence with other speech",
               mean(lambda m: m.other_score.confidence)),
        Figure("sync_distance", LIPS, "studio sync distance (own score; small is good)",
               mean(lambda m: m.score.distance), true=true(lambda m: m.true_score.distance)),
        Figure("faces", LIPS, "frames in which a face is found", mean(lambda m: m.sync.faces),
               true=true(lambda m: m.true_sync.faces)),
    ]  # fmt: skip
    if all(m.blinks is not None for m in measured):
        figures += _blink_figures(measured)
    figures += [
        Figure("head_turn", FACE, "motion diversity: spread of the head's turning, degrees", mean(lambda m: m.turn),
               true=true(lambda m: m.true_turn)),
        Figure("head_shift", FACE, "spread of the face's place, hundredths of the eyes' distance",
               mean(lambda m: m.shift), true=true(lambda m: m.true_shift)),
        Figure("psnr", PICTURE, "PSNR against the true frames, dB", mean(lambda m: m.psnr)),
        Figure("psnr_still", PICTURE, "the same for the portrait standing still, dB", mean(lambda m: m.still_psnr)),
        Figure("ssim", PICTURE, "SSIM against the true frames", mean(lambda m: m.ssim)),
        Figure("ssim_still", PICTURE, "the same for the portrait standing still", mean(lambda m: m.still_ssim)),
    ]  # fmt: skip
    return figures


def _blink_figures(measured: list[Measured]) -> list[Figure]:
    def mean(read) -> Estimate:
        return estimate([read(one) for one in measured])

    def true(read) -> float:
        return mean(read).value

    return [
        Figure("eye_correlation", FACE, "eye opening against the true lids", mean(lambda m: m.blinks.correlation),
               true=true(lambda m: m.true_blinks.correlation)),
        Figure("blinks_per_minute", FACE, "blinks per minute", mean(lambda m: m.blinks.per_minute),
               true=true(lambda m: m.true_blinks.true_per_minute)),
        Figure("blinks_found", FACE, "true blinks that the film has too", mean(lambda m: m.blinks.found),
               true=true(lambda m: m.true_blinks.found)),
        Figure("blinks_invented", FACE, "blinks of the film that are not true ones",
               mean(lambda m: m.blinks.invented), true=true(lambda m: m.true_blinks.invented)),
    ]  # fmt: skip


def clip_row(clip: HeldOutClip, measured: Measured) -> dict[str, Any]:
    """One clip's line in the report."""
    return {
        "clip": clip.number,
        "head": clip.head,
        "voice": clip.voice,
        "language": clip.language,
        "jaw": measured.sync.correlation,
        "true jaw": measured.true_sync.correlation,
        "lag": measured.sync.lag,
        "amplitude": measured.amplitude,
        "closed": float(np.mean(measured.closed)) if measured.closed else float("nan"),
        "lip shapes": float(np.mean(list(measured.shapes.values()))),
        "sync confidence": measured.score.confidence,
        "eyes": float("nan") if measured.blinks is None else measured.blinks.correlation,
        "turn": measured.turn,
        "true turn": measured.true_turn,
        "PSNR": measured.psnr,
        "compute": measured.compute,
    }


def identity_figures(
    embedder: FaceEmbedder, scale: IdentityScale, films: list[Film], clips: list[HeldOutClip]
) -> list[Figure]:
    """How like the portrait the films are."""
    rows = []
    for film, clip in zip(films, clips, strict=True):
        own, portrait = embedder.embed_some(film.frames, _EMBEDDED_FRAMES), embedder.embed(clip.portrait)
        found = portrait is not None and len(own) > 0
        rows.append(distances(own, portrait[None]).mean() if found else float("nan"))
    return [
        Figure("identity_portrait", PERSON, "identity against the portrait (dlib; same person 1, others 0)",
               estimate([scale.similarity(row) for row in rows]), true=1.0),
        Figure("dlib_distance", PERSON, "dlib distance to the portrait", estimate(rows), true=scale.same),
        Figure("dlib_between", PERSON, "dlib distance between different held-out people",
               Estimate(scale.different, float("nan"), float("nan"), 0)),
    ]  # fmt: skip


def frechet_figures(
    net: SyncNet, embedder: FaceEmbedder, films: list[Film], clips: list[HeldOutClip], own: list[FaceMeasures],
    true: list[FaceMeasures],
) -> list[Figure]:  # fmt: skip
    """Fréchet distances on three named sets of features."""

    def lips(faces: list[FaceMeasures]) -> list[np.ndarray]:
        crops = [face.crops for face in faces if face.crops is not None]
        return [embed_film(net, one, None)[0].numpy() for one in crops]

    sets = {
        "lips": ("windows of the studio sync net's mouth tower", lips(own), lips(true)),
        "faces": (
            "dlib face embeddings",
            [embedder.embed_some(film.frames, 2 * _EMBEDDED_FRAMES) for film in films],
            [embedder.embed_some(clip.video, 2 * _EMBEDDED_FRAMES) for clip in clips],
        ),
        "motion": (
            "spread and speed of lips, eyes and head in seconds of landmarks",
            [measures.motion_windows() for measures in own],
            [measures.motion_windows() for measures in true],
        ),
    }
    figures = []
    for name, (label, generated, truth) in sets.items():
        if sum(map(len, generated)) < 8 or sum(map(len, truth)) < 8:
            continue
        found: Frechet = measure_frechet(generated, truth)
        label = f"Fréchet distance, {label} ({found.samples} and {found.true_samples}, {found.components} components)"
        value = Estimate(found.distance, float("nan"), float("nan"), found.samples)
        figures.append(Figure(f"frechet_{name}", PICTURE, label, value, true=found.floor))
    return figures
