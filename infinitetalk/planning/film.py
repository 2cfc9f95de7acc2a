"""What a request comes to before any weight is read: inputs opened and checked, chunks, cost, notes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ..checkpoints.catalogue import check_loras, weights_note
from ..config.constants import FRAMES_PER_SECOND
from ..config.request import GenerationRequest
from ..config.settings import Settings
from ..errors import InputError
from ..media.decoding import Damage
from ..media.film_scan import FilmScan
from ..media.probe import probe
from ..media.soundtrack import BackgroundTrack, Soundtrack
from ..media.video import open_source
from ..models.specs import ModelSpec, get_spec
from .checks import base_name, check_length, check_request
from .chunks import Chunk, film_cuts, num_film_frames, plan_chunks, reference_seconds
from .estimate import estimate
from .facts import Features, SourceFacts
from .references import faceless_note, good_instant, with_good_references
from .sources import face_or_centre, frame_source, generated_size, has_sound, output_rate, output_size, source_scan
from .voices import Voice, read_voices, speech_seconds

if TYPE_CHECKING:
    from ..media.faces import Square
    from ..media.video import Source

__all__ = ["Film", "FilmPlan", "SourceFacts", "Voice", "generated_size", "prepare"]


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
            notes += "" if chunk.control_strength is None else f", control strength times {chunk.control_strength:g}"
            span = f"{chunk.start_seconds:8.2f} to {chunk.stop_seconds:8.2f} s"
            lines.append(f"  {chunk.index:4d}  {span}  {picture}{notes}")
        return "\n".join(lines + [f"Note: {warning}" for warning in self.warnings])


@dataclass(frozen=True)
class Film:
    """A checked request with its inputs open. `square` is the cut of the source, None for the whole picture."""

    request: GenerationRequest
    spec: ModelSpec
    plan: FilmPlan
    source: Source
    voices: tuple[Voice, ...]
    square: Square | None
    scan: FilmScan

    def of(self, request: GenerationRequest) -> Film:
        """The same film for a request that names copies of the same files (`jobs.JobFolder.create`)."""
        return replace(self, request=request)

    def source_seconds(self, frame: int) -> float:
        """The instant of the source that is seen at a frame of the film."""
        return reference_seconds(frame / FRAMES_PER_SECOND, self.source.duration_seconds, self.request.short_source)

    def opening_chunk(self, chunk: Chunk) -> Chunk:
        """The first chunk of its shot."""
        return next(each for each in reversed(self.plan.chunks[: chunk.index + 1]) if each.opens_shot)

    def shot_square(self, chunk: Chunk) -> Square | None:
        """The cut of the source in the chunk's shot: another shot has its face in another place."""
        opening = self.opening_chunk(chunk)
        if self.square is None or opening.index == 0:
            return self.square
        instant = good_instant(
            self.scan, self.source_seconds(opening.start_frame), self.source.duration_seconds
        )  # fmt: skip
        return face_or_centre(self.source.frame_at(instant))

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


def prepare(request: GenerationRequest, features: Features = (), workdir: str | None = None) -> Film:
    """Open and check everything that `request` names.

    Args:
        features: the stages, whose own choices are checked and whose cost is counted (`stages.prepare_film`).
        workdir: where long sounds are kept while the film is made.

    Raises:
        UserError: in the user's words, for whatever cannot be used.
    """
    settings = request.resolve()
    spec = get_spec(settings.model)
    notes = check_loras(settings.loras, spec, request.checkpoints_dir)
    if note := weights_note(spec, request.checkpoints_dir, settings.quantization):
        notes.append(note)
    _check_stages(request, features)

    # 1. Sources and audio.
    source = open_source(request.source)
    voices, found = read_voices(request, workdir)
    duration, shorter = check_length(request, source, speech_seconds(voices))
    scan = source_scan(request, source, duration)
    first = good_instant(scan, 0.0, source.duration_seconds)
    size = output_size(settings, spec, source)
    facts = SourceFacts(settings, spec, source, duration, *size, request.checkpoints_dir, first)

    # 2. Checks.
    square, faces = frame_source(settings, source, request.composite, first)
    notes += found + shorter + check_request(request, facts)
    for feature in features:
        if feature.is_on(request):
            notes += feature.check(request, facts)
    notes += faces + source_notes(source, scan)

    # 3. Chunks and what they take.
    num_frames = num_film_frames(duration)
    cuts = scan.cuts
    edge = request.reference_placement == "auto" and not spec.second_reference
    chunks = plan_chunks(
        num_frames,
        source_seconds=source.duration_seconds,
        keyframes=request.keyframes,
        short_source=request.short_source,
        cut_frames=film_cuts(cuts, num_frames, source.duration_seconds, request.short_source),
        reference_placement="edge" if edge else request.reference_placement,
        guides=request.guides,
        trim_last=spec.any_length,
    )
    chunks, moved = with_good_references(chunks, scan, source.duration_seconds)
    notes += moved
    cost = estimate(request, facts, chunks, num_frames, features)
    plan = FilmPlan(
        settings=settings,
        chunks=chunks,
        num_frames=num_frames,
        duration_seconds=duration,
        width=facts.width,
        height=facts.height,
        cuts=cuts,
        warnings=(*notes, *cost.notes),
        memory_mb=cost.memory_mb,
        vram_mb=cost.vram_mb,
        tail_seconds=_tail_seconds(request, source, duration),
        frames_per_second=float(output_rate(request, source)),
        disk_mb=cost.disk_mb,
        seconds_low=cost.seconds_low,
        seconds_high=cost.seconds_high,
        first_chunk_seconds=cost.first_chunk_seconds,
    )
    return Film(request, spec, plan, source, voices, square, scan)


def source_notes(source: Source, scan: FilmScan) -> list[str]:
    """What to know of the source as a file."""
    notes = list(probe(source.path).notes) + faceless_note(scan)
    if scan.damaged:
        notes += Damage(scan.damaged, scan.damaged).notes(base_name(str(source.path)))
    return notes


def _check_stages(request: GenerationRequest, features: Features) -> None:
    """Raises InputError for a stage that does not exist."""
    known = {feature.name for feature in features}
    for name in request.stages:
        if features and name not in known:
            raise InputError(f"There is no stage {name!r}; known are {', '.join(sorted(known))}.")


def _tail_seconds(request: GenerationRequest, source: Source, duration: float) -> float:
    """Of a longer source, that follow as they are."""
    if request.long_source != "keep" or source.kind == "image":
        return 0.0
    tail = min(source.duration_seconds, request.max_seconds or math.inf) - duration
    return tail if tail >= 1 / FRAMES_PER_SECOND else 0.0
