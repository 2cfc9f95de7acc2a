"""Phonemes: what every synthesizer's own symbols are turned into, and what the mouth is known by.

The names are lower-case ARPAbet as flite writes them ("pau" is silence) with a few more for sounds that English lacks:
"ue" (front, round and high, as in "tu"), "oe" (front, round and middle, as in "peu"), "ix" (unrounded, high, not front,
as in Russian or Turkish), "bh" (lips close but not touching, as in Spanish "lobo"). Nasal, long and toned vowels are
named by their plain vowel, palatal and breathy consonants by their plain consonant: the lips are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Phone:
    """A phoneme from `start_seconds` to `end_seconds`."""

    name: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Utterance:
    """Sound [samples] float32 at 16 kHz in -1..1, and its phonemes in order."""

    signal: np.ndarray
    phones: tuple[Phone, ...]

    @property
    def seconds(self) -> float:
        return len(self.signal) / SAMPLE_RATE


VOWELS = frozenset(
    ("aa", "ae", "ah", "ao", "aw", "ax", "ay", "eh", "er", "ey", "ih", "ix", "iy", "oe", "ow", "oy", "ue", "uh", "uw")
)
LIPS_TOGETHER = frozenset(("p", "b", "m"))
LIP_ON_TEETH = frozenset(("f", "v"))

# What a frame of sound is classed as when the speech encoder learns to hear: phonemes that look alike are one class,
# and so are those that sound too alike to be worth telling apart at 25 frames a second.
PHONE_GROUPS: tuple[tuple[str, ...], ...] = (
    ("pau",),
    ("p", "b"),
    ("m",),
    ("f", "v"),
    ("th", "dh"),
    ("t", "d"),
    ("n", "ng"),
    ("s", "z"),
    ("sh", "zh", "ch", "jh"),
    ("k", "g", "hh"),
    ("l",),
    ("r", "er"),
    ("w", "bh"),
    ("y", "iy"),
    ("ih", "ix"),
    ("ey", "eh"),
    ("ae", "ay"),
    ("aa", "ah", "aw"),
    ("ax",),
    ("ao", "ow", "oy"),
    ("uw", "uh"),
    ("ue", "oe"),
)
GROUP_OF = {name: index for index, names in enumerate(PHONE_GROUPS) for name in names}

# IPA without marks of stress, length and tone.
_IPA = {
    # vowels
    "ɑ": "aa", "a": "aa", "ä": "aa", "ɒ": "ao", "æ": "ae", "ʌ": "ah", "ɐ": "ah", "ɤ": "ah", "ə": "ax", "ɘ": "ax",
    "ᵻ": "ih", "ɔ": "ao", "o": "ow", "ɛ": "eh", "e": "ey", "ɜ": "er", "ɝ": "er", "ɚ": "er", "ɪ": "ih", "i": "iy",
    "ʊ": "uh", "u": "uw", "ʉ": "ue", "y": "ue", "ʏ": "ue", "ɥ": "ue", "ø": "oe", "œ": "oe", "ɵ": "oe", "ɞ": "oe",
    "ɶ": "oe", "ɨ": "ix", "ɯ": "ix", "ᵿ": "uh",
    # diphthongs and vowels that one symbol stands for
    "aʊ": "aw", "aw": "aw", "aɪ": "ay", "aj": "ay", "ai": "ay", "au": "aw", "eɪ": "ey", "oʊ": "ow", "əʊ": "ow",
    "ɔɪ": "oy", "ɔø": "oy", "ɔʏ": "oy", "oj": "oy", "iə": "iy", "eə": "eh", "ɪə": "ih", "ʊə": "uh", "uə": "uh",
    "aɪə": "ay", "aʊə": "aw", "aɪɚ": "ay", "ɔɹ": "ao", "oɹ": "ao", "ɑɹ": "aa", "ɛɹ": "eh", "ɪɹ": "ih", "ʊɹ": "uh",
    "ɐʊ": "aw", "əl": "l", "ɔi": "oy",
    # lips
    "p": "p", "b": "b", "ɓ": "b", "m": "m", "ɱ": "m", "β": "bh", "ɸ": "bh", "f": "f", "v": "v", "ʋ": "v", "w": "w",
    "ʍ": "w", "pf": "p",
    # tongue tip
    "θ": "th", "ð": "dh", "t": "t", "d": "d", "ʈ": "t", "ɖ": "d", "ɗ": "d", "n": "n", "ɳ": "n", "ɲ": "n", "s": "s",
    "z": "z", "ts": "s", "dz": "z", "l": "l", "ɫ": "l", "ɭ": "l", "ʎ": "l", "ɬ": "l", "ɮ": "l", "ɾ": "d", "r": "r",
    "ɹ": "r", "ɻ": "r", "ɽ": "r", "ʁ": "hh", "ʀ": "hh",
    # tongue blade and back
    "ʃ": "sh", "ʂ": "sh", "ɕ": "sh", "ʒ": "zh", "ʐ": "zh", "ʑ": "zh", "tʃ": "ch", "ʧ": "ch", "tɕ": "ch", "tʂ": "ch",
    "ʈʂ": "ch", "dʒ": "jh", "ʤ": "jh", "dʑ": "jh", "dʐ": "jh", "ç": "hh", "j": "y", "ʝ": "y", "ɟ": "g", "c": "k",
    "k": "k", "ɡ": "g", "g": "g", "q": "k", "ɢ": "g", "ŋ": "ng", "ɴ": "ng", "x": "hh", "ɣ": "g", "ɰ": "g", "χ": "hh",
    "h": "hh", "ɦ": "hh", "ħ": "hh", "ʕ": "hh", "ʔ": "k",
}  # fmt: skip
_IPA_MARKS = str.maketrans("", "", "ˈˌːˑʰʲʷˠˤ̩̯̪̞̝̥̃̊͡˞-. 0123456789˥˦˧˨˩'\"^`~")


def arpabet(ipa: str) -> str:
    """The name of an IPA symbol; an unknown symbol is judged by its first letters, "pau" when empty."""
    symbol = ipa.translate(_IPA_MARKS)
    if not symbol or symbol[0] in "_|(<;:,!?":
        return "pau"
    for length in range(len(symbol), 0, -1):
        if symbol[:length] in _IPA:
            return _IPA[symbol[:length]]
    return "ax"


def frame_groups(phones: tuple[Phone, ...], num_frames: int, fps: float = 25.0) -> np.ndarray:
    """The group (index of PHONE_GROUPS) at the middle of every frame, [num_frames] uint8; silence between phonemes."""
    groups = np.zeros(num_frames, np.uint8)
    middles = (np.arange(num_frames) + 0.5) / fps
    for phone in phones:
        inside = (middles >= phone.start_seconds) & (middles < phone.end_seconds)
        groups[inside] = GROUP_OF.get(phone.name, GROUP_OF["ax"])
    return groups
