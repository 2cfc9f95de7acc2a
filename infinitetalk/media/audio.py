"""Any sound as float32 samples: streamed at its own rate, or whole at 16 kHz mono for the speech encoder."""

from __future__ import annotations

import math
import mmap
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import av.error
import numpy as np
from av.container import InputContainer

from ..errors import MediaError
from .decoding import Damage, decoded
from .limits import max_seconds
from .probe import audio_stream, check_seconds, decode_errors, open_container, require_sound, video_stream

SPEECH_RATE = 16_000
_LOUDEST = 100.0  # 40 dB above full scale; beyond it a floating-point file holds no sound
_CANCELLED = 0.01  # of the louder channel's power: what is left after mixing is not the speech
MIN_SPEECH_SAMPLES = SPEECH_RATE // 10  # 0.1 s: a sound without a single sample becomes this much silence
SPILL_SAMPLES = 60 * SPEECH_RATE  # longer speech is kept in a temporary file (memory-mapped), not in memory
SILENCE_DBFS = -60.0  # of the loudest tenth of a second; quieter than any room tone worth speaking in
QUIET_DBFS = -40.0
MIN_SPEECH_SECONDS = 0.3  # shorter than any word
UNFINISHED_WAV_SIZE = 0x7FFF0000  # recorders that cannot go back to the header write this or more
MAX_GAP_SECONDS = 0.1  # in the timestamps of a video's sound track; longer holes are filled with silence

_STANDARD_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


@dataclass(frozen=True)
class SoundFormat:
    """rate in Hz; channels: their names in FFmpeg's order ("FL", "FR", "FC", "LFE", …), one each."""

    rate: int
    channels: tuple[str, ...]


def sound_format(path: str | os.PathLike) -> SoundFormat:
    """The format in which `read_blocks` will deliver `path`. Raises MediaError as `require_sound` does."""
    info = require_sound(path)
    with open_container(info.path) as container:
        context = _sound_of(container).codec_context
        return SoundFormat(context.sample_rate, _channel_names(context.layout, context.channels))


def _sound_of(container: InputContainer) -> av.AudioStream:
    stream = audio_stream(container)
    assert stream is not None, "`require_sound` found it"
    return stream


def read_blocks(path: str | os.PathLike, damage: Damage | None = None) -> Iterator[np.ndarray]:
    """Decodes a sound from its beginning, at its own rate, a fraction of a second at a time.

    Encoder delay and padding are cut as the container says. The sound track of a video starts with the video: a late
    start and holes in it become silence.

    Args:
        damage: counts packets that cannot be decoded and are left out.

    Yields:
        float32 [channels, samples] in [-1, 1] (floating-point files may exceed it). Nothing if it has no samples.

    Raises:
        MediaError: not a sound, damaged, or cut short.
    """
    info = require_sound(path)
    with open_container(info.path) as container:
        stream = _sound_of(container)
        rate = stream.codec_context.sample_rate
        names = _channel_names(stream.codec_context.layout, stream.codec_context.channels)
        is_track = video_stream(container) is not None
        declared = _declared_samples(info.path, container, stream, rate)
        origin = _origin_seconds(container) if is_track else None
        position, most = 0, round(max_seconds() * rate)
        damage = Damage() if damage is None else damage
        for block, time_seconds in _decode(info.path, container, stream, rate, names, damage):
            if origin is not None and time_seconds is not None:
                missing = min(round((time_seconds - origin) * rate), most) - position
                if missing > (0 if position == 0 else MAX_GAP_SECONDS * rate):
                    yield from _silence(missing, len(names), rate)
                    position += missing
            if declared is not None and container.format.name.startswith("mov"):
                # FFmpeg skips an AAC encoder's delay by itself but not its padding at the end.
                block = block[:, : max(0, declared - position)]
            position += block.shape[1]
            check_seconds(info.path, position / rate)
            if block.shape[1]:
                yield block
        if declared is not None and not is_track:
            damage.missing_seconds = max(0.0, (declared - position) / rate)
        if declared is not None and not is_track and position < declared - max(0.25 * rate, 0.02 * declared):
            raise MediaError(
                f"{info.path.name} is cut short: it promises {declared / rate:.1f} seconds and holds "
                f"{position / rate:.1f}; copy or export it again."
            )


