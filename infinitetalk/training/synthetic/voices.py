"""Voices: text in, sound with phoneme times out, from the speech synthesizers installed on this machine.

Synthesizers and where their phoneme times come from:
  flite (Debian `flite`)          its own durations, exact
  espeak-ng (Debian `espeak-ng`)  its own phoneme events, exact
  hibari (PyPI `hibari-tts`)      heard by the recogniser `hama` on a 20 ms grid
  pico (PyPI `py-nanotts`)        heard by `hama`

Phonemes are lower-case ARPAbet as flite writes them ("pau" is silence).
"""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infinitetalk.training.synthetic.phones import SAMPLE_RATE, Phone, Utterance, arpabet


@dataclass(frozen=True)
class Voice:
    """One way of speaking. `voice_id` is what clips are labelled with; `engine_voice` is the synthesizer's own name."""

    voice_id: int
    name: str
    engine: str
    engine_voice: str
    held_out: bool = False


VOICES = (
    Voice(0, "flite-rms", "flite", "rms"),
    Voice(1, "flite-slt", "flite", "slt"),
    Voice(2, "flite-kal", "flite", "kal16"),
    Voice(3, "hibari-heart", "hibari", "heart"),
    Voice(4, "pico-us", "pico", "en-US"),
    Voice(5, "espeak-us", "espeak", "en-us"),
    Voice(6, "espeak-f3", "espeak", "en-us+f3"),
    Voice(7, "espeak-scottish", "espeak", "en-gb-scotland+m3"),
    Voice(100, "flite-awb", "flite", "awb", held_out=True),
    Voice(101, "pico-gb", "pico", "en-GB", held_out=True),
)

def voices(split: str) -> list[Voice]:
    """The voices of a split, "train" or "heldout", that this machine can speak with.

    Raises RuntimeError when there is none.
    """
    chosen = [v for v in VOICES if v.held_out == (split == "heldout") and _engine_present(v.engine)]
    if not chosen:
        raise RuntimeError(
            f"no synthesizer for the {split} voices; install requirements-train.txt and Debian's flite, espeak-ng"
        )
    return chosen


def _engine_present(engine: str) -> bool:
    import importlib.util

    if engine == "flite":
        return shutil.which("flite") is not None
    if engine == "espeak":
        return _espeak_library() is not None
    module = {"hibari": "hibari", "pico": "py_nanotts"}[engine]
    return all(importlib.util.find_spec(name) is not None for name in (module, "hama"))


def speak(voice: Voice, text: str, rng: np.random.Generator) -> Utterance:
    """Say one sentence, with a pitch, pace and vocal-tract size drawn from `rng`."""
    pace = float(rng.uniform(0.88, 1.18))
    utterance = {"flite": _speak_flite, "espeak": _speak_espeak, "hibari": _speak_hibari, "pico": _speak_pico}[
        voice.engine
    ](voice.engine_voice, text, pace, rng)
    # Playing faster raises pitch and formants together: another, smaller speaker.
    return _resized(utterance, float(rng.uniform(0.90, 1.13)))


def _resized(utterance: Utterance, factor: float) -> Utterance:
    from scipy.signal import resample_poly

    up, down = 100, round(100 * factor)
    signal = resample_poly(utterance.signal, up, down).astype(np.float32)
    scale = up / down
    phones = tuple(Phone(p.name, p.start_seconds * scale, p.end_seconds * scale) for p in utterance.phones)
    return Utterance(signal, phones)


