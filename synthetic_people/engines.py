"""Speech synthesizers: one sentence in, sound with phoneme times out. None of them is needed to use the studio.

    flite (Debian `flite`)                     its own durations, exact
    espeak-ng (Debian `espeak-ng`)             its own phoneme events, exact, about thirty languages
    festival (Debian `festival`, `festvox-*`)  its own segments, exact
    pico (PyPI `py-nanotts`)                   times carried over from espeak-ng's voice (`align`), about 20 ms off
    hibari (PyPI `hibari-tts`)                 the same

All of them speak the same way for the same text and settings.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import align, espeak
from .phones import SAMPLE_RATE, Phone, Utterance, arpabet


@dataclass(frozen=True)
class Manner:
    """How a sentence is said. pace: 1 is the voice's own speed, more is faster. pitch: 1 is the voice's own."""

    pace: float = 1.0
    pitch: float = 1.0
    seed: int = 0


def is_present(engine: str, engine_voice: str) -> bool:
    """Whether this machine has the synthesizer and the voice."""
    if engine == "flite":
        return shutil.which("flite") is not None
    if engine == "espeak":
        return espeak.native_library() is not None
    if engine == "festival":
        return shutil.which("festival") is not None and bool(_festival_folder(engine_voice))
    module = {"hibari": "hibari", "pico": "py_nanotts"}[engine]
    return importlib.util.find_spec(module) is not None and espeak.native_library() is not None


def synthesize(engine: str, engine_voice: str, text: str, manner: Manner) -> Utterance:
    """Say `text`; 16 kHz sound and its phonemes.

    Raises RuntimeError when the synthesizer fails on this text.
    """
    speak = {
        "flite": _speak_flite,
        "espeak": _speak_espeak,
        "festival": _speak_festival,
        "hibari": _speak_hibari,
        "pico": _speak_pico,
    }[engine]
    return speak(engine_voice, text, manner)


def _to_16_khz(signal: np.ndarray, rate: int) -> np.ndarray:
    from scipy.signal import resample_poly

    divisor = int(np.gcd(rate, SAMPLE_RATE))
    return resample_poly(signal, SAMPLE_RATE // divisor, rate // divisor).astype(np.float32)


# --- flite ---


def _speak_flite(name: str, text: str, manner: Manner) -> Utterance:
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        stretch = f"duration_stretch={1 / manner.pace:.3f}"
        shift = f"f0_shift={manner.pitch:.3f}"
        command = ["flite", "-voice", name, "--setf", stretch, "--setf", shift, "-psdur"]
        printed = subprocess.run([*command, "-t", text, "-o", str(path)], check=True, capture_output=True, text=True)
        signal, rate = soundfile.read(path, dtype="float32")
    phones, start = [], 0.0
    for item in printed.stdout.split():
        label, _, end = item.rpartition(":")
        phones.append(Phone(label, start, float(end)))
        start = float(end)
    return Utterance(_to_16_khz(signal, rate), tuple(phones))


# --- espeak-ng ---


def _speak_espeak(name: str, text: str, manner: Manner) -> Utterance:
    pitch = round(float(np.clip(48 * manner.pitch, 5, 95)))
    signal, rate, phones = espeak.say(name, text, round(155 * manner.pace), pitch)
    return Utterance(_to_16_khz(signal, rate), phones)


# --- festival: one process per voice is kept, since loading a voice takes longer than speaking ---

# Encoding each voice reads, and the names of its phonemes that differ from the common table below.
_FESTIVAL_VOICES: dict[str, tuple[str, dict[str, str]]] = {
    "pc_diphone": ("latin-1", {"S": "sh"}),
    "lp_diphone": ("latin-1", {"S": "sh"}),
    "msu_ru_nsh_clunits": (
        "utf-8",
        {"aa": "aa", "a": "ah", "y": "ix", "yy": "ix", "e": "ih", "ee": "eh", "o": "ow", "oo": "ow", "h": "hh",
         "sch": "sh", "ch": "ch", "c": "s", "i": "ih", "ii": "iy", "u": "uh", "uu": "uw", "j": "y"},
    ),
    "suo_fi_lj_diphone": ("latin-1", {"@": "ae", "7": "oe", "y": "ue", "d": "d", "j": "y", "N": "ng", "v": "v"}),
    "hy_fi_mv_diphone": ("latin-1", {"@": "ae", "7": "oe", "y": "ue", "d": "d", "j": "y", "N": "ng", "v": "v"}),
    "czech_ph": ("iso-8859-2", {"c": "s", "ch": "hh", "h": "hh"}),
    "czech_dita": ("iso-8859-2", {"c": "s", "ch": "hh", "h": "hh"}),
    "czech_krb": ("iso-8859-2", {"c": "s", "ch": "hh", "h": "hh"}),
    "czech_machac": ("iso-8859-2", {"c": "s", "ch": "hh", "h": "hh"}),
    "upc_ca_ona_hts": ("latin-1", {"ax": "ax", "B": "bh", "D": "dh", "G": "g", "S": "sh", "Z": "zh"}),
    "ked_diphone": ("ascii", {}),
    "kal_diphone": ("ascii", {}),
    "cmu_us_slt_arctic_hts": ("ascii", {}),
}  # fmt: skip
_SAMPA = {
    "a": "aa", "e": "eh", "i": "iy", "o": "ow", "u": "uw", "E": "eh", "O": "ao", "S": "sh", "Z": "zh", "J": "n",
    "L": "l", "N": "ng", "ts": "s", "dz": "z", "tS": "ch", "dZ": "jh", "j": "y", "rr": "r", "x": "hh", "h": "hh",
    "c~": "ch", "s~": "sh", "z~": "zh", "r~": "zh", "n~": "n", "t~": "t", "d~": "d", "dz~": "jh", "_": "pau",
    "#": "pau", "ts~": "ch",
}  # fmt: skip


def _festival_phone(voice: str, label: str) -> str:
    own = _FESTIVAL_VOICES[voice][1]
    plain = label.rstrip("0123456789:*") or label
    if set(label) <= {"#"}:
        return "pau"
    if plain in own:
        return own[plain]
    if voice in ("ked_diphone", "kal_diphone", "cmu_us_slt_arctic_hts"):
        return {"h#": "pau", "brth": "pau", "dx": "d", "axr": "er", "el": "l", "em": "m", "en": "n"}.get(plain, plain)
    if plain in _SAMPA:
        return _SAMPA[plain]
    half = plain[: len(plain) // 2]  # Russian writes palatal consonants twice: "vv"
    return arpabet(half if half and plain == half * 2 else plain)


def _festival_folder(voice: str) -> list[Path]:
    return list(Path("/usr/share/festival/voices").glob(f"*/{voice}"))


class _Festival:
    """A festival process with one voice loaded."""

    def __init__(self, voice: str) -> None:
        self.voice, self.encoding = voice, _FESTIVAL_VOICES[voice][0]
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            ["festival", "--pipe"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._send(f"(voice_{voice})")
        atexit.register(self.close)

    def _send(self, line: str) -> None:
        self.process.stdin.write(line.encode(self.encoding, "replace") + b"\n")
        self.process.stdin.flush()

    def speak(self, text: str, manner: Manner) -> Utterance:
        import soundfile

        folder = Path(self.folder.name)
        sound, segments, done = (folder / name for name in ("speech.wav", "segments", "done"))
        for path in (sound, segments, done):
            path.unlink(missing_ok=True)
        quoted = text.replace("\\", " ").replace('"', " ")
        self._send("(defvar czech-randomize) (set! czech-randomize nil)")  # pauses and melody at random
        self._send(f"(Parameter.set 'Duration_Stretch {1 / manner.pace:.3f})")
        self._send(f'(set! u nil) (set! u (utt.synth (Utterance Text "{quoted}")))')
        self._send(f'(if u (utt.save.wave u "{sound}" \'riff))')
        self._send(f'(if u (utt.save.segs u "{segments}"))')
        # What festival prints stays in its buffer; a file that appears does not.
        self._send(f'(fclose (fopen "{done}" "w"))')
        while not done.exists():
            if self.process.poll() is not None:
                raise RuntimeError(f"festival ended while {self.voice} spoke {text!r}")
            time.sleep(0.003)
        if not (sound.exists() and segments.exists()):
            raise RuntimeError(f"festival's {self.voice} could not speak {text!r}")
        phones, start = [], 0.0
        for line in segments.read_text(encoding="latin-1").splitlines():
            fields = line.split()
            if len(fields) == 3 and fields[1].isdigit():  # end time, colour, name
                phones.append(Phone(_festival_phone(self.voice, fields[2]), start, float(fields[0])))
                start = float(fields[0])
        signal, rate = soundfile.read(sound, dtype="float32")
        return Utterance(_to_16_khz(signal, rate), tuple(phones))

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.folder.cleanup()


@functools.cache
def _festival(voice: str) -> _Festival:
    return _Festival(voice)


def _speak_festival(name: str, text: str, manner: Manner) -> Utterance:
    return _festival(name).speak(text, manner)


# --- hibari and pico: times from espeak-ng saying the same ---

_PICO_REFERENCES = {"en-US": "en-us", "en-GB": "en", "de-DE": "de", "fr-FR": "fr", "es-ES": "es", "it-IT": "it"}


def _references(language: str, text: str, pace: float) -> list[Utterance]:
    """The sentence by a low and by a high voice of espeak-ng."""
    return [_speak_espeak(f"{language}{variant}", text, Manner(pace)) for variant in ("", "+f2")]


def _speak_hibari(name: str, text: str, manner: Manner) -> Utterance:
    signal = _to_16_khz(_hibari(name)(text, speed=manner.pace, seed=manner.seed), 24_000)
    return Utterance(signal, align.carried_phones(signal, _references("en-us", text, manner.pace)))


@functools.cache
def _hibari(name: str):
    from hibari import Hibari

    return Hibari(voice=name)


def _speak_pico(name: str, text: str, manner: Manner) -> Utterance:
    import py_nanotts

    spoken = py_nanotts.NanoTTS().speak(text, voice=name, speed=manner.pace * 0.95, pitch=manner.pitch)
    signal = np.frombuffer(spoken, "<i2").astype(np.float32) / 32768
    return Utterance(signal, align.carried_phones(signal, _references(_PICO_REFERENCES[name], text, manner.pace)))
