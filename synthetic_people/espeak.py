"""espeak-ng through its library: sound and the phonemes it says when.

The library remembers things from sentence to sentence (noise, phases, milliseconds of timing) and has no way to forget
them. Every sentence is therefore spoken by a fork of this process that has never spoken before, so that the same
sentence always sounds the same.
"""

from __future__ import annotations

import ctypes
import functools
import os
import pickle
from collections.abc import Iterable

import numpy as np

from .phones import Phone, arpabet


class _Event(ctypes.Structure):
    """`espeak_EVENT` of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("string", ctypes.c_char * 8),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int,
                                    ctypes.POINTER(_Event))  # fmt: skip
_SYNCHRONOUS, _PHONEME_EVENTS_IPA, _EVENT_PHONEME, _EVENT_END = 2, 3, 7, 0
_RATE, _PITCH, _UTF8 = 1, 3, 1


@functools.cache
def native_library() -> ctypes.CDLL | None:
    """espeak-ng's library, None where it is not installed."""
    try:
        return ctypes.CDLL("libespeak-ng.so.1")
    except OSError:
        return None


def say(voice: str, text: str, words_per_minute: int, pitch: int) -> tuple[np.ndarray, int, tuple[Phone, ...]]:
    """Sound [samples] float32, its rate and its phonemes. `pitch` is 0 to 99, 50 the voice's own.

    Raises RuntimeError when there is no such voice or nothing can be said.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # no return from here: the fork must not run anything else of this program
        try:
            answer: tuple = ("said", *_say(voice, text, words_per_minute, pitch))
        except BaseException as error:  # handed to the parent, which raises it
            answer = ("failed", f"espeak-ng, voice {voice}, text {text!r}: {error}")
        try:
            with os.fdopen(write_end, "wb") as pipe:
                pickle.dump(answer, pipe)
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    if not data:
        raise RuntimeError(f"espeak-ng ended while {voice} spoke {text!r}")
    kind, *values = pickle.loads(data)
    if kind == "failed":
        raise RuntimeError(values[0])
    samples, rate, marks = values
    signal = np.frombuffer(samples, np.int16).astype(np.float32) / 32768
    # Each mark names the phoneme that starts there.
    ends = [start for start, _ in marks[1:]] + [len(signal) / rate]
    spans = ((arpabet(ipa), start, end) for (start, ipa), end in zip(marks, ends, strict=True) if end > start)
    return signal, rate, _joined(spans, signal, rate)


def _say(voice: str, text: str, words_per_minute: int, pitch: int) -> tuple[bytes, int, list[tuple[float, str]]]:
    speech = native_library()
    ctypes.CDLL(None).srand(1)  # its noise
    rate = speech.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS_IPA)
    if rate <= 0:
        raise RuntimeError(f"it did not start (code {rate}); is its data installed?")
    pieces: list[bytes] = []
    marks: list[tuple[float, str]] = []

    @_CALLBACK
    def collect(samples, count, events):
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        position = 0
        while events[position].type != _EVENT_END:
            event = events[position]
            if event.type == _EVENT_PHONEME:
                marks.append((event.audio_position / 1000, event.string.decode("utf-8", "ignore")))
            position += 1
        return 0

    speech.espeak_SetSynthCallback(collect)
    if speech.espeak_SetVoiceByName(voice.encode()) != 0:
        raise RuntimeError("it has no such voice")
    speech.espeak_SetParameter(_RATE, words_per_minute, 0)
    speech.espeak_SetParameter(_PITCH, pitch, 0)
    encoded = text.encode("utf-8")
    speech.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, _UTF8, None, None)
    if not pieces or not marks:
        raise RuntimeError("it said nothing")
    return b"".join(pieces), rate, marks


def _joined(spans: Iterable[tuple[str, float, float]], signal: np.ndarray, rate: int) -> tuple[Phone, ...]:
    """Phonemes of espeak-ng, whose nameless parts are pauses only where it is quiet; elsewhere the last one goes on."""
    loud = float(np.sqrt(np.mean(np.square(signal)))) + 1e-9
    phones: list[Phone] = []
    for name, start, end in spans:
        if name == "pau" and phones:
            part = signal[int(start * rate) : max(int(start * rate) + 1, int(end * rate))]
            if end - start < 0.05 or np.sqrt(np.mean(np.square(part))) > 0.1 * loud:
                phones[-1] = Phone(phones[-1].name, phones[-1].start_seconds, end)
                continue
        phones.append(Phone(name, start, end))
    return tuple(phones)
