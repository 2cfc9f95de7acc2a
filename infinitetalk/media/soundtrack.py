"""The user's own sound as the film will carry it: one or two voices, at their own rate, sample by sample."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..config.constants import FRAMES_PER_SECOND
from .audio import Resampler, mix_to_mono, mix_to_stereo, read_blocks, sound_format

_RISE_SECONDS = 0.25

# AAC knows these rates only; a sound at another is raised to the next.
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}  # by number of channels; others are mixed to stereo


def frame_to_sample(frame: int, rate: int) -> int:
    """The sample at which a frame begins, the same for every caller, so that stretches join without a gap."""
    return round(Fraction(frame * rate, FRAMES_PER_SECOND))


@dataclass(frozen=True)
class BackgroundTrack:
    """The source's own sound under the voices: at `level` (1 = as it is), and alone, as it is, from `alone_from` on."""

    sound: Path
    level: float
    alone_from_seconds: float = math.inf

    def gain(self, start: int, num_samples: int, rate: int) -> np.ndarray:
        """float32 [num_samples]; it rises within a quarter of a second."""
        seconds = (start + np.arange(num_samples)) / rate - self.alone_from_seconds
        risen = np.clip(seconds / _RISE_SECONDS, 0, 1)
        return (self.level + (1 - self.level) * risen).astype(np.float32)