class Resampler:
    """Changes the sample rate of a stream of blocks [channels, samples]; the whole comes out as long as it went in."""

    def __init__(self, rate_in: int, rate_out: int, num_channels: int) -> None:
        self._rates = rate_in, rate_out
        self._layout = _STANDARD_LAYOUTS[num_channels]
        # Packed samples ("flt"), not planar: PyAV 18.1 reads past the planes of frames with 8 channels or more.
        self._filter = None if rate_in == rate_out else av.AudioResampler("flt", self._layout, rate_out)
        self._num_in = self._num_out = 0

    def push(self, block: np.ndarray) -> np.ndarray:
        """float32 [channels, n] in, [channels, m] out; some of it may stay inside until more arrives."""
        if self._filter is None or not block.shape[1]:
            return block
        packed = np.ascontiguousarray(block.T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", self._layout)
        frame.sample_rate = self._rates[0]
        frame.pts, frame.time_base = self._num_in, Fraction(1, self._rates[0])
        self._num_in += block.shape[1]
        return self._collect(self._filter.resample(frame), block.shape[0])

    def flush(self, num_channels: int) -> np.ndarray:
        """The rest, cut or padded by the sample or two that make the length exact."""
        if self._filter is None or not self._num_in:
            return np.zeros((num_channels, 0), np.float32)
        rate_in, rate_out = self._rates
        wanted = round(self._num_in * rate_out / rate_in) - self._num_out
        rest = self._collect(self._filter.resample(None), num_channels)[:, : max(0, wanted)]
        return np.pad(rest, ((0, 0), (0, max(0, wanted - rest.shape[1]))))

    def _collect(self, frames: list[av.AudioFrame], num_channels: int) -> np.ndarray:
        blocks = [frame.to_ndarray().reshape(-1, num_channels).T for frame in frames]
        self._num_out += sum(block.shape[1] for block in blocks)
        return np.concatenate(blocks, axis=1) if blocks else np.zeros((num_channels, 0), np.float32)


def mix_to_mono(block: np.ndarray, channels: tuple[str, ...]) -> np.ndarray:
    """float32 [1, samples]: the mean of stereo; of surround sound mostly the centre, where speech is, and no LFE."""
    if len(channels) == 1:
        return block
    weights = np.array([_mono_weight(name) for name in channels], np.float32)
    if not weights.any():
        weights[:] = 1
    return (weights / weights.sum())[None] @ block


def mix_to_stereo(block: np.ndarray, channels: tuple[str, ...]) -> np.ndarray:
    """float32 [2, samples]: left and right channels to their side, the rest to both; never louder than the input."""
    sides = np.zeros((2, len(channels)), np.float32)
    for i, name in enumerate(channels):
        weight = _mono_weight(name) or (0.0 if name.startswith("LFE") else 0.5)
        is_left, is_right = name.endswith("L"), name.endswith("R")
        sides[0, i] = 0 if is_right else weight if is_left else weight * math.sqrt(0.5)
        sides[1, i] = 0 if is_left else weight if is_right else weight * math.sqrt(0.5)
    return (sides / max(1.0, float(sides.sum(axis=1).max()))) @ block


def load_speech_16k(
    path: str | os.PathLike, workdir: str | os.PathLike | None = None, damage: Damage | None = None
) -> np.ndarray:
    """The whole sound as the speech encoder takes it: 16 kHz, mono, as long as the original.

    Memory does not grow with length: beyond a minute the samples lie in an unnamed temporary file in `workdir` (the
    system's temporary folder if None) and the result is a read-only memory map.

    Args:
        damage: counts packets that cannot be decoded and are left out.

    Returns:
        float32 [samples], at least 1,600 of them: a sound without any becomes 0.1 s of silence, which `sound_warnings`
        reports.

    Raises:
        MediaError: not a sound, damaged, or cut short.
    """
    samples, louder = _load_speech(path, workdir, damage, None)
    if louder is None:
        return samples
    # Channels in opposite phase cancel out: the louder one alone has the speech.
    return _load_speech(path, workdir, None, louder)[0]


def _load_speech(
    path: str | os.PathLike, workdir: str | os.PathLike | None, damage: Damage | None, channel: int | None
) -> tuple[np.ndarray, int | None]:
    """The samples, mixed or of one channel; and the louder channel where mixing has lost nearly all of it."""
    given = sound_format(path)
    resampler = Resampler(given.rate, SPEECH_RATE, 1)
    powers, mixed_power = np.zeros(len(given.channels)), 0.0
    kept: list[np.ndarray] = []
    num_samples = 0
    spill: IO[bytes] | None = None

    def keep(block: np.ndarray) -> None:
        nonlocal spill, num_samples
        num_samples += block.shape[1]
        kept.append(np.ascontiguousarray(block[0], dtype="<f4"))
        if spill is None and num_samples > SPILL_SAMPLES:
            spill = tempfile.TemporaryFile(dir=workdir, prefix="speech-")  # noqa: SIM115 (closed once mapped)
        if spill is not None:
            for samples in kept:
                spill.write(samples.tobytes())
            kept.clear()

    for block in read_blocks(path, damage):
        mono = mix_to_mono(block, given.channels) if channel is None else block[channel : channel + 1]
        if channel is None and len(powers) > 1:
            powers += np.square(block, dtype=np.float64).sum(axis=1)
            mixed_power += float(np.square(mono, dtype=np.float64).sum())
        keep(resampler.push(mono))
    keep(resampler.flush(1))
    cancelled = mixed_power < _CANCELLED * powers.max()
    louder = int(powers.argmax()) if cancelled else None
    file: IO[bytes] | None = spill  # pyright does not see what `keep` has set
    if file is not None:
        file.flush()
        with file:
            return np.memmap(file, dtype="<f4", mode="r", shape=(num_samples,)), louder
    speech = np.concatenate(kept)
    return (speech if len(speech) else np.zeros(MIN_SPEECH_SAMPLES, np.float32)), louder


def blocks_of(samples: np.ndarray) -> Callable[[int, int], np.ndarray]:
    """From start and stop to the samples [stop - start] between them, of an array [samples] or a memory map.

    Pages of a map are given back as soon as they are read, so that hours of sound do not count as memory in use.
    """
    mapped: Any = getattr(samples, "_mmap", None)
    if not isinstance(samples, np.memmap) or samples.mode != "r" or not hasattr(mapped, "madvise"):
        return lambda start, stop: samples[start:stop]

    def read(start: int, stop: int) -> np.ndarray:
        block = np.array(samples[start:stop])
        mapped.madvise(mmap.MADV_DONTNEED)
        return block

    return read


@dataclass(frozen=True)
class SoundLevel:
    """peak_dbfs: of the largest sample. loudest_dbfs: of the loudest tenth of a second. -inf for digital silence."""

    duration_seconds: float
    peak_dbfs: float
    loudest_dbfs: float


def measure_level(signal: np.ndarray, rate: int = SPEECH_RATE) -> SoundLevel:
    """Of float32 [samples], read a minute at a time."""
    window = max(1, rate // 10)
    step = 600 * window
    peak = loudest = 0.0
    read = blocks_of(signal)
    for start in range(0, len(signal), step):
        part = np.asarray(read(start, min(start + step, len(signal))), np.float32)
        peak = max(peak, float(np.abs(part).max(initial=0)))
        usable = part[: len(part) // window * window] if len(part) >= window else part
        powers = np.square(usable.reshape(-1, window) if len(part) >= window else usable[None]).mean(axis=1)
        loudest = max(loudest, float(powers.max(initial=0)))
    return SoundLevel(len(signal) / rate, _decibels(peak), _decibels(math.sqrt(loudest)))


def is_silent(signal: np.ndarray, rate: int = SPEECH_RATE) -> bool:
    """Whether there is no audible speech in float32 [samples]."""
    return measure_level(signal, rate).loudest_dbfs < SILENCE_DBFS


def sound_warnings(signal: np.ndarray, name: str, rate: int = SPEECH_RATE) -> list[str]:
    """What a user should know before starting with this sound; it works nevertheless. One sentence each."""
    level = measure_level(signal, rate)
    if level.loudest_dbfs < SILENCE_DBFS:
        return [f"{name} is silent; the mouth will hardly move."]
    found = []
    if level.loudest_dbfs < QUIET_DBFS:
        found.append(f"{name} is very quiet (loudest part {level.loudest_dbfs:.0f} dB); it will be raised, noise too.")
    if level.duration_seconds < MIN_SPEECH_SECONDS:
        found.append(f"{name} lasts only {level.duration_seconds:.2f} seconds, less than a word.")
    return found


def _decode(
    path: Path, container: InputContainer, stream: av.AudioStream, rate: int, names: tuple[str, ...], damage: Damage
) -> Iterator[tuple[np.ndarray, float | None]]:
    """Decoded blocks with their times; a change of rate or channels in mid-stream is undone."""
    resampler: Resampler | None = None
    frame_rate = rate
    pack = _Packer()
    try:
        for frame in decoded(path, container, stream, damage):
            block = _to_float(pack(frame))
            if block.shape[0] != len(names):
                mono = mix_to_mono(block, _channel_names(frame.layout, block.shape[0]))
                block = np.repeat(mono, len(names), axis=0)
            if frame.sample_rate != frame_rate:
                if resampler is not None:
                    yield resampler.flush(len(names)), None
                if len(names) not in _STANDARD_LAYOUTS:
                    raise MediaError(f"{path.name} changes its sample rate in the middle; export it again at one rate.")
                frame_rate = frame.sample_rate
                resampler = None if frame_rate == rate else Resampler(frame_rate, rate, len(names))
            if resampler is not None:
                block = resampler.push(block)
            yield block, frame.time
        if resampler is not None:
            yield resampler.flush(len(names)), None
    except av.error.FFmpegError as error:
        raise decode_errors(path, error) from error


class _Packer:
    """Turns planar frames of 8 channels or more, in which PyAV 18.1 reads past the planes and crashes, into packed."""

    def __init__(self) -> None:
        self._filter: av.AudioResampler | None = None
        self._given: tuple[str, str, int] | None = None

    def __call__(self, frame: av.AudioFrame) -> av.AudioFrame:
        if not frame.format.is_planar or len(frame.layout.channels) < 8:
            return frame
        given = frame.format.name, frame.layout.name, frame.sample_rate
        if self._filter is None or given != self._given:
            self._given, self._filter = given, av.AudioResampler("flt", frame.layout, frame.sample_rate)
        (packed,) = self._filter.resample(frame)  # no change of rate, so nothing is held back
        return packed


def _to_float(frame: av.AudioFrame) -> np.ndarray:
    """float32 [channels, samples] of any sample format; 24-bit files arrive as 32-bit ones."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, len(frame.layout.channels)).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if np.issubdtype(samples.dtype, np.integer):
        return samples.astype(np.float32) / float(2 ** (8 * samples.dtype.itemsize - 1))
    samples = samples.astype(np.float32, copy=False)
    if not np.isfinite(samples).all():
        samples = np.nan_to_num(samples, posinf=0.0, neginf=0.0)
    return np.clip(samples, -_LOUDEST, _LOUDEST) if np.abs(samples).max(initial=0) > _LOUDEST else samples


def _declared_samples(path: Path, container: InputContainer, stream: av.AudioStream, rate: int) -> int | None:
    """What a header promises, of the formats whose headers can be relied on; others are estimated by FFmpeg."""
    exact = container.format.name.startswith(("mov", "wav", "flac", "aiff", "caf"))
    if not exact or not stream.duration or stream.time_base is None:
        return None
    declared = round(float(stream.duration * stream.time_base) * rate)
    # FFmpeg believes the size of a WAV file more than its header, which says whether a part is missing.
    return round(declared * _wav_promise(path)) if container.format.name == "wav" else declared


def _wav_promise(path: Path) -> float:
    """Size of a WAV file's samples according to its header, as a multiple of what is there; at least 1."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        position = 12  # after "RIFF", a size, "WAVE"
        while position + 8 <= size:
            file.seek(position)
            name, length = struct.unpack("<4sI", file.read(8))
            if name == b"data":
                present = size - position - 8
                unfinished = length == 0 or length >= UNFINISHED_WAV_SIZE
                return 1.0 if unfinished or present <= 0 else max(1.0, length / present)
            position += 8 + length + length % 2
    return 1.0


def _origin_seconds(container: InputContainer) -> float:
    """The time a player shows as 0. Slightly negative starts are encoder delay, not content."""
    start = (container.start_time or 0) / av.time_base
    return 0.0 if -0.1 < start < 0 else start


def _silence(num_samples: int, num_channels: int, rate: int) -> Iterator[np.ndarray]:
    for start in range(0, num_samples, rate):
        yield np.zeros((num_channels, min(rate, num_samples - start)), np.float32)


def _channel_names(layout: av.AudioLayout, num_channels: int) -> tuple[str, ...]:
    """Files that do not say which channel is which have them in the usual order."""
    names = tuple(channel.name for channel in layout.channels)
    if len(names) == num_channels and not any(name in ("NONE", "UNK", "") or name[0] == "U" for name in names):
        return names
    if num_channels in _STANDARD_LAYOUTS:
        return tuple(channel.name for channel in av.AudioLayout(_STANDARD_LAYOUTS[num_channels]).channels)
    return tuple(f"C{i}" for i in range(num_channels))


def _mono_weight(name: str) -> float:
    if name.startswith("LFE"):
        return 0.0
    return {"FC": 1.0, "FL": math.sqrt(0.5), "FR": math.sqrt(0.5)}.get(name, 0.5)


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf
