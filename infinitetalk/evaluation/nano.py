"""Nano, measured through the public pipeline on people, voices, photographs and recordings it was never trained on.

    report = evaluate_nano(EvaluationSettings(data=Path("data"), out=Path("out")))

Held-out clips give a portrait, speech and everything that was true of it; see `clip_figures`. Their speech in a row
makes a film of a minute; see `minute`. Real photographs and recordings come from installed packages; see `real`.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..models.specs import get_spec
from .clip_figures import clip_figures, clip_row, frechet_figures, identity_figures, measure_clip
from .face_measures import read_pictures
from .films import Film, Studio
from .identity import FaceEmbedder, IdentityScale, identity_scale
from .minute import long_speech, minute_figures
from .progress import Clock, OnProgress
from .real import Photo, Recording, can_align, photos, recordings
from .real_figures import RealFilm, real_figures, real_film
from .report import Figure, Report, at_least, at_most
from .sheets import blink_sheet, border_sheet, minute_sheet, phoneme_sheet, real_sheet
from .statistics import Estimate
from .sync_net import load_sync_net
from .truth import HeldOutClip, framed, held_out_clips, other_portraits

_SHEET_CLIPS = 4
_RECORDINGS = 2
_PEOPLE = 12  # heads whose mutual distance makes the scale of identity
# Expected seconds on two cores for a second of film: making it, and reading it and its truth.
_MAKING, _READING = 0.8, 0.6


@dataclass(frozen=True)
class EvaluationSettings:
    """data: folder with heldout/ clips. out: where report and sheets go, None for nowhere.

    minute_seconds: length of the long film, 0 for none. real: whether to measure on photographs and recordings.
    photos: folder of photographs instead of those in installed packages. request: settings instead of the preset's.
    """

    data: Path
    out: Path | None = None
    preset: str = "nano"
    clips: int = 6
    seed: int = 7
    minute_seconds: float = 60.0
    real: bool = True
    photos: Path | None = None
    request: dict[str, Any] = field(default_factory=dict)


def evaluate_nano(settings: EvaluationSettings, on_progress: OnProgress | None = None) -> Report:
    """Make the films, measure them, write report and sheets; `on_progress(line)` is called with every line of progress.

    Raises:
        InputError: no clips, no photographs in the folder given, or packages for measuring are not installed.
    """
    bench = _Bench(settings, on_progress)
    report = Report(about=_about(settings, bench.clips))
    drawn, scale = _measure_clips(bench, report)
    if settings.minute_seconds > 0:
        drawn += _measure_minute(bench, report, scale)
    if settings.real:
        drawn += _measure_real(bench, report)
    report.notes = _notes(settings, len(bench.photos), len(bench.recordings))
    report.about["seconds"] = round(bench.clock.elapsed)
    if settings.out is not None:
        report.about["sheets"] = ", ".join(path.name for path in drawn)
        report.write(settings.out)
    return report


class _Bench:
    """What every part of the measurement uses: clips, photographs, recordings, networks, films' maker, clock."""

    def __init__(self, settings: EvaluationSettings, on_progress: OnProgress | None) -> None:
        self.settings = settings
        self.clips = [framed(clip) for clip in held_out_clips(settings.data, settings.clips)]
        self.photos = photos(settings.photos) if settings.real else []
        self.recordings = recordings()[:_RECORDINGS] if settings.real and can_align() else []
        self.embedder, self.net = FaceEmbedder().load(), load_sync_net()
        keep = None if settings.out is None else settings.out / "films"
        self.studio = Studio(settings.preset, settings.seed, keep, **settings.request)
        self.clock = Clock(_plan(settings, self.clips, len(self.photos), len(self.recordings)), on_progress)


def _plan(
    settings: EvaluationSettings, clips: list[HeldOutClip], num_photos: int, num_recordings: int
) -> list[tuple[str, float]]:
    one = clips[0].num_frames / 25
    steps = [(f"clip {number + 1} of {len(clips)}", one * (_MAKING + 2 * _READING)) for number in range(len(clips))]
    steps += [("people", 4.0), ("figures of the clips", 4.0 * len(clips))]
    if settings.minute_seconds > 0:
        steps += [("the long film", settings.minute_seconds * _MAKING), ("figures of the long film", 15.0)]
    if settings.real:
        num_films = num_photos + num_photos * num_recordings + num_recordings
        steps += [(f"real film {number + 1} of {num_films}", one * (_MAKING + _READING)) for number in range(num_films)]
        steps += [("figures of the real films", 10.0)] if num_films else []
    return steps


