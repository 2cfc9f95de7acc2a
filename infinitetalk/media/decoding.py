"""Decoding packet by packet: damaged ones are skipped and counted, and a film is refused only when much is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer

from ..errors import MediaError

MOST_LOST = 0.2  # share of a file's packets; beyond it the result would no longer be the film
_MOST_LOST_AT_ONCE = 100  # packets without a frame between them
_LEAST_MISSING_SECONDS = 0.1
_DEMUX_ERRORS = 20  # places at which the container itself is damaged


@dataclass
class Damage:
    """Packets that could not be decoded, of those that were read.

    missing_seconds: of a sound, what it is shorter than its header states.
    """

    packets: int = 0
    skipped: int = 0
    in_a_row: int = 0
    cause: str = ""
    missing_seconds: float = 0.0

    def decoded(self) -> None:
        self.packets += 1
        self.in_a_row = 0

    def skip(self, path: Path, error: Exception) -> None:
        """Raises MediaError once much is lost."""
        self.packets += 1
        self.skipped += 1
        self.in_a_row += 1
        self.cause = getattr(error, "strerror", None) or type(error).__name__
        if self.in_a_row > _MOST_LOST_AT_ONCE:
            self.check(path, MOST_LOST)

    def check(self, path: Path, most: float = MOST_LOST) -> None:
        """Raises MediaError if more than the share `most` of the packets was lost."""
        if self.skipped > most * max(1, self.packets):
            raise MediaError(f"{path.name} is damaged or incomplete ({self.cause}); copy or export it again.")

    def notes(self, name: str) -> list[str]:
        """What to say of a file that can be used all the same."""
        if not self.skipped:
            missing = self.missing_seconds
            return [f"{name} lacks {missing:.2f} s, which are damaged."] if missing > _LEAST_MISSING_SECONDS else []
        parts = "one damaged part" if self.skipped == 1 else f"{self.skipped} damaged parts"
        return [f"{name} has {parts}, which {'is' if self.skipped == 1 else 'are'} left out."]


def decoded(path: Path, container: InputContainer, stream: Any, damage: Damage) -> Iterator[Any]:
    """The frames of a video or audio stream from where the container stands.

    Raises:
        MediaError: much of it is damaged.
    """
    decoder = _decoder_with_alpha(stream)
    for packet in _packets(container, stream, damage):
        try:
            frames = packet.decode() if decoder is None else decoder.decode(packet if packet.size else None)
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, ValueError) as error:
            damage.skip(path, error)
            continue
        if frames:
            damage.decoded()
        yield from frames
    damage.check(path)


def _packets(container: InputContainer, stream: Any, damage: Damage) -> Iterator[Any]:
    """All packets; where the container is damaged, reading goes on behind the damage."""
    for _ in range(_DEMUX_ERRORS):
        try:
            yield from container.demux(stream)
            return
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            damage.skipped += 1
            damage.packets += 1
            damage.cause = getattr(error, "strerror", None) or type(error).__name__


def _decoder_with_alpha(stream: Any) -> Any:
    """libvpx's decoder for VP8 and VP9 whose transparency lies beside the pictures; FFmpeg's own drops it."""
    if stream.type != "video" or stream.metadata.get("alpha_mode") != "1":
        return None
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if name is None or name not in av.codecs_available:
        return None
    decoder = av.CodecContext.create(name, "r")
    decoder.extradata = stream.codec_context.extradata
    return decoder
