"""Nano, measured through the public pipeline on people, voices, photographs and recordings it was never trained on.

    report = evaluate_nano(EvaluationSettings(data=Path("data"), out=Path("out")))

Held-out clips give a portrait, speech and everything that was true of it; see `clip_figures`. Their speech in a row
makes a film of a minute; see `minute`. Real photographs and recordings come from installed packages; see `real`.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from pathlib import Path

from ..models.specs import get_spec
from .clip_figures import clip_figures, clip_row, frechet_figures, identity_figures, measure_clip
from .films import Film, Studio
from .identity import FaceEmbedder, IdentityScale, identity_scale
from .minute import LongSpeech, long_speech, minute_figures
from .progress import Clock, Tell
from .reading import Reading, read_pictures
from .real import can_align, photos, recordings
from .real_figures import RealFilm, real_figures, real_film
from .report import Figure, Report, at_least, at_most
from .sheets import blink_sheet, border_sheet, minute_sheet, phoneme_sheet, real_sheet
from .statistics import Estimate
from .sync_net import load_sync_net
from .truth import HeldOutClip, held_out_clips, other_portraits

SHEET_CLIPS = 4
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
    request: dict[str, float] = field(default_factory=dict)


def evaluate_nano(settings: EvaluationSettings, tell: Tell | None = None) -> Report:
    """Make the films, measure them, write report and sheets; `tell(line)` hears about the progress.

    Raises:
        InputError: no clips, no photographs in the folder given, or packages for measuring are not installed.
    """
    embedder, net = FaceEmbedder().load(), load_sync_net()
    clips = held_out_clips(settings.data, settings.clips)
    pictures = photos(settings.photos) if settings.real else []
    spoken = recordings()[:2] if settings.real and can_align() else []
    clock = Clock(_plan(settings, clips, len(pictures), len(spoken)), tell)
    keep = None if settings.out is None else settings.out / "films"
    studio = Studio(settings.preset, settings.seed, keep, **settings.request)
    report = Report(about=_about(settings, clips))
    drawn: list[Path] = []

    films, own, true = _films(studio, clips, clock)
    clock.begin("people")
    scale = _scale(settings, embedder, clips)
    clock.begin("figures of the clips")
    measured = [
        measure_clip(film, clip, own[i], true[i], [other for other in clips if other is not clip], net)
        for i, (film, clip) in enumerate(zip(films, clips, strict=True))
    ]
    report.figures += clip_figures(measured, [clip.language for clip in clips])
    report.clips = [clip_row(clip, one) for clip, one in zip(clips, measured, strict=True)]
    report.figures += identity_figures(embedder, scale, films, clips)
    report.figures += frechet_figures(net, embedder, films, clips, own, true)
    if settings.out is not None:
        drawn += phoneme_sheet(films[:SHEET_CLIPS], clips[:SHEET_CLIPS], true[:SHEET_CLIPS], settings.out)
        drawn += blink_sheet(films, clips, true, settings.out)

    if settings.minute_seconds > 0:
        speech = long_speech(clips, settings.minute_seconds)
        film = _minute(studio, speech, clock)
        figures, report.curves = minute_figures(film, speech, embedder, scale)
        report.figures += figures
        if settings.out is not None:
            drawn += border_sheet(film, settings.out) + minute_sheet(film, speech.portrait, settings.out)
    if settings.real:
        shown = _real_films(studio, pictures, spoken, clips, clock)
        report.figures += real_figures(shown, clips, net, embedder)
        report.sources = [f"{one.name}: {one.credit}" for one in (*pictures, *spoken)]
        if settings.out is not None:
            drawn += real_sheet(shown, settings.out)
    report.figures += _product_figures(films[0])
    report.notes = _notes(settings, len(pictures), len(spoken))
    report.about["seconds"] = round(clock.elapsed)
    report.about["sheets"] = ", ".join(path.name for path in drawn)
    if settings.out is not None:
        report.write(settings.out)
    return report


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


def _films(
    studio: Studio, clips: list[HeldOutClip], clock: Clock
) -> tuple[list[Film], list[Reading], list[Reading]]:
    """Every clip's speech said by its own portrait; what the films show, and what the true renders show."""
    films, own, true = [], [], []
    for number, clip in enumerate(clips):
        clock.begin(f"clip {number + 1} of {len(clips)}")
        films.append(studio.film(clip.portrait, clip.audio, f"clip-{clip.number}"))
        own.append(read_pictures(films[-1].frames))
        true.append(read_pictures(clip.video))
    return films, own, true


def _scale(settings: EvaluationSettings, embedder: FaceEmbedder, clips: list[HeldOutClip]) -> IdentityScale:
    people = [found for one in other_portraits(settings.data, _PEOPLE) if (found := embedder.embed(one)) is not None]
    return identity_scale(people, [embedder.embed_some(clip.video, 8) for clip in clips])


def _minute(studio: Studio, speech: LongSpeech, clock: Clock) -> Film:
    clock.begin("the long film")
    film = studio.film(speech.portrait, speech.samples, "minute")
    clock.begin("figures of the long film")
    return film


def _real_films(studio: Studio, pictures, spoken, clips: list[HeldOutClip], clock: Clock) -> list[RealFilm]:
    """Each photograph with held-out and with real speech, and rendered heads with real speech."""
    wanted = []
    for number, photo in enumerate(pictures):
        clip = clips[number % len(clips)]
        wanted += [(photo.read(), photo, None, clip)] + [(photo.read(), photo, one, clip) for one in spoken]
    wanted += [(clip.portrait, None, one, clip) for one, clip in zip(spoken, clips)]
    films = []
    for number, (picture, photo, recording, clip) in enumerate(wanted):
        clock.begin(f"real film {number + 1} of {len(wanted)}")
        films.append(real_film(studio, picture, photo, recording, clip))
    if films:
        clock.begin("figures of the real films")
    return films


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
        **settings.request,
        "clips": len(clips),
        "heads": len({clip.head for clip in clips}),
        "voices": ", ".join(dict.fromkeys(clip.voice for clip in clips)),
        "languages": ", ".join(dict.fromkeys(clip.language for clip in clips)),
        "seconds of film": round(sum(clip.num_frames for clip in clips) / 25, 1),
        "machine": platform.machine(),
    }


def _notes(settings: EvaluationSettings, num_photos: int, num_recordings: int) -> list[str]:
    notes = [
        "Intervals are 95 % bootstrap intervals over clips unless another unit stands beside them; one minute of film "
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
            "warping; how well that agrees with the truth where it is known is given beside it."
        )
    return notes