def _measure_clips(bench: _Bench, report: Report) -> tuple[list[Path], IdentityScale]:
    """Every clip's speech said by its own portrait, and the true renders."""
    clips, out = bench.clips, bench.settings.out
    films, own, true = [], [], []
    for number, clip in enumerate(clips):
        bench.clock.begin(f"clip {number + 1} of {len(clips)}")
        films.append(bench.studio.film(clip.source, clip.audio, f"clip-{clip.number}"))
        own.append(read_pictures(films[-1].frames))
        true.append(read_pictures(clip.video))
    bench.clock.begin("people")
    scale = _identity_scale(bench)
    bench.clock.begin("figures of the clips")
    measured = [
        measure_clip(films[i], clip, own[i], true[i], [other for other in clips if other is not clip], bench.net)
        for i, clip in enumerate(clips)
    ]
    report.figures += clip_figures(measured, [clip.language for clip in clips])
    report.clips = [clip_row(clip, one) for clip, one in zip(clips, measured, strict=True)]
    report.figures += identity_figures(bench.embedder, scale, films, clips)
    report.figures += frechet_figures(bench.net, bench.embedder, films, clips, own, true)
    report.figures += _product_figures(films[0])
    if out is None:
        return [], scale
    some = slice(_SHEET_CLIPS)
    return phoneme_sheet(films[some], clips[some], true[some], out) + blink_sheet(films, clips, true, out), scale


def _identity_scale(bench: _Bench) -> IdentityScale:
    portraits = other_portraits(bench.settings.data, _PEOPLE)
    people = [found for portrait in portraits if (found := bench.embedder.embed(portrait)) is not None]
    return identity_scale(people, [bench.embedder.embed_some(clip.video, 8) for clip in bench.clips])


def _measure_minute(bench: _Bench, report: Report, scale: IdentityScale) -> list[Path]:
    """One long film of one face."""
    out = bench.settings.out
    bench.clock.begin("the long film")
    speech = long_speech(bench.clips, bench.settings.minute_seconds)
    film = bench.studio.film(speech.portrait, speech.samples, "minute")
    bench.clock.begin("figures of the long film")
    figures, report.curves = minute_figures(film, speech, bench.embedder, scale)
    report.figures += figures
    return [] if out is None else border_sheet(film, out) + minute_sheet(film, speech.portrait, out)


def _measure_real(bench: _Bench, report: Report) -> list[Path]:
    """Each photograph with held-out and with real speech, and rendered heads with real speech."""
    clips, out = bench.clips, bench.settings.out
    wanted: list[tuple[np.ndarray, Photo | None, Recording | None, HeldOutClip]] = []
    for number, photo in enumerate(bench.photos):
        clip, picture = clips[number % len(clips)], photo.read()
        wanted += [(picture, photo, recording, clip) for recording in (None, *bench.recordings)]
    wanted += [(clip.portrait, None, recording, clip) for recording, clip in zip(bench.recordings, clips)]
    if not wanted:
        return []
    films: list[RealFilm] = []
    for number, (picture, photo, recording, clip) in enumerate(wanted):
        bench.clock.begin(f"real film {number + 1} of {len(wanted)}")
        films.append(real_film(bench.studio, picture, photo, recording, clip))
    bench.clock.begin("figures of the real films")
    report.figures += real_figures(films, clips, bench.net, bench.embedder)
    report.sources = [f"{one.name}: {one.credit}" for one in (*bench.photos, *bench.recordings)]
    return [] if out is None else real_sheet(films, out)


def _product_figures(film: Film) -> list[Figure]:
    """What is shipped and delivered."""

    def alone(value: float) -> Estimate:
        return Estimate(float(value), float("nan"), float("nan"), 1)

    folder = get_spec("nano").weights_dir(None)
    megabytes = sum(path.stat().st_size for path in folder.rglob("*.safetensors")) / 1e6
    return [
        Figure("resolution", "Product", "height of the film, pixels", alone(film.frames.shape[1]), must=at_least(256)),
        Figure("weights", "Product", "shipped weights, MB", alone(megabytes), must=at_most(60), aim=at_most(25)),
    ]


def _about(settings: EvaluationSettings, clips: list[HeldOutClip]) -> dict:
    return {
        "model": "nano",
        "preset": settings.preset,
        "seed": settings.seed,
        **{name: value if isinstance(value, (int, float)) else str(value) for name, value in settings.request.items()},
        "clips": len(clips),
        "heads": len({clip.head for clip in clips}),
        "voices": ", ".join(dict.fromkeys(clip.voice for clip in clips)),
        "languages": ", ".join(dict.fromkeys(clip.language for clip in clips)),
        "seconds of film": round(sum(clip.num_frames for clip in clips) / 25, 1),
        "machine": platform.machine(),
    }


def _notes(settings: EvaluationSettings, num_photos: int, num_recordings: int) -> list[str]:
    notes = [
        "Intervals are 95 % bootstrap intervals over clips unless another unit is given; one minute of film "
        "is one sample of a film, whatever its frames say.",
        "Openness and eyes: mediapipe's refined face mesh, frame by frame. Identity: dlib's face embedding; similarity "
        "(D - d) / (D - S) with D between different held-out people and S between halves of one true clip.",
        "For Fréchet distances the column of true renders is the distance between the halves of the true clips.",
        "The studio sync score is an own small network trained on synthetic clips; it is not LSE-C and LSE-D.",
    ]
    if settings.real and num_photos == 0:
        notes.append("No photographs were found; install scikit-image or give --photos DIR.")
    if settings.real and num_recordings == 0:
        notes.append("No real speech: it needs Debian's packages pocketsphinx-testdata and espeak-ng.")
    if settings.real and num_recordings:
        notes.append(
            "Real speech has no true jaw: the curve follows from its text, espeak-ng's phoneme times and dynamic time "
            "warping; how well that agrees with the truth where it is known is given with it."
        )
    return notes