def _to_16_khz(signal: np.ndarray, rate: int) -> np.ndarray:
    from scipy.signal import resample_poly

    divisor = int(np.gcd(rate, SAMPLE_RATE))
    return resample_poly(signal, SAMPLE_RATE // divisor, rate // divisor).astype(np.float32)


def _speak_flite(name: str, text: str, pace: float, rng: np.random.Generator) -> Utterance:
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = ["flite", "-voice", name, "--setf", f"duration_stretch={1 / pace:.3f}", "-psdur"]
        printed = subprocess.run([*command, "-t", text, "-o", str(path)], check=True, capture_output=True, text=True)
        signal, rate = soundfile.read(path, dtype="float32")
    phones, start = [], 0.0
    for item in printed.stdout.split():
        label, _, end = item.rpartition(":")
        phones.append(Phone(label, start, float(end)))
        start = float(end)
    return Utterance(_to_16_khz(signal, rate), tuple(phones))


def _speak_hibari(name: str, text: str, pace: float, rng: np.random.Generator) -> Utterance:
    signal = _hibari(name)(text, speed=pace, seed=int(rng.integers(1 << 30)))
    signal = _to_16_khz(signal, 24_000)
    return Utterance(signal, hear_phones(signal))


def _speak_pico(name: str, text: str, pace: float, rng: np.random.Generator) -> Utterance:
    import py_nanotts

    pitch = float(rng.uniform(0.85, 1.15))
    spoken = py_nanotts.NanoTTS().speak(text, voice=name, speed=pace * 0.95, pitch=pitch)
    signal = np.frombuffer(spoken, "<i2").astype(np.float32) / 32768
    return Utterance(signal, hear_phones(signal))


@functools.cache
def _hibari(name: str):
    from hibari import Hibari

    return Hibari(voice=name)


@functools.cache
def _hama():
    import hama

    return hama.ASRModel()


# hama names a phoneme once, 37 ms after its middle on average (28 ms spread), measured against flite's own times.
HEARING_LAG_SECONDS = 0.037
LONGEST_PHONE_SECONDS = 0.22


def hear_phones(signal: np.ndarray) -> tuple[Phone, ...]:
    """Phonemes of 16 kHz speech as the recogniser `hama` hears them, with pauses where the sound is quiet.

    A CTC recogniser marks each phoneme at one instant; borders are put half-way between neighbours.
    """
    model = _hama()
    result = model.transcribe_waveform(signal, SAMPLE_RATE)
    spans = model.phoneme_spans(result)
    if not spans:
        return (Phone("pau", 0.0, len(signal) / SAMPLE_RATE),)
    instants = np.asarray([span.start_frame * 0.02 + 0.01 - HEARING_LAG_SECONDS for span in spans])
    total = len(signal) / SAMPLE_RATE
    borders = np.concatenate([[0.0], (instants[1:] + instants[:-1]) / 2, [total]])
    phones: list[Phone] = []
    for span, instant, left, right in zip(spans, instants, borders[:-1], borders[1:], strict=True):
        start = max(left, instant - LONGEST_PHONE_SECONDS / 2)
        end = min(right, instant + LONGEST_PHONE_SECONDS / 2)
        previous_end = phones[-1].end_seconds if phones else 0.0
        if start - previous_end > 1e-3:
            phones.append(Phone("pau", previous_end, start))
        phones.append(Phone(arpabet(span.phoneme), start, end))
    if total - phones[-1].end_seconds > 1e-3:
        phones.append(Phone("pau", phones[-1].end_seconds, total))
    return tuple(phones)


class _EspeakEvent(ctypes.Structure):
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


_ESPEAK_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int,
                                    ctypes.POINTER(_EspeakEvent))  # fmt: skip
_ESPEAK_RETRIEVAL, _ESPEAK_PHONEME_EVENTS_IPA, _ESPEAK_EVENT_PHONEME, _ESPEAK_EVENT_END = 1, 3, 7, 0
_ESPEAK_RATE, _ESPEAK_PITCH, _ESPEAK_UTF8 = 1, 3, 1


@functools.cache
def _espeak_library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("libespeak-ng.so.1")
    except OSError:
        return None


@functools.cache
def _espeak_rate() -> int:
    library = _espeak_library()
    assert library is not None
    rate = library.espeak_Initialize(_ESPEAK_RETRIEVAL, 0, None, _ESPEAK_PHONEME_EVENTS_IPA)
    if rate <= 0:
        raise RuntimeError(f"espeak-ng did not start (code {rate}); is its data installed?")
    return rate


def _speak_espeak(name: str, text: str, pace: float, rng: np.random.Generator) -> Utterance:
    rate, library = _espeak_rate(), _espeak_library()
    pieces: list[np.ndarray] = []
    marks: list[tuple[float, str]] = []

    @_ESPEAK_CALLBACK
    def collect(samples, count, events):
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        position = 0
        while events[position].type != _ESPEAK_EVENT_END:
            event = events[position]
            if event.type == _ESPEAK_EVENT_PHONEME:
                marks.append((event.audio_position / 1000, event.string.decode("utf-8", "ignore")))
            position += 1
        return 0

    library.espeak_SetSynthCallback(collect)
    if library.espeak_SetVoiceByName(name.encode()) != 0:
        raise RuntimeError(f"espeak-ng has no voice {name}")
    library.espeak_SetParameter(_ESPEAK_RATE, round(155 * pace), 0)
    library.espeak_SetParameter(_ESPEAK_PITCH, round(rng.uniform(30, 65)), 0)
    encoded = text.encode("utf-8")
    library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, _ESPEAK_UTF8, None, None)
    library.espeak_Synchronize()
    signal = np.concatenate(pieces).astype(np.float32) / 32768
    total = len(signal) / rate
    # Each event names the phoneme that starts there.
    ends = [start for start, _ in marks[1:]] + [total]
    phones = tuple(
        Phone(arpabet(ipa), start, end) for (start, ipa), end in zip(marks, ends, strict=True) if end > start
    )
    return Utterance(_to_16_khz(signal, rate), phones)
