"""Which frames, which audio and which reference each chunk uses, decided in integers and without torch.

A chunk is 81 frames at 25 fps. Every chunk but the first begins with 9 context frames, the last 9 of its predecessor,
so each adds 72 new ones (paper section 3.2; official `generate_infinitetalk`). Chunk k covers film frames
[72 k, 72 k + 81) and takes source frame 72 k as its reference unless a keyframe says otherwise. At a cut of the source
counting begins anew, without context frames.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..config.constants import FRAMES_PER_SECOND, VAE_TEMPORAL_STRIDE
from ..config.request import Guide, Keyframe, ReferencePlacement, ShortSource

NUM_CHUNK_FRAMES = 81
NUM_CONTEXT_FRAMES = 9
NUM_NEW_FRAMES = NUM_CHUNK_FRAMES - NUM_CONTEXT_FRAMES  # 72 = 2.88 s


def num_latent_frames(num_frames: int) -> int:
    """81 -> 21, 9 -> 3, 1 -> 1: the first frame stands alone, then groups of four."""
    return 1 + (num_frames - 1) // VAE_TEMPORAL_STRIDE


def num_film_frames(seconds: float) -> int:
    """Frames of a film exactly as long as `seconds` of speech, to the nearest frame and never none."""
    return max(1, round(seconds * FRAMES_PER_SECOND))


def frame_at(film_seconds: float) -> int:
    """The film frame shown at an instant; a frame's own start time, such as 81 / 25, belongs to it despite rounding."""
    return math.floor(film_seconds * FRAMES_PER_SECOND + 1e-6)


@dataclass(frozen=True)
class Reference:
    """The picture that guides a chunk: an instant of the source, or a keyframe's own picture."""

    source_seconds: float
    image: str | None = None
    keyframe_index: int | None = None  # into the request's keyframes; None = the default reference


@dataclass(frozen=True)
class Chunk:
    """One stretch. Frame numbers count film frames at 25 fps; `stop` is exclusive.

    start_frame .. start_frame + num_frames: what the network generates, and whose audio it takes.
    new_start_frame .. new_stop_frame: what is kept, clipped to the film.
    prompt: its own, None for the film's. reference_placement: its own or the film's, None where it is as published.
    second: the picture for the chunk's end, where it has two references; a chunk that goes on after its shot has one.
    second_if_far: None, or true: only where the source's camera turns out to move far within the chunk.
    control_strength: factor of the strengths of pose and camera networks, None where it is 1.
    """

    index: int
    start_frame: int
    num_frames: int
    num_context_frames: int
    new_start_frame: int
    new_stop_frame: int
    reference: Reference
    prompt: str | None = None
    reference_placement: ReferencePlacement | None = None
    second: Reference | None = None
    control_strength: float | None = None
    second_if_far: bool | None = None

    @property
    def control_factor(self) -> float:
        """Of the strengths of pose and camera networks."""
        return 1.0 if self.control_strength is None else self.control_strength

    @property
    def stop_frame(self) -> int:
        return self.start_frame + self.num_frames

    @property
    def opens_shot(self) -> bool:
        """Whether nothing before it is looked back at: the film's first chunk, or the first after a cut."""
        return self.num_context_frames == 0

    @property
    def num_new_frames(self) -> int:
        return self.new_stop_frame - self.new_start_frame

    @property
    def start_seconds(self) -> float:
        return self.new_start_frame / FRAMES_PER_SECOND

    @property
    def stop_seconds(self) -> float:
        return self.new_stop_frame / FRAMES_PER_SECOND

    @property
    def kept(self) -> slice:
        """The new frames among the chunk's generated ones."""
        return slice(self.new_start_frame - self.start_frame, self.new_stop_frame - self.start_frame)


def num_chunks(num_frames: int) -> int:
    """Chunks needed to cover a film: 1..81 frames -> 1, 82..153 -> 2, and one more per 72."""
    return 1 + max(0, math.ceil((num_frames - NUM_CHUNK_FRAMES) / NUM_NEW_FRAMES))


def reference_seconds(film_seconds: float, source_seconds: float, short_source: ShortSource) -> float:
    """The instant of the source shown at `film_seconds` when the source may be shorter than the film.

    hold: its last frame stays. ping-pong: it runs backwards, then forwards again. A still picture has infinite length.
    """
    if film_seconds < source_seconds or math.isinf(source_seconds):
        return film_seconds
    last = max(0.0, source_seconds - 1 / FRAMES_PER_SECOND)
    if short_source == "ping-pong" and last > 0:
        phase = math.fmod(film_seconds, 2 * last)
        return phase if phase <= last else 2 * last - phase
    return last


def film_cuts(
    source_cuts: Sequence[float], num_frames: int, source_seconds: float, short_source: ShortSource
) -> tuple[int, ...]:
    """Film frames that show another shot of the source than the frame before, whichever way the source runs.

    source_cuts: the instants (seconds) at which shots begin in the source, in order.
    """
    if not source_cuts:
        return ()
    shots = [
        bisect.bisect_right(source_cuts, reference_seconds(i / FRAMES_PER_SECOND, source_seconds, short_source) + 1e-6)
        for i in range(num_frames)
    ]
    return tuple(i for i in range(1, num_frames) if shots[i] != shots[i - 1])


