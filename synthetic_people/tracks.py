"""The sound of a clip: sentences of one voice with pauses, as a microphone in a room hears them."""

from __future__ import annotations

import numpy as np

from infinitetalk.config.constants import FRAMES_PER_SECOND

from . import sentences, voices
from .phones import SAMPLE_RATE, Phone, Utterance

FPS = FRAMES_PER_SECOND
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS  # 640


def speech_track(voice: voices.Voice, num_frames: int, rng: np.random.Generator) -> Utterance:
    """Sentences with pauses, exactly `num_frames` long, a little room noise under them."""
    total_seconds = num_frames / FPS
    signal = np.zeros(num_frames * SAMPLES_PER_FRAME, np.float32)
    phones: list[Phone] = []
    # Some clips start in silence, some in the middle of a sentence.
    start_seconds = float(rng.uniform(-1.5, 0.6))
    while start_seconds < total_seconds - 0.3:
        spoken = voices.speak(voice, sentences.make_sentence(rng, voice.language), rng)
        peak_free = spoken.signal / (np.sqrt(np.mean(spoken.signal**2)) + 1e-6) * 0.07
        first = round(start_seconds * SAMPLE_RATE)
        source = slice(max(0, -first), min(len(peak_free), len(signal) - first))
        if source.stop > source.start:
            signal[first + source.start : first + source.stop] += peak_free[source]
            for phone in spoken.phones:
                begin, end = phone.start_seconds + start_seconds, phone.end_seconds + start_seconds
                if end > 0 and begin < total_seconds:
                    phones.append(Phone(phone.name, max(0.0, begin), min(total_seconds, end)))
        start_seconds += spoken.seconds + float(rng.choice([rng.uniform(0.0, 0.3), rng.uniform(0.4, 1.1)]))
    return Utterance(signal, tuple(phones))


def recorded(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The track as a microphone in a room would give it: some tone, some hiss, a level of its own."""
    tilt = rng.uniform(-0.25, 0.25)
    coloured = signal.copy()
    coloured[1:] += tilt * signal[:-1]
    if rng.random() < 0.4:  # a short, weak room
        delay, decay = int(rng.uniform(0.004, 0.02) * SAMPLE_RATE), rng.uniform(0.1, 0.3)
        coloured[delay:] += decay * coloured[:-delay]
    hiss = rng.standard_normal(len(signal)).astype(np.float32) * 0.07 * 10 ** (-rng.uniform(25, 60) / 20)
    return np.clip((coloured + hiss) * rng.uniform(0.5, 1.6), -1, 1).astype(np.float32)
