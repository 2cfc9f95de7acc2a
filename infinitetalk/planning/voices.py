"""A film's voices: read, put in their places, and each brought to -23 LUFS, with silence where it does not speak."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..audio.arrangement import Placement, place_speakers, placed
from ..audio.loudness import loudness_gain, measure_loudness, with_gain
from ..config.constants import FRAMES_PER_SECOND
from ..config.request import GenerationRequest
from ..media.audio import SPEECH_RATE, load_speech_16k, sound_warnings
from ..media.decoding import Damage
from .checks import base_name

Read = Callable[[int, int], np.ndarray]  # samples [start, stop) at 16 kHz
Loudness = Callable[[int, int], np.ndarray]  # root mean square of the speech in frames start to stop


@dataclass(frozen=True)
class Voice:
    """One speaker's sound, float32 mono at 16 kHz, and its place in the film in samples of it."""

    samples: np.ndarray
    placement: Placement

    @property
    def start_seconds(self) -> float:
        return self.placement.start / SPEECH_RATE


def read_voices(request: GenerationRequest, workdir: str | None = None) -> tuple[tuple[Voice, ...], list[str]]:
    """Every speaker's sound in its place, and notes on silence, length and the like.

    workdir: where long sounds are kept.

    Raises:
        MediaError: a file holds no sound that can be used.
    """
    samples, notes = [], []
    for speaker in request.speakers:
        name, damage = base_name(speaker.audio), Damage()
        samples.append(load_speech_16k(speaker.audio, workdir, damage))
        notes += damage.notes(name) + sound_warnings(samples[-1], name)
    placements = place_speakers([len(signal) for signal in samples], request.arrangement)
    return tuple(Voice(signal, place) for signal, place in zip(samples, placements, strict=True)), notes


def speech_seconds(voices: Sequence[Voice]) -> float:
    """From the first voice's start to the last one's end."""
    return voices[0].placement.total / SPEECH_RATE


class FilmVoices:
    """Serves one film. readers: one for each voice."""

    def __init__(self, voices: Sequence[Voice]) -> None:
        from ..models.audio_encoder import reader_of

        self._total = voices[0].placement.total
        self.readers: list[Read] = []
        for voice in voices:
            read = reader_of(voice.samples)
            gain = loudness_gain(measure_loudness(read, len(voice.samples)))
            self.readers.append(placed(with_gain(read, gain), voice.placement))

    def together(self, start: int, stop: int) -> np.ndarray:
        """All of them as one."""
        return np.sum([read(start, stop) for read in self.readers], axis=0)

    def loudness(self, start_frame: int, stop_frame: int) -> np.ndarray:
        """Root mean square of all voices in those frames of the film; silence before and after it."""
        step = SPEECH_RATE // FRAMES_PER_SECOND
        first, last = max(0, start_frame), min(stop_frame, self._total // step)
        loudness = np.zeros(stop_frame - start_frame)
        if last > first:
            samples = self.together(first * step, last * step)
            powers = np.square(samples.reshape(last - first, step)).mean(axis=1)
            loudness[first - start_frame : last - start_frame] = np.sqrt(powers)
        return loudness