def plan_chunks(
    num_frames: int,
    *,
    source_seconds: float = math.inf,
    keyframes: Sequence[Keyframe] = (),
    short_source: ShortSource = "hold",
    cut_frames: Sequence[int] = (),
    reference_placement: ReferencePlacement = "edge",
    guides: Sequence[Guide] = (),
    trim_last: bool = False,
    num_chunk_frames: int = NUM_CHUNK_FRAMES,
    num_context_frames: int = NUM_CONTEXT_FRAMES,
) -> tuple[Chunk, ...]:
    """The chunks of a film of `num_frames` frames.

    A keyframe at time t guides the chunk that adds the frame shown at t; of several in one chunk the first one does.
    `cut_frames` are the first frames of new shots: no chunk's kept frames cross one, and the chunk that opens a shot
    has no context. With `trim_last` a shot's last chunk is only as long as it needs (4 n + 1 frames), for models that
    can do that.
    """
    assert num_frames >= 1 and num_chunk_frames > num_context_frames > 0, (num_frames, num_chunk_frames)
    num_new_frames = num_chunk_frames - num_context_frames
    edges = [0, *sorted({cut for cut in cut_frames if 0 < cut < num_frames}), num_frames]
    spans = []
    for shot_start, shot_stop in itertools.pairwise(edges):
        count = 1 + max(0, math.ceil((shot_stop - shot_start - num_chunk_frames) / num_new_frames))
        for k in range(count):
            start = shot_start + k * num_new_frames
            needed = _whole_groups(shot_stop - start) if trim_last else num_chunk_frames
            num_context = num_context_frames if k else 0
            kept = (start + num_context, min(start + num_chunk_frames, shot_stop))
            spans.append((start, min(num_chunk_frames, needed), num_context, kept, (shot_start, shot_stop)))

    starts = [kept_start for _, _, _, (kept_start, _), _ in spans]
    pins: dict[int, int] = {}
    for i, keyframe in enumerate(keyframes):
        frame = min(frame_at(keyframe.time_seconds), num_frames - 1)
        pins.setdefault(bisect.bisect_right(starts, frame) - 1, i)

    chunks = []
    for k, (start, length, num_context, (kept_start, kept_stop), shot) in enumerate(spans):
        prompt, own, control_strength = _guided((kept_start + kept_stop) / 2 / FRAMES_PER_SECOND, guides)
        chunk_reference_placement = own or reference_placement
        if k in pins:
            pin = keyframes[pins[k]]
            instant = reference_seconds(pin.source_seconds or 0.0, source_seconds, "hold")  # never past the source
            reference = Reference(instant, pin.image, pins[k])
        else:
            frame = reference_frame(start, (kept_start, kept_stop), shot, chunk_reference_placement)
            reference = Reference(reference_seconds(frame / FRAMES_PER_SECOND, source_seconds, short_source))
        own = None if chunk_reference_placement in ("auto", "edge") else chunk_reference_placement
        second = None
        # The network takes it for the last frame it makes; where film or shot stop sooner, none is known for that.
        reaches_end = start + length - kept_stop < VAE_TEMPORAL_STRIDE
        if chunk_reference_placement in ("auto", "ends") and reaches_end and not math.isinf(source_seconds):
            second = Reference(reference_seconds((kept_stop - 1) / FRAMES_PER_SECOND, source_seconds, short_source))
        if_far = True if second is not None and chunk_reference_placement == "auto" else None
        chunks.append(Chunk(k, start, length, num_context, kept_start, kept_stop, reference, prompt, own, second,
                            control_strength, if_far))  # fmt: skip
    return tuple(chunks)


def reference_frame(
    start: int, kept: tuple[int, int], shot: tuple[int, int], reference_placement: ReferencePlacement
) -> int:
    """The film frame whose place in the source gives a chunk its reference.

    start: the chunk's first frame. kept: its new frames. shot: the frames of its shot, which the reference never
    leaves; where the shot has nothing outside the chunk, its first frame is taken.
    """
    if reference_placement == "inside":
        return (kept[0] + kept[1]) // 2
    if reference_placement == "adjacent":
        if start > shot[0]:
            return max(shot[0], start - FRAMES_PER_SECOND)
        if kept[1] < shot[1]:
            return min(kept[1] - 1 + FRAMES_PER_SECOND, shot[1] - 1)
    return start


def _guided(
    middle_seconds: float, guides: Sequence[Guide]
) -> tuple[str | None, ReferencePlacement | None, float | None]:
    """Prompt, reference placement and factor of control strength of the chunk with this middle."""
    here = [guide for guide in guides if guide.start_seconds <= middle_seconds < guide.stop_seconds]
    prompt = placement = strength = None
    for guide in here:  # the last one that says something counts
        prompt = guide.prompt if guide.prompt is not None else prompt
        placement = guide.reference_placement if guide.reference_placement is not None else placement
        strength = guide.control_strength if guide.control_strength is not None else strength
    return prompt, placement, strength


def _whole_groups(num_frames: int) -> int:
    """The smallest 4 n + 1 that is at least `num_frames`, n at least 1: the first latent frame alone is the context."""
    return 1 + VAE_TEMPORAL_STRIDE * max(1, math.ceil((num_frames - 1) / VAE_TEMPORAL_STRIDE))
