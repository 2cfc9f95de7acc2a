"""Voices: text in, sound with phoneme times out; which voices train and which are kept for measuring.

The synthesizers are in `engines`. A voice's language decides which sentences it is given (`sentences.make_sentence`).
Held out are voices of every kind, and three languages that no training voice speaks: Catalan, Portuguese, Japanese.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import engines
from .phones import SAMPLE_RATE, Phone, Utterance, arpabet

__all__ = ["SAMPLE_RATE", "VOICES", "Phone", "Utterance", "Voice", "arpabet", "choose_voice", "speak", "voices"]


@dataclass(frozen=True)
class Voice:
    """One way of speaking.

    voice_id: what clips are labelled with. engine_voice: the synthesizer's own name. language: as in
    `sentences.LANGUAGES`. share: how often `choose_voice` takes it, relative to the others.
    """

    voice_id: int
    name: str
    engine: str
    engine_voice: str
    held_out: bool = False
    language: str = "en"
    share: float = 1.0


_NATURAL = (
    Voice(0, "flite-rms", "flite", "rms", share=4),
    Voice(1, "flite-slt", "flite", "slt", share=4),
    Voice(2, "flite-kal", "flite", "kal16", share=2),
    Voice(3, "hibari-heart", "hibari", "heart", share=4),
    Voice(4, "pico-us", "pico", "en-US", share=3),
    Voice(5, "espeak-us", "espeak", "en-us", share=0.5),
    Voice(6, "espeak-f3", "espeak", "en-us+f3", share=0.5),
    Voice(7, "espeak-scottish", "espeak", "en-gb-scotland+m3", share=0.5),
    Voice(8, "festival-slt", "festival", "cmu_us_slt_arctic_hts", share=2),
    Voice(9, "festival-kal", "festival", "kal_diphone", share=2),
    Voice(10, "festival-italian-lp", "festival", "lp_diphone", language="it", share=2),
    Voice(11, "festival-russian", "festival", "msu_ru_nsh_clunits", language="ru", share=3),
    Voice(12, "festival-finnish-lj", "festival", "suo_fi_lj_diphone", language="fi", share=1.5),
    Voice(13, "festival-finnish-mv", "festival", "hy_fi_mv_diphone", language="fi", share=1.5),
    Voice(14, "festival-czech-ph", "festival", "czech_ph", language="cs", share=1.5),
    Voice(15, "festival-czech-dita", "festival", "czech_dita", language="cs", share=2),
    Voice(16, "festival-czech-machac", "festival", "czech_machac", language="cs", share=2),
    Voice(17, "pico-de", "pico", "de-DE", language="de", share=2),
    Voice(18, "pico-fr", "pico", "fr-FR", language="fr", share=2),
    Voice(19, "pico-es", "pico", "es-ES", language="es", share=2),
)
# language, espeak-ng's voice, variants: tract and pitch of another speaker
_ESPEAK = (
    ("en", "en", "m1 f1 m7"), ("en", "en-us", "Alex linda m5 robert"), ("en", "en-gb-x-rp", "f5 m2"),
    ("de", "de", "m3 f2 Denis"), ("fr", "fr", "m4 f4 Jacky"), ("es", "es", "m2 f3"), ("es", "es-419", "m6 Alicia"),
    ("it", "it", "m5 f5"), ("pl", "pl", "m1 f2"), ("ru", "ru", "m7 f1"), ("uk", "uk", "m2 f4"), ("tr", "tr", "m4 f3"),
    ("hi", "hi", "m3 f5"), ("cmn", "cmn-latn-pinyin", "m1 f4 Lee"), ("nl", "nl", "m6 f2"), ("sv", "sv", "m7 f3"),
    ("ro", "ro", "m4 f1"), ("hu", "hu", "m2 f5"), ("el", "el", "m5 f2"), ("id", "id", "m3 f4"),
)  # fmt: skip
_HELD_OUT = (
    Voice(100, "flite-awb", "flite", "awb", held_out=True, share=2),
    Voice(101, "pico-gb", "pico", "en-GB", held_out=True, share=2),
    Voice(102, "festival-ked", "festival", "ked_diphone", held_out=True, share=2),
    Voice(103, "festival-catalan", "festival", "upc_ca_ona_hts", held_out=True, language="ca", share=2),
    Voice(104, "espeak-pt-Andrea", "espeak", "pt-br+Andrea", held_out=True, language="pt"),
    Voice(105, "espeak-ja-f4", "espeak", "ja+aunty", held_out=True, language="ja"),
    Voice(106, "pico-it", "pico", "it-IT", held_out=True, language="it"),
    Voice(107, "festival-italian-pc", "festival", "pc_diphone", held_out=True, language="it"),
    Voice(108, "festival-czech-krb", "festival", "czech_krb", held_out=True, language="cs"),
)


def _espeak_voices() -> tuple[Voice, ...]:
    pairs = [(language, f"{voice}+{variant}") for language, voice, names in _ESPEAK for variant in names.split()]
    return tuple(
        Voice(20 + index, f"espeak-{voice.replace('+', '-')}", "espeak", voice, language=language, share=0.45)
        for index, (language, voice) in enumerate(pairs)
    )


VOICES = (*_NATURAL, *_espeak_voices(), *_HELD_OUT)


def voices(split: str) -> list[Voice]:
    """The voices of a split, "train" or "heldout", that this machine can speak with.

    Raises RuntimeError when there is none.
    """
    held_out = split == "heldout"
    chosen = [v for v in VOICES if v.held_out == held_out and engines.is_present(v.engine, v.engine_voice)]
    if not chosen:
        raise RuntimeError(
            f"no synthesizer for the {split} voices; install requirements-train.txt and Debian's flite, espeak-ng"
        )
    return chosen


def choose_voice(split: str, rng: np.random.Generator) -> Voice:
    """A voice of the split, the natural ones more often than the many of espeak-ng."""
    choices = voices(split)
    shares = np.asarray([voice.share for voice in choices])
    return choices[rng.choice(len(choices), p=shares / shares.sum())]


def speak(voice: Voice, text: str, rng: np.random.Generator) -> Utterance:
    """Say one sentence, with a pitch, pace and vocal-tract size drawn from `rng`.

    Raises RuntimeError when the synthesizer cannot speak the text.
    """
    size = float(rng.uniform(0.88, 1.16))
    pace = float(np.clip(rng.normal(1.0, 0.13), 0.72, 1.35)) / size
    manner = engines.Manner(pace, float(rng.uniform(0.82, 1.22)), int(rng.integers(1 << 30)))
    # Playing faster raises pitch and formants together: another, smaller speaker. The pace is made up for.
    return _resized(engines.synthesize(voice.engine, voice.engine_voice, text, manner), size)


def _resized(utterance: Utterance, factor: float) -> Utterance:
    from scipy.signal import resample_poly

    up, down = 50, round(50 * factor)
    signal = resample_poly(utterance.signal, up, down).astype(np.float32)
    scale = up / down
    phones = tuple(Phone(p.name, p.start_seconds * scale, p.end_seconds * scale) for p in utterance.phones)
    return Utterance(signal, phones)