class Soundtrack:
    """The mixed sound of a film of `duration_seconds`.

    One sound passes unchanged. Several are added, each from its own start; where they would exceed full scale
    together, the whole mix is lowered by one factor, so nothing clips and nothing pumps.

    rate: in Hz: the sound's own, or the highest of several. num_channels: 1, 2 or 6; layout: its name.
    num_samples: exact length of the whole.
    """

    def __init__(
        self,
        sounds: str | os.PathLike | Sequence[str | os.PathLike],
        duration_seconds: float,
        start_seconds: Sequence[float] | None = None,
        background_track: BackgroundTrack | None = None,
        skip_seconds: float = 0.0,
    ) -> None:
        """
        Args:
            sounds: one path or several.
            duration_seconds: of the film; sound beyond it is cut, silence fills what is missing.
            start_seconds: when each sound begins in the film; None: all at 0.
            background_track: the sound under them, from the beginning.
            skip_seconds: how much of each sound's beginning is left out.

        Raises:
            MediaError: if one of them is no sound or is damaged.
        """
        assert duration_seconds > 0
        self.sounds = [Path(sounds)] if isinstance(sounds, (str, os.PathLike)) else [Path(sound) for sound in sounds]
        self.start_seconds = list(start_seconds) if start_seconds is not None else [0.0] * len(self.sounds)
        assert len(self.sounds) == len(self.start_seconds) > 0 and min(self.start_seconds) >= 0
        self.duration_seconds = duration_seconds
        self.background_track = background_track
        self._skip_seconds = skip_seconds
        if background_track is not None:
            self.sounds, self.start_seconds = [*self.sounds, background_track.sound], [*self.start_seconds, 0.0]
        self._formats = [sound_format(sound) for sound in self.sounds]
        wanted = max(format.rate for format in self._formats)
        self.rate = next((rate for rate in AAC_RATES if rate >= wanted), AAC_RATES[-1])
        most = max(len(format.channels) for format in self._formats)
        self.num_channels = most if most in LAYOUTS else 2
        self.layout = LAYOUTS[self.num_channels]
        self.num_samples = max(1, round(duration_seconds * self.rate))
        self._gain = 1.0
        if len(self.sounds) > 1:
            peak = max((float(np.abs(block).max(initial=0)) for block in self._mixed()), default=0.0)
            self._gain = 1.0 / max(1.0, peak)
        self._blocks: Iterator[np.ndarray] | None = None
        self._ahead = np.zeros((self.num_channels, 0), np.float32)
        self._position = 0

    def read(self, start_sample: int, num_samples: int) -> np.ndarray:
        """float32 [channels, num_samples]; silence after the end.

        Made for reading onwards; a step back decodes again from the beginning.
        """
        if self._blocks is None or start_sample < self._position:
            self._blocks, self._position = self._mixed(), 0
            self._ahead = self._ahead[:, :0]
        stop_sample = start_sample + num_samples
        parts = []
        while self._position < stop_sample:
            if not self._ahead.shape[1]:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._ahead = block * np.float32(self._gain)
            skip = min(self._ahead.shape[1], max(0, start_sample - self._position))
            take = min(self._ahead.shape[1], stop_sample - self._position)
            parts.append(self._ahead[:, skip:take])
            self._ahead = self._ahead[:, take:]
            self._position += take
        found = np.concatenate(parts, axis=1) if parts else np.zeros((self.num_channels, 0), np.float32)
        missing = num_samples - found.shape[1]
        return np.pad(found, ((0, 0), (0, missing))) if missing else found

    def read_frames(self, first_frame: int, num_frames: int) -> np.ndarray:
        """The sound of frames [first_frame, first_frame + num_frames) at 25 fps: float32 [channels, samples]."""
        start = frame_to_sample(first_frame, self.rate)
        return self.read(start, frame_to_sample(first_frame + num_frames, self.rate) - start)

    def _mixed(self) -> Iterator[np.ndarray]:
        """All sounds added, float32 [channels, n], until the last has ended or the film has."""
        streams = [self._delayed(index) for index in range(len(self.sounds))]
        waiting = [np.zeros((self.num_channels, 0), np.float32) for _ in streams]
        ended = [False] * len(streams)
        position = 0
        while position < self.num_samples:
            for index, stream in enumerate(streams):
                while not ended[index] and not waiting[index].shape[1]:
                    block = next(stream, None)
                    ended[index] = block is None
                    waiting[index] = waiting[index] if block is None else block
            lengths = [part.shape[1] for part in waiting if part.shape[1]]
            if not lengths:
                return
            length = min(*lengths, self.num_samples - position)
            total = np.zeros((self.num_channels, length), np.float32)
            for index, part in enumerate(waiting):
                if part.shape[1]:
                    total += part[:, :length]
                    waiting[index] = part[:, length:]
            position += length
            yield total

    def _delayed(self, index: int) -> Iterator[np.ndarray]:
        missing = round(self.start_seconds[index] * self.rate)
        while missing > 0:
            length = min(missing, self.rate)
            yield np.zeros((self.num_channels, length), np.float32)
            missing -= length
        skipped = round(self._skip_seconds * self.rate)
        for block in self._converted(index):
            yield block[:, skipped:]
            skipped = max(0, skipped - block.shape[1])

    def _converted(self, index: int) -> Iterator[np.ndarray]:
        """One sound in the rate and channels of the whole."""
        given = self._formats[index]
        resampler = Resampler(given.rate, self.rate, self.num_channels)
        blocks = (resampler.push(self._arranged(block, given.channels)) for block in read_blocks(self.sounds[index]))
        background_track = self.background_track if index == len(self.sounds) - 1 else None
        position = 0
        for block in itertools.chain(blocks, (resampler.flush(self.num_channels) for _ in range(1))):
            yield (
                block
                if background_track is None
                else block * background_track.gain(position, block.shape[1], self.rate)
            )
            position += block.shape[1]

    def _arranged(self, block: np.ndarray, channels: tuple[str, ...]) -> np.ndarray:
        if len(channels) == self.num_channels:
            return block
        if self.num_channels == 1:
            return mix_to_mono(block, channels)
        stereo = np.repeat(block, 2, axis=0) if len(channels) == 1 else mix_to_stereo(block, channels)
        if self.num_channels == 2:
            return stereo
        return np.concatenate([stereo, np.zeros((self.num_channels - 2, block.shape[1]), np.float32)])
