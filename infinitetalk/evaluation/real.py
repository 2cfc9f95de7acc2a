"""Real photographs and real speech to measure on; none of it is used for training, none is shipped.

What is found on this machine is used, and named with its licence in the report. For photographs there is no true
film. Two figures are possible and both are given:

    speech with a known jaw   the photograph says held-out synthetic speech, whose jaw curve is exact
    real speech               the jaw curve follows from the recording's text: espeak-ng says it too, tells when it says
                              which phoneme, and is laid over the recording in time. How well that works is measured
                              where the truth is known, on flite's voice saying the same text, and stated with it
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from ..errors import InputError

SAMPLE_RATE = 16_000
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Photo:
    """A photograph of one person, and where it comes from."""

    name: str
    path: Path
    credit: str

    def read(self) -> np.ndarray:
        """uint8 [H,W,3]."""
        return np.array(Image.open(self.path).convert("RGB"))


@dataclass(frozen=True)
class Recording:
    """A recorded voice at 16 kHz, and where it comes from."""

    name: str
    path: Path
    text: str
    credit: str

    def read(self) -> np.ndarray:
        """[samples] float32."""
        samples, rate = soundfile.read(self.path, dtype="float32", always_2d=True)
        assert rate == SAMPLE_RATE, (self.path, rate)
        return samples[:, 0]


# Pictures inside Python packages: package, path in it, who it shows and whose it is.
_PACKAGED_PHOTOS = (
    (
        "skimage", "data/astronaut.png", "astronaut",
        "Eileen Collins by NASA (1999), public domain; in the package scikit-image",
    ),
    (
        "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "hopper",
        "Grace Hopper by James S. Davis, US Navy (1984), public domain; in the package matplotlib",
    ),
)  # fmt: skip

_LIBRIVOX = Path("/usr/share/pocketsphinx/test/data/librivox")
_LIBRIVOX_CREDIT = "reader of LibriVox, Sense and Sensibility, public domain; in Debian's package pocketsphinx-testdata"


def photos(folder: Path | None = None) -> list[Photo]:
    """The pictures of `folder`, or those that installed packages bring.

    Raises:
        InputError: `folder` was given and has no picture.
    """
    if folder is not None:
        found = sorted(path for path in folder.glob("*") if path.suffix.lower() in _PICTURES)
        if not found:
            raise InputError(f"{folder} has no picture ({', '.join(_PICTURES)}); put photographs of faces there.")
        return [Photo(path.stem, path, f"{path.name}, given with --photos") for path in found]
    present = []
    for package, inside, name, credit in _PACKAGED_PHOTOS:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            path = Path(spec.submodule_search_locations[0]) / inside
            if path.exists():
                present.append(Photo(name, path, credit))
    return present


def recordings() -> list[Recording]:
    """LibriVox recordings of Debian's pocketsphinx-testdata with their texts, the longest first; none if not there."""
    transcription = _LIBRIVOX / "transcription"
    if not transcription.exists():
        return []
    present = []
    for line in transcription.read_text().splitlines():
        text, _, name = line.rpartition(" ")
        path = _LIBRIVOX / f"{name.strip('()')}.wav"
        if path.exists():
            text = text.removeprefix("<s>").removesuffix("</s>").strip()
            present.append(Recording(path.stem.rsplit("-", 1)[-1], path, text, _LIBRIVOX_CREDIT))
    return sorted(present, key=lambda recording: -len(recording.text))


_TEACHERS = ("en-us", "en-us+f2")  # voices of espeak-ng, a low and a high one: the one more like the recording counts
_PACES = (0.8, 1.0)  # readers of books speak more slowly than synthesizers


def can_align() -> bool:
    """Whether the synthesizer that `aligned_jaw` needs is installed (Debian's espeak-ng)."""
    from synthetic_people.engines import is_present

    return is_present("espeak", _TEACHERS[0])


def aligned_jaw(samples: np.ndarray, text: str) -> np.ndarray:
    """Jaw curve [F] of speech [640 F] at 16 kHz whose text is known; a good guess, not the truth."""
    from synthetic_people.align import carried_phones
    from synthetic_people.engines import Manner, synthesize
    from synthetic_people.phones import Utterance
    from synthetic_people.visemes import JAW, mouth_shapes

    references = [synthesize("espeak", voice, text, Manner(pace)) for voice in _TEACHERS for pace in _PACES]
    spoken = Utterance(samples, carried_phones(samples, references))
    return mouth_shapes(spoken, len(samples) // 640)[:, JAW]


def spoken_truth(text: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Speech [640 F] of flite's voice slt and its exact jaw curve [F]; None where flite is not installed."""
    from synthetic_people.engines import Manner, is_present, synthesize
    from synthetic_people.phones import Utterance
    from synthetic_people.visemes import JAW, mouth_shapes

    if not is_present("flite", "slt"):
        return None
    spoken = synthesize("flite", "slt", text, Manner(1.0))
    num_frames = len(spoken.signal) // 640
    samples = spoken.signal[: 640 * num_frames]
    return samples, mouth_shapes(Utterance(samples, spoken.phones), num_frames)[:, JAW]
