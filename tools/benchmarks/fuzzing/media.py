"""Pictures, sounds and films: valid ones made on the spot, then damaged, and given to commands in every role."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

from .case import Case, spoiled_bytes

SIDE, FRAMES, RATE = 128, 10, 25
SOUND_SECONDS, SOUND_RATE = 0.4, 16_000
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
# Boxes of an MP4 and elements of a Matroska file whose numbers matter.
_BOXES = (
    b"ftyp", b"moov", b"mvhd", b"tkhd", b"mdhd", b"elst", b"stsd", b"stts", b"stsz", b"stsc", b"stco", b"ctts", b"avc1",
    b"mp4a", b"esds", b"avcC", b"mdat", b"trak",
)  # fmt: skip
_ELEMENTS = (
    b"\x2a\xd7\xb1", b"\x44\x89", b"\xb0", b"\xba", b"\xb5", b"\x9f", b"\x1f\x43\xb6\x75", b"\x16\x54\xae\x6b",
    b"\xe7", b"\xa3",
    b"\x23\xe3\x83",
)  # fmt: skip


def make_media(folder: Path, portrait: Path) -> dict[str, Path]:
    """One small valid file of every format, by its ending."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.open(portrait).convert("RGB").resize((SIDE, SIDE))
    files = {ending: folder / f"a.{ending}" for ending in ("png", "jpg", "webp", "gif")}
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(files["png"])
    picture.save(files["jpg"], exif=exif)
    picture.save(files["webp"])
    frames = [picture.rotate(2 * index) for index in range(3)]
    frames[0].save(files["gif"], save_all=True, append_images=frames[1:], duration=40)
    files |= _sounds(folder)
    films = {"mp4": (("libx264", "mpeg4"), ("aac",)), "mkv": (("libx264", "mpeg4"), ("aac",)),
             "webm": (("libvpx", "libvpx-vp9"), ("libopus", "opus", "vorbis"))}  # fmt: skip
    for ending, (pictures, sounds) in films.items():
        files[ending] = folder / f"a.{ending}"
        _write_film(files[ending], picture, pictures, sounds)
    return files


def _tone(rate: int):
    import numpy as np

    times = np.arange(round(SOUND_SECONDS * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 180 * times) * (1 - np.cos(2 * np.pi * 5 * times))).astype("float32")


def _sounds(folder: Path) -> dict[str, Path]:
    import av
    import soundfile

    files = {ending: folder / f"a.{ending}" for ending in ("wav", "mp3", "flac")}
    for file in files.values():
        soundfile.write(file, _tone(SOUND_RATE), SOUND_RATE)
    files["ogg"] = folder / "a.ogg"  # by FFmpeg: libsndfile gives every stream another number
    with av.open(str(files["ogg"]), "w", options={"fflags": "+bitexact"}) as container:
        _write_sound(container, container.add_stream(_first_codec(("libopus", "libvorbis", "flac")), 48_000))
    return files


