"""A film's voices on its time line, as no network hears them yet: each at -23 LUFS, silence where it does not speak."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..audio.arrangement import placed
from ..audio.loudness import loudness_gain, measure_loudness, with_gain
from ..config.constants import FRAMES_PER_SECOND
from ..media.audio import SPEECH_RATE
from .film import Film

Read = Callable[[int, int], np.ndarray]  # samples [start, stop) at 16 kHz


class FilmVoices:
    """Serves one film. readers: one for each voice."""

    def __init__(self, film: Film) -> None:
        from ..models.audio_encoder import reader_of

        self._total = film.voices[0].placement.total
        self.readers: list[Read] = []
        for voice in film.voices:
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
        heard = np.zeros(stop_frame - start_frame)
        if last > first:
            samples = self.together(first * step, last * step)
            powers = np.square(samples.reshape(last - first, step)).mean(axis=1)
            heard[first - start_frame : last - start_frame] = np.sqrt(powers)
        return heard
