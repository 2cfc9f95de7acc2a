"""What a request comes to before any weight is read: inputs opened and checked, chunks, cost, warnings."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..audio.arrangement import Placement, place_speakers
from ..checkpoints.catalogue import check_controls, check_loras, weights_note
from ..config.constants import FRAMES_PER_SECOND
from ..config.request import Composite, GenerationRequest, Settings
from ..errors import InputError, PresetError
from ..media.audio import SPEECH_RATE, load_speech_16k, sound_warnings
from ..media.buckets import BUCKETS
from ..media.framing import choose_bucket
from ..media.images import load_image
from ..media.probe import probe
from ..media.retime import rate_of
from ..media.soundtrack import BackgroundTrack, Soundtrack
from ..media.video import open_source
from ..models.specs import ModelSpec, get_spec
from ..runtime.machine import this_machine
from ..runtime.memory import needs_of, shortfalls
from ..runtime.timing import estimate_chunk_seconds
from ..stages.camera import check_camera
from ..stages.compositing import check_lock, first_point
from ..stages.pose import check_pose
from ..stages.redraw import check_head, redraw_seconds
from .chunks import NUM_CHUNK_FRAMES, Chunk, film_cuts, num_film_frames, plan_chunks

if TYPE_CHECKING:
    import numpy as np

    from ..media.faces import Square
    from ..media.video import Source

_SEGMENT_KB_PER_FRAME = 6.0  # of a 256-pixel segment at its quality, sound included; measured on nano's films
_SHAPES_AGREE = 1.25  # ratio of two aspects up to which a crop takes little away
_LOW, _HIGH = 0.7, 1.6  # of the estimated time: other programs, other clip lengths


@dataclass(frozen=True)
class FilmPlan:
    """What a film will be and take.

    vram_mb: peak on the card, 0 without one. memory_mb: peak of the whole process; 0 where it is not known.
    seconds_low, seconds_high, first_chunk_seconds: 0 for a model that was never timed on this machine.
    """

    settings: Settings
    chunks: tuple[Chunk, ...]
    num_frames: int
    duration_seconds: float
    width: int
    height: int
    cuts: tuple[float, ...]  # seconds of the source
    warnings: tuple[str, ...]
    memory_mb: float
    disk_mb: float
    seconds_low: float
    seconds_high: float
    first_chunk_seconds: float
    vram_mb: float = 0.0
    frames_per_second: float = FRAMES_PER_SECOND  # of the finished film; chunks always count 25
    tail_seconds: float = 0.0  # of the source, that follow as they are; not among num_frames

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def describe(self) -> str:
        """A few lines for a terminal."""
        lines = [
            f"{self.duration_seconds:.2f} s of film, {self.num_frames} frames of {self.width} x {self.height}, "
            f"{len(self.chunks)} chunk{'s' if len(self.chunks) > 1 else ''}",
            f"about {self.seconds_low:.0f} to {self.seconds_high:.0f} s of work, first chunk after about "
            f"{self.first_chunk_seconds:.0f} s"
            if self.seconds_high
            else "how long it takes is known once this model has made a chunk on this machine",
            (f"{self.vram_mb:.0f} MB on the card, " if self.vram_mb else "")
            + f"{self.memory_mb:.0f} MB of memory, {self.disk_mb:.0f} MB of disk",
        ]
        if self.frames_per_second != FRAMES_PER_SECOND:
            lines.append(f"written with {self.frames_per_second:.2f} frames a second, as the source has")
        if self.tail_seconds:
            lines.append(f"then {self.tail_seconds:.2f} s of the source as it is")
        for chunk in self.chunks:
            reference = chunk.reference
            frame = round(reference.source_seconds * FRAMES_PER_SECOND)
            picture = reference.image or f"source at {reference.source_seconds:.2f} s (frame {frame} at 25 a second)"
            notes = "" if reference.keyframe_index is None else ", keyframe"
            notes += "" if chunk.reference_placement is None else f", {chunk.reference_placement}"
            if chunk.second is not None:
                notes += f" with {chunk.second.source_seconds:.2f} s at its end"
                notes += " if the camera moves far" if chunk.second_if_far else ""
            notes += "" if chunk.prompt is None else f", {chunk.prompt!r}"
            notes += "" if chunk.steering is None else f", steered {chunk.steering:g} times"
            span = f"{chunk.start_seconds:8.2f} to {chunk.stop_seconds:8.2f} s"
            lines.append(f"  {chunk.index:4d}  {span}  {picture}{notes}")
        return "\n".join(lines + [f"Note: {warning}" for warning in self.warnings])


@dataclass(frozen=True)
class Voice:
    """One speaker's sound, float32 mono at 16 kHz, and its place in the film in samples of it."""

    samples: np.ndarray
    placement: Placement

    @property
    def start_seconds(self) -> float:
        return self.placement.start / SPEECH_RATE