def _write_film(file: Path, picture, picture_codecs: tuple[str, ...], sound_codecs: tuple[str, ...]) -> None:
    import av
    import numpy as np

    rate = 48_000
    with av.open(str(file), "w", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream(_first_codec(picture_codecs), RATE, options={"threads": "1"})
        video.width = video.height = SIDE
        video.pix_fmt = "yuv420p"
        audio = container.add_stream(_first_codec(sound_codecs), rate, layout="mono")
        for index in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.roll(np.asarray(picture), index, axis=1), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        _write_sound(container, audio)


def _write_sound(container, stream) -> None:
    import av
    import numpy as np

    samples = (_tone(stream.rate)[None] * 32767).astype(np.int16)
    sound = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    sound.sample_rate, sound.pts = stream.rate, 0
    container.mux(stream.encode(sound))
    container.mux(stream.encode(None))


def _first_codec(names: tuple[str, ...]) -> str:
    import av

    for name in names:
        try:
            av.codec.Codec(name, "w")
            return name
        except ValueError:
            continue
    raise ValueError(f"this FFmpeg encodes none of {', '.join(names)}")


# --- header fields ---------------------------------------------------------------------------------------------------


def spoiled_header(data: bytes, ending: str, random: Random) -> tuple[bytes, str]:
    """A number of the format's own header at an extreme; checksums are made to fit."""
    fields = {"png": _png, "wav": _wav, "gif": _gif, "jpg": _jpeg, "mp4": _boxes, "mkv": _elements, "webm": _elements}
    return fields.get(ending, _somewhere)(data, random)


def _put(data: bytes, at: int, form: str, value: int) -> bytes:
    packed = struct.pack(form, value & ((1 << (8 * struct.calcsize(form))) - 1))
    return data[:at] + packed + data[at + len(packed) :]


def _png(data: bytes, random: Random) -> tuple[bytes, str]:
    at, form, name = random.choice(
        (
            (16, ">I", "width"),
            (20, ">I", "height"),
            (24, "B", "depth"),
            (25, "B", "colour type"),
            (28, "B", "interlace"),
        )
    )
    value = random.choice((*EXTREMES, 15, 16, 20_000, 2**20))
    changed = _put(data, at, form, value)
    changed = _put(changed, 29, ">I", zlib.crc32(changed[12:29]))
    return changed, f"the PNG's {name} is {value}, with a fitting checksum"


def _wav(data: bytes, random: Random) -> tuple[bytes, str]:
    at, form, name = random.choice(
        ((4, "<I", "size"), (20, "<H", "format"), (22, "<H", "channels"), (24, "<I", "rate"), (28, "<I",
        "bytes a second"),
         (32, "<H", "block"), (34, "<H", "bits"), (40, "<I", "data size"))
    )  # fmt: skip
    value = random.choice((*EXTREMES, 3, 8, 24, 64, 1000, 192_000))
    return _put(data, at, form, value), f"the WAV's {name} is {value}"


def _gif(data: bytes, random: Random) -> tuple[bytes, str]:
    at, name = random.choice(((6, "width"), (8, "height")))
    value = random.choice((0, 1, 15, 0x7FFF, 0xFFFF))
    return _put(data, at, "<H", value), f"the GIF's {name} is {value}"


def _jpeg(data: bytes, random: Random) -> tuple[bytes, str]:
    start = data.find(b"\xff\xc0")
    at, form, name = random.choice(((2, ">H", "length"), (4, "B", "depth"), (5, ">H", "height"), (7, ">H", "width"),
                                    (9, "B", "components")))  # fmt: skip
    value = random.choice((0, 1, 15, 0x7F, 0xFF, 0x7FFF, 0xFFFF))
    return _put(data, start + at, form, value), f"the JPEG's {name} is {value}"


def _boxes(data: bytes, random: Random) -> tuple[bytes, str]:
    places = [(name, match.start()) for name in _BOXES for match in re.finditer(name, data)]
    name, start = random.choice(places)
    offset = random.choice((-4, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40))
    value = random.choice(EXTREMES)
    return _put(data, start + offset, ">I", value), f"{value} at {offset:+d} of the box {name.decode()}"


def _elements(data: bytes, random: Random) -> tuple[bytes, str]:
    places = [(name, match.start()) for name in _ELEMENTS for match in re.finditer(re.escape(name), data[:4096])]
    name, start = random.choice(places)
    at, form = start + len(name) + random.choice((0, 1)), random.choice(("B", ">H", ">I", ">Q"))
    value = random.choice((*EXTREMES, 2**63, 2**64 - 1))
    return _put(data, at, form, value), f"{value} as {form} after the element {name.hex()} at byte {start}"


def _somewhere(data: bytes, random: Random) -> tuple[bytes, str]:
    at, form, value = random.randrange(4, 64), random.choice(("<I", ">I", "<H", ">H", "B")), random.choice(EXTREMES)
    return _put(data, at, form, value), f"{value} as {form} at byte {at}"


# --- cases -----------------------------------------------------------------------------------------------------------

_PICTURES, _SOUNDS, _FILMS = ("png", "jpg", "webp", "gif"), ("wav", "mp3", "flac", "ogg"), ("mp4", "webm", "mkv")
_SHORT = ("--max-seconds", "0.2")

Roles = dict[str, Callable[[str], list[str]]]
SHOWN: Roles = {
    "source": lambda file: ["--source", file, "--audio", "voice.wav"],
    "keyframe": lambda file: ["--source", "portrait.png", "--audio", "voice.wav", "--keyframe", f"0.1={file}"],
}
HEARD: Roles = {
    "audio": lambda file: ["--source", "portrait.png", "--audio", file],
    "audio2": lambda file: ["--source", "portrait.png", "--audio", "voice.wav", "--audio2", file],
}
FILMED: Roles = {
    "head": lambda file: ["--source", "portrait.png", "--audio", "voice.wav", "--head", file],
    "pose": lambda file: ["--source", "portrait.png", "--audio", "voice.wav", "--pose", file],
    "background": lambda file: ["--source", file, "--audio", "voice.wav", "--background", "1", "--output-rate",
    "source",
                                "--long-source", "keep"],
    "both": lambda file: ["--source", file, "--audio", file],
}  # fmt: skip
COMMANDS: Roles = {
    "pose command": lambda file: ["pose", file, "--seconds", "0.2"],
    "camera command": lambda file: ["camera", file, "--seconds", "0.2"],
    "camera picture": lambda file: ["camera", "orbit", "--picture", file, "--seconds", "0.2"],
    "compare command": lambda file: ["compare", file, "film.mp4", "--output", "comparison.mp4"],
    "compare page": lambda file: ["compare", file, "film.mp4", "--output", "comparison.html"],
    "composite command": lambda file: ["composite", file, "--source", "portrait.png"],
    "composite source": lambda file: ["composite", "film.mp4", "--source", file],
}


def media_case(random: Random, media: dict[str, Path], odd: dict[str, Path], folder: Path) -> Case:
    """A damaged or odd file in `folder` and a command that reads it; what else the command names lies there too."""
    if random.random() < 0.3:
        name = random.choice(sorted(odd))
        data, damage = odd[name].read_bytes(), "undamaged"
        if random.random() < 0.2:
            data, damage = spoiled_bytes(data, random, [data])
        ending = name.rpartition(".")[2]
        (folder / f"bad.{ending}").write_bytes(data)
        role, argv = _role(random, ending, f"bad.{ending}")
        return Case(f"the odd {name}, {damage}, as {role}", argv)
    ending = random.choice((*_PICTURES, *_SOUNDS, *_FILMS, *_FILMS))
    data = media[ending].read_bytes()
    if random.random() < 0.45:
        changed, damage = spoiled_header(data, ending, random)
    else:
        others = [media[name].read_bytes() for name in sorted(media)]
        changed, damage = spoiled_bytes(data, random, others)
    shown_as = ending if random.random() < 0.9 else random.choice((*_PICTURES, *_SOUNDS, *_FILMS, "txt", "npz", "json"))
    file = f"bad.{shown_as}"
    (folder / file).write_bytes(changed)
    role, argv = _role(random, ending, file)
    return Case(f"{damage}; a {ending}{'' if shown_as == ending else f' named .{shown_as}'} as {role}", argv)


def _role(random: Random, ending: str, file: str) -> tuple[str, list[str]]:
    roles = SHOWN if ending in _PICTURES else HEARD if ending in _SOUNDS else SHOWN | HEARD | FILMED
    if ending not in _SOUNDS and random.random() < 0.2:
        name = random.choice(sorted(COMMANDS))
        return name, COMMANDS[name](file)
    role = random.choice(sorted(roles))
    if random.random() < 0.35:
        return f"{role} of generate", ["generate", *roles[role](file), *_SHORT, "--steps", "1", "--job-dir", "job"]
    return f"{role} of plan", ["plan", *roles[role](file), *_SHORT]
