"""What a file is, before anything is decoded, and one clear sentence when it is not what was expected."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition, Stream
from PIL import Image, UnidentifiedImageError

from ..config.constants import FRAMES_PER_SECOND
from ..errors import MediaError
from ..files import check_file
from .limits import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, NARROWEST_PIXEL, WIDEST_PIXEL, max_seconds
from .picture_files import DAMAGED, PICTURES, open_picture

Kind = Literal["image", "video", "audio"]

MAX_IMAGE_PIXELS = 150_000_000  # decoded at full size this is 450 MB
MAX_JPEG_PIXELS = 400_000_000  # JPEGs are decoded at a fraction of their size, so larger ones still fit
MAX_VIDEO_PIXELS = 64_000_000  # of one frame; 8K is 33 million

_FILMS = "an MP4, MOV, WebM or MKV video"
_SOUNDS = "a WAV, MP3, M4A, OGG or FLAC sound, or a video with a sound track"
_ANYTHING = f"{PICTURES}, {_FILMS}, or {_SOUNDS}"

# Only containers that hold their media themselves. Playlists and scripts (concat, hls, sdp, image2) would let an
# uploaded file name other files of this machine or addresses of the network.
_CONTAINERS = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,gif,apng,rm,mxf,m4v,h264,hevc,ivf,dv,y4m,yuv4mpegpipe,"
    "wav,w64,rf64,mp3,aac,ogg,flac,aiff,aif,au,caf,ac3,eac3,amr,amrnb,amrwb,wv,ape,tta,dsf,voc,opus,mp2,dts,truehd"
)
_MOVING_IMAGES = {"GIF", "PNG"}  # formats in which several frames mean a film, and which FFmpeg can play
_JUMPING_FORMATS = ("mpeg", "mpegts")
JUMP_SECONDS = 1  # back in time; reordered pictures go back by less
_MATROSKA_SEGMENT = 0x18538067
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"}


@dataclass(frozen=True)
class MediaInfo:
    """One file, as a player would show it.

    width, height: in pixels after rotation; 0 for a sound.
    rotation: degrees counter-clockwise by which stored pictures are turned to be shown (0, 90, 180 or 270).
    duration_seconds: None for an image; for compressed sound what the container says, exact after decoding only.
    fps: mean frame rate of a video, None otherwise. sample_rate, channels: 0 without sound. notes: what to know before
    it is used, one sentence each.
    """

    path: Path
    kind: Kind
    width: int = 0
    height: int = 0
    rotation: int = 0
    duration_seconds: float | None = None
    fps: float | None = None
    has_audio: bool = False
    sample_rate: int = 0
    channels: int = 0
    format: str = ""
    codec: str = ""
    notes: tuple[str, ...] = ()


def probe(path: str | os.PathLike, expected: str = _ANYTHING) -> MediaInfo:
    """What `path` holds; reads headers, and one picture to see that there is one.

    Args:
        expected: completes the sentence when it holds nothing of the kind.

    Raises:
        MediaError: missing, folder, no permission, empty, damaged, gigantic, or no picture, video or sound at all.
    """
    path = check_readable(path)
    image = _probe_image(path)
    return image if image is not None else _probe_container(path, expected)


def require_source(path: str | os.PathLike) -> MediaInfo:
    """`probe`, and an error unless the file can be shown: a picture or a video."""
    info = probe(path, f"{PICTURES} or {_FILMS}")
    if info.kind == "audio":
        raise MediaError(
            f"{info.path.name} is a sound, a picture or video was expected; choose {PICTURES} or {_FILMS}."
        )
    return info


def require_sound(path: str | os.PathLike) -> MediaInfo:
    """`probe`, and an error unless the file can be heard: a sound, or a video with a sound track."""
    info = probe(path, _SOUNDS)
    if info.kind == "image":
        raise MediaError(f"{info.path.name} is a picture, a sound was expected; choose {_SOUNDS}.")
    if not info.has_audio:
        raise MediaError(f"{info.path.name} is a video without a sound track, speech was expected; choose {_SOUNDS}.")
    return info


def check_readable(path: str | os.PathLike) -> Path:
    """`path` as a Path.

    Raises:
        MediaError: if it is not a file with at least one byte that this user may read.
    """
    return check_file(path, MediaError)


@contextmanager
def open_container(path: Path, expected: str = _ANYTHING) -> Iterator[InputContainer]:
    """`path` opened by FFmpeg, limited to self-contained formats on the local disk.

    Raises:
        MediaError: if it cannot be opened.
    """
    try:
        container = av.open(
            f"file:{path.absolute()}",
            container_options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"},
            metadata_errors="replace",  # tags in other encodings than UTF-8 are common and none of our business
        )
    except (av.error.FFmpegError, UnicodeError) as error:
        raise _unreadable(path, expected) from error
    with container:
        yield container


def video_stream(container: InputContainer) -> av.VideoStream | None:
    """The stream a player would show; covers of music files do not count."""
    streams = [
        s for s in container.streams.video
        if not s.disposition & Disposition.attached_pic and getattr(s, "codec_context", None) is not None
    ]  # fmt: skip
    if not streams:
        return None
    best = container.streams.best("video")
    return best if isinstance(best, av.VideoStream) and best in streams else streams[0]


def audio_stream(container: InputContainer) -> av.AudioStream | None:
    """The sound a player would play."""
    best = container.streams.best("audio")
    if not isinstance(best, av.AudioStream) or getattr(best, "codec_context", None) is None:
        return None  # without a codec there is nothing to hear
    return best


def display_turn(frame: av.VideoFrame) -> tuple[int, bool]:
    """(degrees counter-clockwise, mirrored left-right afterwards) that show `frame` upright.

    Read from the display matrix (FFmpeg's libavutil/display.h); angles between quarter turns are rounded.
    """
    try:
        side_data: Any = frame.side_data
        matrix = struct.unpack("<9i", bytes(side_data["DISPLAYMATRIX"])[:36])
    except KeyError:
        return 0, False
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    mirrored = a * d - b * c < 0
    if mirrored:
        a, c = -a, -c
    degrees = math.degrees(math.atan2(-b, a))
    return round(degrees / 90) * 90 % 360, mirrored


def decode_errors(path: Path, error: Exception) -> MediaError:
    """The sentence for a file whose header was good and whose content is not."""
    cause = getattr(error, "strerror", None) or type(error).__name__
    return MediaError(f"{path.name} is damaged or incomplete ({cause}); copy or export it again.")


def _probe_image(path: Path) -> MediaInfo | None:
    """None if `path` is not a picture that Pillow knows, or is a moving one."""
    try:
        image = open_picture(path)
    except UnidentifiedImageError:
        if _is_heif(path):  # FFmpeg would take one of its tiles for a film
            raise MediaError(
                f"{path.name} is a damaged or unknown HEIC picture; copy it again, or save it as JPEG or PNG."
            ) from None
        return None
    except Image.DecompressionBombError as error:
        raise MediaError(
            f"{path.name} has far too many pixels; make it smaller than {MAX_IMAGE_PIXELS // 1_000_000} megapixels."
        ) from error
    except DAMAGED as error:
        raise decode_errors(path, error) from error
    with image:
        if image.format in _MOVING_IMAGES and getattr(image, "n_frames", 1) > 1:
            return None
        check_image_size(path, image)
        _check_complete(path)
        width, height = image.size
        codec = image.format or ""
        moves = codec in ("WEBP", "AVIF") and getattr(image, "n_frames", 1) > 1
        try:
            orientation = image.getexif().get(0x0112, 1)
        except DAMAGED as error:
            raise decode_errors(path, error) from error
    turned = orientation in (5, 6, 7, 8)
    return MediaInfo(
        path=path,
        kind="image",
        width=height if turned else width,
        height=width if turned else height,
        rotation={3: 180, 4: 180, 5: 90, 6: 270, 7: 270, 8: 90}.get(orientation, 0),
        format=codec.lower(),
        codec=codec.lower(),
        notes=(f"{path.name} is an animation, of which the first picture is used.",) if moves else (),
    )


def _is_heif(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


def check_image_size(path: Path, image: Image.Image) -> None:
    """Raises MediaError for a picture that would not fit in memory or is too thin to show anything."""
    width, height = image.size
    limit = MAX_JPEG_PIXELS if image.format in ("JPEG", "MPO") else MAX_IMAGE_PIXELS
    if width * height > limit:
        raise MediaError(
            f"{path.name} is {width} × {height} pixels ({width * height / 1e6:.0f} megapixels), at most "
            f"{limit // 1_000_000} fit in memory; make it smaller first."
        )
    if min(width, height) < 16:
        raise MediaError(
            f"{path.name} is only {width} × {height} pixels; choose a picture of at least 16 × 16, better 256 × 256."
        )


def _check_complete(path: Path) -> None:
    """Raises MediaError for a cut or damaged picture, without decoding it at full size."""
    try:
        with open_picture(path) as image:
            if image.format == "PNG":
                image.verify()  # checksums; other formats have none
            else:
                image.draft(None, (64, 64))  # JPEG at an eighth; nothing for others
                image.load()
    except DAMAGED as error:
        raise decode_errors(path, error) from error


def _probe_container(path: Path, expected: str) -> MediaInfo:
    with open_container(path, expected) as container:
        video = video_stream(container)
        audio = audio_stream(container)
        if video is None and audio is None:
            raise _unreadable(path, expected)
        _check_not_cut(path, container)
        sound = {}
        if audio is not None:
            context = audio.codec_context
            sound = {"has_audio": True, "sample_rate": context.sample_rate, "channels": context.channels}
            if not (context.sample_rate and context.channels):
                raise _unreadable(path, expected)
            _check_sound(path, context.sample_rate, context.channels)
        if video is None:
            assert audio is not None
            duration_seconds = _duration_seconds(path, container, audio)
            check_seconds(path, duration_seconds)
            return MediaInfo(
                path=path,
                kind="audio",
                duration_seconds=duration_seconds,
                format=container.format.name,
                codec=audio.codec_context.name,
                **sound,
            )
        notes: tuple[str, ...] = ()
        if video.codec_context.width * video.codec_context.height > MAX_VIDEO_PIXELS:
            raise MediaError(
                f"{path.name} has frames of {video.codec_context.width} × {video.codec_context.height} pixels, more "
                "than can be decoded here; export it at 4K or less."
            )
        rate = video.average_rate or video.guessed_rate
        duration_seconds = _duration_seconds(path, container, video)
        if _is_cut_matroska(path, container):
            stated, duration_seconds = duration_seconds, _counted(path, video.index, video.type).seconds
            held = f"{duration_seconds:.2f} of the {stated:.2f} s that its header states"
            notes = (f"{path.name} is cut short: it holds {held}.",)
        check_seconds(path, duration_seconds)
        format_name, codec = container.format.name, video.codec_context.name
        aspect = pixel_aspect(video)
    frame = _first_frame(path, expected)
    degrees, _ = display_turn(frame)
    width, height = _displayed(frame.width, frame.height, aspect)
    turned = degrees in (90, 270)
    return MediaInfo(
        path=path,
        kind="video",
        width=height if turned else width,
        height=width if turned else height,
        rotation=degrees,
        duration_seconds=duration_seconds,
        fps=float(rate) if rate else None,
        format=format_name,
        codec=codec,
        notes=notes,
        **sound,
    )


def _first_frame(path: Path, expected: str) -> av.VideoFrame:
    """From the file opened anew: a raw stream cannot be wound back."""
    from .decoding import Damage, decoded

    with open_container(path, expected) as container:
        stream = video_stream(container)
        for frame in decoded(path, container, stream, Damage()):
            if frame.width and frame.height:
                return frame
    raise MediaError(f"{path.name} holds no frame that can be shown; choose {_FILMS}.")


def pixel_aspect(stream: av.VideoStream) -> float:
    """Width of a stored pixel as it is displayed, against its height: 4/3 and the like for DV, DVD and anamorphic."""
    aspect = float(stream.sample_aspect_ratio or 0)
    return aspect if NARROWEST_PIXEL <= aspect <= WIDEST_PIXEL else 1.0


def _displayed(width: int, height: int, aspect: float) -> tuple[int, int]:
    """Width and height with square pixels; the narrower side grows, so that no detail is lost."""
    return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))


def check_seconds(path: Path, seconds: float) -> None:
    """Raises MediaError for a file that lasts longer than anything that is read."""
    if not seconds <= max_seconds():
        raise MediaError(
            f"{path.name} lasts {seconds / 3600:.1f} hours, at most {max_seconds() / 3600:g} are read here; cut out "
            "the part that you need."
        )


def _check_sound(path: Path, rate: int, channels: int) -> None:
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE or channels > MAX_CHANNELS:
        raise MediaError(
            f"{path.name} has {channels} channels at {rate} Hz; export it with at most {MAX_CHANNELS} channels at "
            "8,000 to 192,000 Hz."
        )


def _duration_seconds(path: Path, container: InputContainer, stream: Stream) -> float:
    """Of `stream`; recordings of browsers carry none, then the packets are counted (fast: nothing is decoded).

    So are those of DVDs and broadcasts: their times may begin anew within a file.
    """
    if container.format.name in _JUMPING_FORMATS:
        return _counted(path, stream.index, stream.type).seconds
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    start_seconds = float((stream.start_time or 0) * (stream.time_base or 0))
    if (stop_seconds := _matroska_stop_seconds(stream)) is not None:
        return max(0.0, stop_seconds - start_seconds)
    if container.duration is not None:
        return max(0.0, (container.duration + (container.start_time or 0)) / av.time_base - start_seconds)
    return _counted(path, stream.index, stream.type).seconds


class _Counted(NamedTuple):
    seconds: float
    jumps: bool  # whether the times begin anew


def _counted(path: Path, index: int, kind: str) -> _Counted:
    """From the times of all packets, or from their number where a raw stream has no times."""
    stop, start, untimed = Fraction(0), None, 0
    offset, before, jumps = Fraction(0), None, False
    with open_container(path) as container:
        stream = container.streams[index]
        rate = getattr(stream, "average_rate", None) or getattr(stream, "guessed_rate", None)
        with suppress(av.error.FFmpegError):  # what is behind the damage does not play either
            for packet in container.demux(stream):
                if packet.pts is None or packet.time_base is None:
                    untimed += packet.size > 0
                    continue
                coded = (packet.pts if packet.dts is None else packet.dts) * packet.time_base
                if before is not None and coded < before - JUMP_SECONDS:
                    offset, jumps = stop - packet.pts * packet.time_base, True
                before = coded
                begin = offset + packet.pts * packet.time_base
                start = begin if start is None else min(start, begin)
                stop = max(stop, begin + (packet.duration or 0) * packet.time_base)
    if start is None and kind == "video":
        return _Counted(float(untimed / (rate or FRAMES_PER_SECOND)), False)
    return _Counted(float(stop - (start or 0)), jumps)


def times_begin_anew(path: Path, container: InputContainer, stream: Stream) -> bool:
    """Whether a file's times jump back, as those of joined DVD titles do; then it cannot be sought in."""
    return container.format.name in _JUMPING_FORMATS and _counted(path, stream.index, stream.type).jumps


def _matroska_stop_seconds(stream: Stream) -> float | None:
    """Matroska has one duration for the whole file; most writers add each stream's end as a tag "00:00:04.040…"."""
    try:
        hours, minutes, seconds = stream.metadata["DURATION"].rstrip("\0").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except (KeyError, ValueError):
        return None


def _check_not_cut(path: Path, container: InputContainer) -> None:
    """An MP4 knows where each of its packets lies, so a missing tail is seen without decoding."""
    if "mp4" not in container.format.name:
        return
    size = path.stat().st_size
    for stream in container.streams:
        entries = stream.index_entries
        if len(entries) and entries[-1].pos + entries[-1].size > size:
            last = len(entries) - 1
            present = next((i for i in range(last, -1, -1) if entries[i].pos + entries[i].size <= size), 0)
            raise MediaError(
                f"{path.name} is cut short: only {100 * present // last if last else 0} % of it is there; "
                "copy or export it again."
            )


def _is_cut_matroska(path: Path, container: InputContainer) -> bool:
    """Whether an MKV or WebM is shorter than its header states; it plays as far as it goes."""
    length = _matroska_bytes(path) if "matroska" in container.format.name else None
    return length is not None and length > path.stat().st_size


def _matroska_bytes(path: Path) -> int | None:
    """The length of the whole file that the header of an MKV or WebM states; None where it states none.

    EBML (RFC 8794): an id and a size, both of variable length, before each element; the second one is the segment.
    """
    with path.open("rb") as file:
        head = file.read(4096)

    def number(at: int, keep_marker: bool) -> tuple[int, int]:
        """The number at a place, and the place behind it; -1 for an unknown size."""
        length = 9 - head[at].bit_length()
        value = int.from_bytes(head[at : at + length], "big")
        if keep_marker:
            return value, at + length
        value &= (1 << 7 * length) - 1
        return (-1 if value == (1 << 7 * length) - 1 else value), at + length

    try:
        _, at = number(0, True)
        size, at = number(at, False)
        name, at = number(at + size, True)
        size, at = number(at, False)
    except IndexError:
        return None
    return at + size if name == _MATROSKA_SEGMENT and size >= 0 else None


def _unreadable(path: Path, expected: str) -> MediaError:
    """Says what the first bytes look like, so that the user knows whether the file is damaged or another kind."""
    with path.open("rb") as file:
        head = file.read(4096)
    known = {
        b"\xff\xd8\xff": "JPEG picture",
        b"\x89PNG": "PNG picture",
        b"GIF8": "GIF picture",
        b"OggS": "OGG sound",
        b"fLaC": "FLAC sound",
        b"ID3": "MP3 sound",
        b"\x1a\x45\xdf\xa3": "WebM or MKV video",
    }
    names = [name for magic, name in known.items() if head.startswith(magic)]
    if head[:4] == b"RIFF":
        names = {b"WAVE": ["WAV sound"], b"WEBP": ["WebP picture"], b"AVI ": ["AVI video"]}.get(head[8:12], [])
    if head[4:8] == b"ftyp":
        names = ["MP4 or MOV video"]
    if names:
        return MediaError(f"{path.name} begins like a {names[0]} but is damaged or cut short; copy or export it again.")
    what = "is text" if _is_text(head) else "is of a kind that cannot be read"
    return MediaError(f"{path.name} {what}; choose {expected}.")


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head[: max(1, len(head) - 3)].decode("utf-8")  # the last character may be cut in two
    except UnicodeDecodeError:
        return False
    return True


__all__ = [
    "MediaInfo",
    "check_readable",
    "display_turn",
    "open_container",
    "probe",
    "require_sound",
    "require_source",
    "video_stream",
]