@dataclass(frozen=True)
class Film:
    """A checked request with its inputs open. `square` is the cut of the source, None for the whole picture."""

    request: GenerationRequest
    spec: ModelSpec
    plan: FilmPlan
    source: Source
    voices: tuple[Voice, ...]
    square: Square | None

    def soundtrack(self, duration_seconds: float | None = None) -> Soundtrack:
        """The sound that the film will carry, or that of its first seconds."""
        request, plan = self.request, self.plan
        background_track = None
        if (request.background or plan.tail_seconds) and has_sound(self.source):
            alone_from = plan.duration_seconds if plan.tail_seconds else math.inf
            background_track = BackgroundTrack(self.source.path, request.background, alone_from)
        return Soundtrack(
            [speaker.audio for speaker in request.speakers],
            plan.duration_seconds + plan.tail_seconds if duration_seconds is None else duration_seconds,
            [voice.start_seconds for voice in self.voices],
            background_track,
        )


def output_rate(request: GenerationRequest, source: Source) -> Fraction:
    """Frames per second of the finished film."""
    return rate_of(probe(source.path).fps if request.output_rate == "source" and source.kind != "image" else None)


def has_sound(source: Source) -> bool:
    """Whether the source is a film with a sound track."""
    return source.kind != "image" and probe(source.path).sample_rate > 0


def prepare(request: GenerationRequest, workdir: str | None = None) -> Film:
    """Open and check everything that `request` names.

    Raises:
        UserError: in the user's words, for whatever cannot be used.
    """
    settings = request.resolve()
    spec = get_spec(settings.model)
    warnings = check_loras(settings.loras, spec, request.checkpoints_dir)
    if note := weights_note(spec, request.checkpoints_dir, settings.quantization):
        warnings.append(note)
    source = open_source(request.source)

    samples = [load_speech_16k(speaker.audio, workdir) for speaker in request.speakers]
    for speaker, signal in zip(request.speakers, samples, strict=True):
        warnings += sound_warnings(signal, _name(speaker.audio))
    placements = place_speakers([len(signal) for signal in samples], request.arrangement)
    voices = tuple(Voice(signal, place) for signal, place in zip(samples, placements, strict=True))
    speech_seconds = placements[0].total / SPEECH_RATE
    duration = speech_seconds if request.max_seconds is None else min(speech_seconds, request.max_seconds)
    if duration > source.duration_seconds:
        if request.short_source == "stop":
            duration = source.duration_seconds
        ending = {
            "hold": "its last picture then stays",
            "ping-pong": "it then runs backwards and forwards",
            "stop": "the film stops there",
        }[request.short_source]
        warnings.append(
            f"The source lasts {source.duration_seconds:.1f} s and the speech {speech_seconds:.1f} s; {ending}."
        )
    tail = 0.0
    if request.long_source == "keep" and source.kind != "image":
        tail = max(0.0, min(source.duration_seconds, request.max_seconds or math.inf) - duration)
        tail = tail if tail >= 1 / FRAMES_PER_SECOND else 0.0
    if request.background and not has_sound(source):
        warnings.append("The source has no sound of its own, so there is nothing to keep under the speech.")
    if len(voices) > spec.num_speakers:
        warnings.append(f"{spec.title} animates one face; both voices move it.")
    prompts = [request.prompt, *(guide.prompt for guide in request.guides)]
    if any(prompts) and not spec.takes_prompt:
        warnings.append(f"{spec.title} reads no prompt; yours has no effect.")

    asked = {request.reference_placement, *(guide.reference_placement for guide in request.guides)} - {
        None,
        "auto",
        "edge",
    }
    if asked and source.kind == "image":
        warnings.append(
            f"The source is a picture, the same at every moment; {' and '.join(sorted(asked))} reference placement has no effect."
        )
    if "ends" in asked and source.kind != "image" and not spec.second_reference:
        warnings.append(f"{spec.title} has not learnt a second reference; its chunks take their first picture alone.")
    for guide in request.guides:
        if guide.start_seconds >= duration:
            raise InputError(
                f"A guide starts at {guide.start_seconds:g} s but the film lasts {duration:.2f} s; move it or "
                "remove it."
            )

    warnings += check_camera(request, source, spec, duration)
    warnings += check_pose(request, source, duration)
    warnings += check_lock(request, source)
    warnings += _check_controls(request, settings, spec)
    warnings += check_head(request, source, duration)
    if request.head is not None and spec.moves_head:
        warnings.append(f"{spec.title} moves the head by itself; yours is laid over that.")
    square, found = _frame(settings, source, request.composite)
    warnings += found
    for keyframe in request.keyframes:
        if keyframe.time_seconds >= duration:
            raise InputError(
                f"A keyframe stands at {keyframe.time_seconds:g} s but the film lasts {duration:.2f} s; move it or "
                "remove it."
            )
        if keyframe.image is not None and settings.framing == "whole":
            warnings += _shape_warning(keyframe.image, load_image(keyframe.image).shape, source)
        elif keyframe.image is not None:
            load_image(keyframe.image)  # a damaged one is told now

    num_frames = num_film_frames(duration)
    cuts = source_cuts(request, source, duration)
    chunks = plan_chunks(
        num_frames,
        source_seconds=source.duration_seconds,
        keyframes=request.keyframes,
        short_source=request.short_source,
        cut_frames=film_cuts(cuts, num_frames, source.duration_seconds, request.short_source),
        reference_placement="edge"
        if request.reference_placement == "auto" and not spec.second_reference
        else request.reference_placement,
        guides=request.guides,
        trim_last=spec.any_length,
    )
    height, width = output_size(settings, spec, source)
    size = generated_size(settings, spec, source)
    needs = needs_of(spec, settings, *size, speakers=len(voices), controls=request.controls)
    warnings += shortfalls(needs, this_machine(), settings)
    chunk_seconds = estimate_chunk_seconds(spec, settings)
    work = chunk_seconds * sum(chunk.num_frames for chunk in chunks) / NUM_CHUNK_FRAMES
    again = redraw_seconds(request, duration, height, width)
    plan = FilmPlan(
        settings=settings,
        chunks=chunks,
        num_frames=num_frames,
        duration_seconds=duration,
        width=width,
        height=height,
        cuts=cuts,
        warnings=tuple(warnings),
        memory_mb=needs.ram_mb,
        vram_mb=needs.vram_mb,
        tail_seconds=tail,
        frames_per_second=float(output_rate(request, source)),
        disk_mb=2 * num_frames * _SEGMENT_KB_PER_FRAME * (width * height) / 256**2 / 1024 + 0.2 * len(chunks),
        seconds_low=_LOW * (work + again) if work else 0.0,
        seconds_high=_HIGH * (work + again) if work else 0.0,
        first_chunk_seconds=(
            chunk_seconds * chunks[0].num_frames / NUM_CHUNK_FRAMES + again * chunks[0].num_new_frames / num_frames
            if work
            else 0.0
        ),
    )
    return Film(request, spec, plan, source, voices, square)


