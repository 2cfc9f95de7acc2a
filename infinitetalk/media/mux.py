"""The finished film: the segments' own pictures, copied, with the user's own sound."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import OutputContainer

from ..config.constants import FRAMES_PER_SECOND
from ..errors import OutputError
from .atomic import atomic_output, check_output
from .probe import open_container
from .soundtrack import Soundtrack
from .writer import closing_container, mp4_options

AAC_BLOCK = 1024  # samples of one AAC frame
AAC_BITS_PER_SAMPLE = 4  # and channel: 64 kbit/s for 16 kHz speech; transparent for speech at any rate
MAX_CHANNEL_BITS_PER_SECOND = 128_000


def mux_film(
    segments: Sequence[str | os.PathLike],
    sound: str | os.PathLike | Sequence[str | os.PathLike] | Soundtrack,
    duration_seconds: float,
    output: str | os.PathLike,
    *,
    start_seconds: Sequence[float] | None = None,
    metadata: Mapping[str, object] | None = None,
    rate: Fraction = Fraction(FRAMES_PER_SECOND),
) -> int:
    """Joins segments to one mp4 (H.264, AAC, index at the front) that lasts `duration_seconds`.

    The pictures are not encoded again; frames beyond round(25 · duration_seconds) are left out. The sound keeps its
    rate and its channels (mono, stereo or 5.1). Memory does not grow with length.

    Args:
        segments: files of one `SegmentWriter`, in order.
        sound: one or several sounds, mixed as `Soundtrack` describes.
        duration_seconds: of the speech.
        start_seconds: when each of several sounds begins; None: all at once.
        rate: frames per second of the segments.
        metadata: tags of the file ("title", "artist", "comment", …); what is no text is written as JSON.

    Returns:
        The number of frames written.

    Raises:
        OutputError: not named .mp4, not writable, disk full, or fewer frames than the sound is long. `output` is then
            as it was before.
        MediaError: a sound cannot be read.
    """
    output = check_film_path(output)
    num_frames = frames_of(duration_seconds, rate)
    soundtrack = sound if isinstance(sound, Soundtrack) else Soundtrack(sound, duration_seconds, start_seconds)
    with atomic_output(output) as partial:
        container = av.open(str(partial), "w", format="mp4", options=mp4_options(soundtrack.rate))
        with closing_container(container), open_container(Path(segments[0])) as first:
            template = first.streams.video[0]
            video = container.add_stream_from_template(template)
            video.time_base = template.time_base
            audio = _add_sound(container, soundtrack)
            for key, value in (metadata or {}).items():
                container.metadata[key] = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            parameters = template.codec_context.extradata
            written = 0
            blocks = _sound_blocks(soundtrack)
            sounded = 0
            for packet in _packets(segments, num_frames, parameters, rate):
                packet.stream = video
                container.mux_one(packet)
                written += 1
                # Picture and sound go in step, so that neither is kept in memory to wait for the other.
                while sounded * rate < written * soundtrack.rate:
                    if (block := next(blocks, None)) is None:
                        break
                    sounded += _encode(container, audio, block, sounded)
            for block in blocks:
                sounded += _encode(container, audio, block, sounded)
            container.mux(audio.encode(None))
            if written < num_frames:
                raise OutputError(
                    f"{output.name} was not written: the finished chunks hold {written} frames and the speech needs "
                    f"{num_frames}; finish the missing chunks first."
                )
    return num_frames


def frames_of(duration_seconds: float, rate: Fraction = Fraction(FRAMES_PER_SECOND)) -> int:
    """How many frames a film of this length has: the nearest whole number, at least one."""
    return max(1, round(duration_seconds * float(rate)))


def check_film_path(output: str | os.PathLike) -> Path:
    """`output` as a Path. Raises OutputError unless it is an .mp4 in a folder where this user may write."""
    output = Path(output)
    if output.suffix.lower() != ".mp4":
        raise OutputError(f"{output} does not end in .mp4, the only kind of film that is written; give it that ending.")
    check_output(output)
    return output


def read_metadata(path: str | os.PathLike) -> dict[str, str]:
    """The tags of a film. Raises MediaError if it cannot be opened."""
    with open_container(Path(path)) as container:
        return dict(container.metadata)


def _packets(
    segments: Sequence[str | os.PathLike], num_frames: int, parameters: bytes | None, rate: Fraction
) -> Iterator[av.Packet]:
    """The first `num_frames` video packets of all segments, on one clock."""
    index = 0
    for segment in segments:
        with open_container(Path(segment)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.extradata == parameters, f"{segment} was encoded with other settings"
            assert stream.time_base is not None
            step = 1 / rate / stream.time_base
            assert step.denominator == 1
            for packet in container.demux(stream):
                if packet.pts is None:  # the end of the file
                    continue
                if index >= num_frames:
                    return
                packet.pts = packet.dts = index * int(step)
                packet.duration = int(step)
                index += 1
                yield packet


def _add_sound(container: OutputContainer, soundtrack: Soundtrack) -> av.AudioStream:
    stream = container.add_stream("aac", rate=soundtrack.rate, layout=soundtrack.layout)
    stream.time_base = Fraction(1, soundtrack.rate)
    per_channel = min(MAX_CHANNEL_BITS_PER_SECOND, AAC_BITS_PER_SAMPLE * soundtrack.rate)
    stream.bit_rate = per_channel * soundtrack.num_channels
    return stream


def _sound_blocks(soundtrack: Soundtrack) -> Iterator[np.ndarray]:
    for start in range(0, soundtrack.num_samples, AAC_BLOCK):
        yield soundtrack.read(start, min(AAC_BLOCK, soundtrack.num_samples - start))


def _encode(container: OutputContainer, stream: av.AudioStream, block: np.ndarray, position: int) -> int:
    """Encodes float32 [channels, samples] that begins at sample `position`; returns its length."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", stream.codec_context.layout)
    frame.sample_rate = stream.rate
    frame.pts, frame.time_base = position, Fraction(1, stream.rate)
    container.mux(stream.encode(frame))
    return block.shape[1]
