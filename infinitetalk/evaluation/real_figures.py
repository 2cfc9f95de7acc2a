"""Figures on real photographs and real speech; see `real` for what they can and cannot say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .blinks import blink_instants
from .face_measures import FaceMeasures, read_pictures
from .films import Film, Studio
from .identity import FaceEmbedder, distances
from .lipsync import lagged_correlation
from .real import Photo, Recording, aligned_jaw, spoken_truth
from .report import Figure, at_least
from .statistics import estimate
from .sync_net import SyncNet, sync_score
from .truth import HeldOutClip

GROUP = "Real photographs and real speech"


@dataclass(frozen=True)
class RealFilm:
    """A film of a photograph (None: of a held-out render) saying a recording (None: a held-out clip's speech)."""

    film: Film
    measures: FaceMeasures
    picture: np.ndarray
    photo: Photo | None
    recording: Recording | None
    clip: HeldOutClip

    @property
    def name(self) -> str:
        who = self.photo.name if self.photo else f"head {self.clip.head}"
        what = f"recording {self.recording.name}" if self.recording else self.clip.voice
        return f"{who} says {what}"


def real_film(
    studio: Studio, picture: np.ndarray, photo: Photo | None, recording: Recording | None, clip: HeldOutClip
) -> RealFilm:
    """Make and read one. Recordings are cut to whole frames."""
    samples = clip.audio
    if recording is not None:
        samples = recording.read()
        samples = samples[: len(samples) // 640 * 640]
    who = photo.name if photo else f"head-{clip.head}"
    what = f"recording-{recording.name}" if recording else f"clip-{clip.number}"
    film = studio.film(picture, samples, f"{who}-{what}")
    return RealFilm(film, read_pictures(film.frames), picture, photo, recording, clip)


def real_figures(films: list[RealFilm], clips: list[HeldOutClip], net: SyncNet, embedder: FaceEmbedder) -> list[Figure]:
    """`clips`: the held-out ones whose speech the photographs said, for what other speech would give."""
    known = [one for one in films if one.recording is None]
    spoken = [(one.recording, one.film.samples) for one in films if one.recording is not None]
    guessed = {recording.name: aligned_jaw(samples, recording.text) for recording, samples in spoken}
    photographed = [one for one in films if one.photo is not None]

    def best(measures: FaceMeasures, jaw: np.ndarray) -> float:
        return max(lagged_correlation(measures.openness, jaw).values())

    figures = []
    if known:
        figures.append(
            Figure(
                "jaw_photo",
                GROUP,
                "jaw correlation from a real photograph (held-out synthetic speech, true jaw)",
                estimate([best(one.measures, one.clip.jaw) for one in known]),
                over="over films",
                aim=at_least(0.6),
            )  # fmt: skip
        )
        figures.append(
            Figure(
                "jaw_photo_other",
                GROUP,
                "the same with other speech",
                estimate([best(one.measures, _other(clips, one.clip).jaw) for one in known]),
                over="over films",
            )  # fmt: skip
        )
    if guessed:
        for key, label, chosen in (
            ("jaw_recording", "real speech, rendered head: openness against the jaw of its phonemes",
             [one for one in films if one.recording and not one.photo]),
            ("jaw_photo_recording", "real speech, real photograph: openness against the jaw of its phonemes",
             [one for one in films if one.recording and one.photo]),
        ):  # fmt: skip
            if chosen:
                values = [best(one.measures, guessed[one.recording.name]) for one in chosen]
                figures.append(Figure(key, GROUP, label, estimate(values), over="over films"))
        texts = dict.fromkeys(recording.text for recording, _ in spoken)
        truths = [(text, truth) for text in texts if (truth := spoken_truth(text)) is not None]
        checks = [max(lagged_correlation(aligned_jaw(samples, text), jaw).values()) for text, (samples, jaw) in truths]
        figures.append(
            Figure(
                "aligned_jaw",
                GROUP,
                "how well such a jaw curve matches the true one, the same texts said by flite",
                estimate(checks),
                over="over texts",
            )  # fmt: skip
        )
    if photographed:
        figures += _photo_figures(photographed, net, embedder)
    return figures


def _photo_figures(films: list[RealFilm], net: SyncNet, embedder: FaceEmbedder) -> list[Figure]:
    scores = [
        sync_score(net, one.measures.crops, one.film.samples).confidence if one.measures.crops is not None else np.nan
        for one in films
    ]
    gaps, minutes = [], []
    for one in films:
        own, portrait = embedder.embed_some(one.film.frames, 8), embedder.embed(one.picture)
        gaps.append(distances(own, portrait[None]).mean() if portrait is not None and len(own) else np.nan)
        minutes.append(len(blink_instants(one.measures.eyes)) / one.film.seconds * 60)

    def figure(key: str, label: str, values: list[float]) -> Figure:
        return Figure(key, GROUP, label, estimate(values), over="over films")

    spreads = [float(np.nanstd(one.measures.openness)) for one in films]
    return [
        figure("spread_photo", "photographs: spread of openness, mouth widths", spreads),
        figure("sync_photo", "photographs: studio sync confidence (trained on renders)", scores),
        figure("dlib_photo", "photographs: dlib distance to the photograph (same person below 0.6)", gaps),
        figure("blinks_photo", "photographs: blinks per minute", minutes),
        figure("turn_photo", "photographs: spread of the head's turning, degrees",
               [one.measures.turn for one in films]),
        figure("faces_photo", "photographs: frames in which a face is found",
               [float(np.isfinite(one.measures.openness).mean()) for one in films]),
    ]  # fmt: skip


def _other(clips: list[HeldOutClip], clip: HeldOutClip) -> HeldOutClip:
    return next((other for other in clips if other.number != clip.number), clip)