def source_cuts(request: GenerationRequest, source: Source, film_seconds: float) -> tuple[float, ...]:
    """The instants, in seconds of the source, at which its shots begin: as asked for, else as found in its pictures."""
    if request.cuts is not None or source.kind == "image":
        return request.cuts or ()
    from ..media.cuts import remembered_cuts

    return remembered_cuts(source.path, min(film_seconds, source.duration_seconds))


def output_size(settings: Settings, spec: ModelSpec, source: Source) -> tuple[int, int]:
    """Height and width of the finished picture."""
    height, width = generated_size(settings, spec, source)
    return spec.decoder_upscale * height, spec.decoder_upscale * width


def generated_size(settings: Settings, spec: ModelSpec, source: Source) -> tuple[int, int]:
    """Height and width of what the network generates: the bucket nearest to the picture's shape."""
    shape = (1, 1) if settings.framing == "face" else (source.height, source.width)
    sizes = spec.sizes or BUCKETS
    if settings.size not in sizes:
        raise PresetError(f"{spec.title} has no size {settings.size!r}; choose one of {', '.join(sizes)}.")
    return choose_bucket(*shape, sizes[settings.size])


def _frame(settings: Settings, source: Source, lock: Composite | None) -> tuple[Square | None, list[str]]:
    """The cut of the source, and what to say about the faces in it."""
    from ..media.faces import centre_square, face_square, find_faces

    picture = source.frame_at(0.0)
    faces = find_faces(picture)
    if lock is not None and len(faces) > 1:
        x, y = first_point(picture, lock)
        column, row = x * picture.shape[1], y * picture.shape[0]
        faces.sort(key=lambda face: (face.column - column) ** 2 + (face.mouth_row - row) ** 2)
    warnings = []
    if not faces:
        warnings.append("No face was found in the source; the result may not move a mouth.")
    elif len(faces) > 1 and settings.framing == "face":
        which = "largest" if lock is None else "chosen"
        warnings.append(f"{len(faces)} faces were found; the {which} one is animated.")
    if settings.framing == "whole":
        return None, warnings
    return (face_square(faces[0]) if faces else centre_square(*picture.shape[:2])), warnings


def _check_controls(request: GenerationRequest, settings: Settings, spec: ModelSpec) -> list[str]:
    """What is to be said of the networks that steer from beside the model's.

    Raises:
        InputError: the model cannot be steered by them. CheckpointError: a file is damaged or for another model.
    """
    if not request.controls:
        return []
    for name in request.controls:
        if name not in spec.controls:
            raise InputError(
                f"{spec.title} has no network {name} beside it; choose one of {', '.join(spec.controls)}, or a preset "
                "of the 14B model."
            )
    if settings.framing != "whole" and spec.motion_region is None:
        raise InputError("Pose and camera networks see whole pictures; set framing to whole.")
    return check_controls(request.controls, spec, request.checkpoints_dir)


def _shape_warning(path: str, shape: tuple[int, ...], source: Source) -> list[str]:
    """What is said of a keyframe's picture that is much wider or taller than the film."""
    ratio = shape[1] / shape[0] / (source.width / source.height)
    if 1 / _SHAPES_AGREE < ratio < _SHAPES_AGREE:
        return []
    return [
        f"The picture {_name(path)} has {shape[1]} x {shape[0]} pixels and the source {source.width} x "
        f"{source.height}; of the picture only the middle is used."
    ]


def _name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]
