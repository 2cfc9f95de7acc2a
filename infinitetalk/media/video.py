"""A picture or a video as one thing: which frame is on screen at a given second."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, Self

import av
import av.error
import numpy as np
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc, VideoReformatter

from ..config.constants import FRAMES_PER_SECOND
from .decoding import Damage, decoded
from .images import MAX_SIDE, NEUTRAL, load_image
from .probe import (
    JUMP_SECONDS,
    Kind,
    decode_errors,
    display_turn,
    open_container,
    require_source,
    times_begin_anew,
    video_stream,
)

TIME_TOLERANCE_SECONDS = 6e-4  # Matroska rounds timestamps to milliseconds; a frame due at 0.0405 may say 0.041
SEEK_AHEAD_SECONDS = 4.0  # a nearer frame is reached faster by decoding on than by seeking back to a keyframe
HD_WIDTH, HD_HEIGHT = 1280, 720
_NO_COLORSPACE = 2  # FFmpeg's AVCOL_SPC_UNSPECIFIED
DECODER_THREADS = 2  # each holds a few frames in memory


class Source(Protocol):
    """What the engine needs to know of a picture or a video.

    duration_seconds: math.inf for a picture. num_frames_25: frames at 25 fps, None for a picture.
    width, height: of the frames that are returned, in pixels.
    """

    path: Path
    kind: Kind
    width: int
    height: int
    duration_seconds: float

    @property
    def num_frames_25(self) -> int | None: ...

    def frame_at(self, seconds: float) -> np.ndarray: ...

    def frames(self, start_seconds: float, count: int, fps: float = FRAMES_PER_SECOND) -> Iterator[np.ndarray]: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def open_source(path: str | os.PathLike, max_side: int = MAX_SIDE) -> Source:
    """A picture or a video, whichever `path` is. Raises MediaError if it is neither or damaged."""
    info = require_source(path)
    return StillSource(path, max_side) if info.kind == "image" else VideoSource(path, max_side)


def first_frame(path: str | os.PathLike, max_side: int = MAX_SIDE) -> np.ndarray:
    """The picture, or the first frame of the video: uint8 [height, width, 3], RGB. Raises MediaError."""
    with open_source(path, max_side) as source:
        return source.frame_at(0.0)


class _ContextManaged:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError

    def frame_at(self, seconds: float) -> np.ndarray:
        raise NotImplementedError

    def frames(self, start_seconds: float, count: int, fps: float = FRAMES_PER_SECOND) -> Iterator[np.ndarray]:
        """`count` frames, uint8 [height, width, 3], one at a time; the same array again where nothing changed."""
        for index in range(count):
            yield self.frame_at(start_seconds + index / fps)


class StillSource(_ContextManaged):
    """A picture: the same frame at any time."""

    kind: Kind = "image"
    duration_seconds = math.inf
    num_frames_25 = None

    def __init__(self, path: str | os.PathLike, max_side: int = MAX_SIDE) -> None:
        self.path = Path(path)
        self._image = load_image(path, max_side)
        self._image.setflags(write=False)
        self.height, self.width = self._image.shape[:2]

    def frame_at(self, seconds: float) -> np.ndarray:
        """uint8 [height, width, 3], RGB, read-only."""
        return self._image

    def close(self) -> None:
        pass


class VideoSource(_ContextManaged):
    """A video of any frame rate, constant or variable, looked up by the timestamps of its frames.

    Holds a few decoded frames, whatever its length. Reading forwards decodes each frame once; elsewhere it seeks.
    Not for several threads at once.
    """

    kind: Kind = "video"

    def __init__(self, path: str | os.PathLike, max_side: int = MAX_SIDE) -> None:
        info = require_source(path)
        self.path = info.path
        self.fps = info.fps
        scale = min(1.0, max_side / max(info.width, info.height))
        self.width, self.height = max(1, round(info.width * scale)), max(1, round(info.height * scale))
        self._reformatter = VideoReformatter()  # kept: for HDR it makes a table that takes seconds
        self._jumps: bool | None = None
        self._second_reformatter: VideoReformatter | None = None
        self._full_side = max(info.width, info.height)
        self.damage = Damage()  # of what was decoded so far; of the whole file after `own_frames`
        self._opened = None
        self._shown: av.VideoFrame | None = None  # None once closed
        self._next: av.VideoFrame | None = None
        self._converted: tuple[av.VideoFrame, np.ndarray] | None = None
        self._rewind()
        lead_seconds = self._first_seconds - self._origin_seconds
        self.duration_seconds = lead_seconds + (info.duration_seconds or 1 / FRAMES_PER_SECOND)
        # Every instant k/25 before the end shows a frame; a 4.00 s video has 100 of them, one of 4.01 s 101.
        self.num_frames_25 = max(1, math.ceil(self.duration_seconds * FRAMES_PER_SECOND - 1e-2))

    def frame_at(self, seconds: float) -> np.ndarray:
        """The frame on screen `seconds` after the start: the latest that has begun by then.

        Before the first frame begins that one is shown, after the end the last one.

        Returns:
            uint8 [height, width, 3], RGB, upright, read-only.

        Raises:
            MediaError: if the file is damaged there.
        """
        target = seconds + self._origin_seconds + TIME_TOLERANCE_SECONDS
        if self._first_seconds < self._time(self._on_screen) and target < self._time(self._on_screen):
            self._seek(target)
        elif self._next is not None and target > self._time(self._next) + SEEK_AHEAD_SECONDS:
            self._seek(target)
        while self._next is not None and self._time(self._next) <= target:
            self._shown, self._next = self._next, self._decode_one()
        return self._convert(self._on_screen)

    @property
    def _on_screen(self) -> av.VideoFrame:
        assert self._shown is not None, "the source is closed"
        return self._shown

    def own_frames(self) -> Iterator[tuple[float, np.ndarray]]:
        """Every frame of the file once, from the first on, with the second at which it begins."""
        self.damage = Damage()
        self._rewind()
        while self._shown is not None:
            yield max(0.0, self._time(self._shown) - self._origin_seconds), self._convert(self._shown)
            if self._next is None:
                return
            self._shown, self._next = self._next, self._decode_one()

    def close(self) -> None:
        """Frees the decoder; the source cannot be used afterwards."""
        self._shown = self._next = self._converted = None
        if self._opened is not None:
            self._opened.__exit__(None, None, None)
            self._opened = None

    def _rewind(self) -> None:
        self.close()
        self._opened = open_container(self.path)
        self._container = self._opened.__enter__()
        stream = video_stream(self._container)
        assert stream is not None and stream.time_base is not None, "probe found this file's pictures"
        self._stream, self._time_base = stream, stream.time_base
        self._last_raw, self._offset = -math.inf, 0.0
        if self._jumps is None:
            self._jumps = times_begin_anew(self.path, self._container, stream)
        self._stream.thread_type = "AUTO"
        self._stream.thread_count = DECODER_THREADS
        self._frames = decoded(self.path, self._container, self._stream, self.damage)
        self._last_seconds = -math.inf
        self._shown = self._decode_one()
        assert self._shown is not None, "probe decoded a frame of this file"
        # A player's 0 is the first thing to be seen or heard; a sound that starts earlier than the picture counts.
        start = self._container.start_time
        self._first_seconds = first = self._time(self._on_screen)
        self._origin_seconds = first if start is None else min(first, max(0.0, start / av.time_base))
        self._next = self._decode_one()

    def _seek(self, target: float) -> None:
        """Leaves the decoder at a frame that begins no later than `target`."""
        if self._time(self._on_screen) <= target and self._next is None:
            return
        if self._jumps:
            if target < self._time(self._on_screen):
                self._rewind()
            return
        try:
            place = int(target / self._time_base)
            self._container.seek(place, stream=self._stream, backward=True, any_frame=False)
            self._frames = decoded(self.path, self._container, self._stream, self.damage)
            self._last_seconds = self._last_raw = -math.inf
            self._offset = 0.0
            frame = self._decode_one()
        except av.error.FFmpegError:
            frame = None  # no index, as in raw streams
        if frame is None or self._time(frame) > target:
            self._rewind()  # an index that points too late: from the beginning it is certainly right
            return
        self._shown, self._next = frame, self._decode_one()

    def _decode_one(self) -> av.VideoFrame | None:
        try:
            frame = next(self._frames, None)
        except av.error.FFmpegError as error:
            raise decode_errors(self.path, error) from error
        if frame is not None and frame.pts is None:  # raw streams carry no timestamps: equal steps
            step = 1 / (self.fps or FRAMES_PER_SECOND)
            previous = self._last_seconds if math.isfinite(self._last_seconds) else -step
            frame.pts = round((previous + step) / self._time_base)
            frame.time_base = self._time_base
        if frame is not None:
            raw = self._time(frame)
            if raw < self._last_raw - JUMP_SECONDS:  # times that begin anew go on where the last ones ended
                self._offset += self._last_raw - raw + 1 / (self.fps or FRAMES_PER_SECOND)
            self._last_raw = raw
            if self._offset:
                frame.pts = round((raw + self._offset) / float(frame.time_base))
            self._last_seconds = self._time(frame)
        return frame

    @staticmethod
    def _time(frame: av.VideoFrame) -> float:
        assert frame.pts is not None and frame.time_base is not None, "`_decode_one` gives every frame a time"
        return float(frame.pts * frame.time_base)

    def _convert(self, frame: av.VideoFrame) -> np.ndarray:
        if self._converted is not None and self._converted[0] is frame:
            return self._converted[1]
        rgb = self._rgb(frame, self._reformatter, 1.0)
        self._converted = frame, rgb
        return rgb

    def on_screen(self, max_side: int) -> np.ndarray:
        """The frame that `frame_at` or `own_frames` gave last, at another size: uint8 [height, width, 3], RGB."""
        if self._second_reformatter is None:
            self._second_reformatter = VideoReformatter()
        scale = min(self._full_side, max_side) / max(self.width, self.height)
        return self._rgb(self._on_screen, self._second_reformatter, scale)

    def _rgb(self, frame: av.VideoFrame, reformatter: VideoReformatter, scale: float) -> np.ndarray:
        degrees, mirrored = display_turn(frame)
        width, height = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        size = (height, width) if degrees in (90, 270) else (width, height)
        if any(component.is_alpha for component in frame.format.components) or frame.format.name == "pal8":
            frame_shown = _on_grey(frame)
        else:
            frame_shown = frame
        options = {"format": "rgb24", "interpolation": "BICUBIC", **_colors_of(frame_shown)}
        rgb = reformatter.reformat(frame_shown, *size, **options).to_ndarray()
        if degrees:
            rgb = np.rot90(rgb, degrees // 90)
        if mirrored:
            rgb = rgb[:, ::-1]
        rgb = np.ascontiguousarray(rgb)
        rgb.setflags(write=False)
        return rgb


def _colors_of(frame: av.VideoFrame) -> dict[str, Any]:
    """Options that read a frame's colours as players do.

    HDR (PQ or HLG, BT.2020) becomes what an ordinary screen shows. Frames without a tag are BT.709 from HD size on,
    else BT.601, which FFmpeg takes by itself.
    """
    if frame.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67):
        standard = {"dst_color_trc": ColorTrc.BT709, "dst_color_primaries": ColorPrimaries.BT709}
        return {**standard, "dst_colorspace": "ITU709"}
    hd = frame.width >= HD_WIDTH or frame.height >= HD_HEIGHT
    if hd and not frame.format.is_rgb and frame.colorspace == _NO_COLORSPACE:
        return {"src_colorspace": Colorspace.ITU709}
    return {}


def _on_grey(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame over the grey that transparent stills get: hidden colours of transparent pixels stay hidden."""
    rgba = frame.reformat(format="rgba", **_colors_of(frame)).to_ndarray()
    alpha = rgba[..., 3:].astype(np.uint16)
    over = rgba[..., :3] * alpha + NEUTRAL[0] * (255 - alpha)
    return av.VideoFrame.from_ndarray(((over + 127) // 255).astype(np.uint8), "rgb24")
