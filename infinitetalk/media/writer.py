"""One chunk's frames as an H.264 segment, written while the next chunk is being made."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from ..config.constants import FRAMES_PER_SECOND
from .atomic import atomic_output
from .audio import mix_to_stereo
from .soundtrack import LAYOUTS, frame_to_sample

DEFAULT_CRF = 16  # visually lossless on faces; 12 is larger, 23 is x264's own default
ENCODER_THREADS = 2  # a fixed number: x264's output depends on it, and a resumed job must give the same bytes
PCM_BLOCK = 4096  # samples


Picture = np.ndarray | av.VideoFrame  # uint8 [H,W,3] RGB, or as `to_film_colors` gives it


@dataclass(frozen=True)
class Segment:
    """What was written: a playable file of `num_frames` at 25 fps and exactly as much sound."""

    path: Path
    num_frames: int
    num_samples: int


@dataclass(frozen=True)
class SegmentWriter:
    """Encodes the segments of one film, all with the same parameters, so that they join without re-encoding.

    A segment starts with a keyframe and has no reordered frames: `mux.mux_film` copies its packets. Its sound is
    lossless (ALAC or PCM): unlike AAC it has exactly the length of the frames, and segments played one after another
    do not drift. Surround sound is mixed to stereo.

    width, height: of the frames in pixels; an odd side gets one more column or row, as 4:2:0 video has to be even.
    sound_rate: in Hz, None for silent segments. crf, preset: of x264; the preset is fast because encoding runs while
    the network works. quantizer: 1 to 51, one for every picture, instead of crf. rate: frames per second, another
    than 25 for silent ones alone.
    """

    width: int
    height: int
    sound_rate: int | None = None
    crf: int = DEFAULT_CRF
    quantizer: int | None = None
    preset: str = "veryfast"
    sound_codec: Literal["alac", "pcm_s16le"] = "alac"
    rate: Fraction = Fraction(FRAMES_PER_SECOND)

    def write(
        self, path: str | os.PathLike, frames: np.ndarray | Iterable[Picture], sound: np.ndarray | None = None
    ) -> Segment:
        """Writes `path` (.mp4), whole or not at all.

        Args:
            frames: uint8 [frames, height, width, 3], RGB, or single ones from any iterable, which may be in
                `to_film_colors` already; at least one.
            sound: float32 [samples] or [channels, samples] in [-1, 1] at `sound_rate`. It is cut, or filled with
                silence, to the length of the frames; `Soundtrack.read_frames` gives just that.

        Raises:
            OutputError: the place cannot be written, or the disk is full.
        """
        assert (sound is None) == (self.sound_rate is None), "sound comes with its rate"
        assert sound is None or self.rate == FRAMES_PER_SECOND, self.rate
        path = Path(path)
        integers = None if sound is None else _to_int16(sound)
        num_samples = 0
        with atomic_output(path) as partial:
            container = av.open(str(partial), "w", format="mp4", options=mp4_options(self.sound_rate))
            with closing_container(container):
                video = self._add_video(container)
                audio = None
                if integers is not None:
                    layout = LAYOUTS[integers.shape[0]]
                    audio = container.add_stream(self.sound_codec, rate=self.sound_rate, layout=layout)
                num_frames = self._encode_frames(container, video, frames)
                if audio is not None and integers is not None and self.sound_rate is not None:
                    # On the film's own clock a stretch may be a sample longer or shorter than counted from 0.
                    length = frame_to_sample(num_frames, self.sound_rate)
                    integers = integers[:, : length + 1]
                    integers = np.pad(integers, ((0, 0), (0, max(0, length - 1 - integers.shape[1]))))
                    num_samples = integers.shape[1]
                    _encode_sound(container, audio, integers)
        return Segment(path, num_frames, num_samples)

    def _add_video(self, container: OutputContainer) -> av.VideoStream:
        quality = {"crf": str(self.crf)} if self.quantizer is None else {"qp": str(self.quantizer)}
        options = {**quality, "preset": self.preset, "bf": "0", "g": "250"}
        stream = container.add_stream("libx264", rate=self.rate, options=options)
        stream.width, stream.height = self.width + self.width % 2, self.height + self.height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = 1 / self.rate
        context.thread_count = ENCODER_THREADS
        # Said in the stream: players guess BT.601 for small pictures and would show other colours.
        context.color_range = ColorRange.MPEG
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        return stream

    def _encode_frames(self, container: OutputContainer, stream: av.VideoStream, frames: Iterable[Picture]) -> int:
        count = 0
        for pixels in frames:
            if isinstance(pixels, av.VideoFrame):
                frame = pixels
            else:
                assert pixels.shape == (self.height, self.width, 3) and pixels.dtype == np.uint8, pixels.shape
                frame = to_film_colors(pixels)
            frame.pts, frame.time_base = count, 1 / self.rate
            container.mux(stream.encode(frame))
            count += 1
        assert count, "a segment needs a frame"
        container.mux(stream.encode(None))
        return count


def to_film_colors(pixels: np.ndarray) -> av.VideoFrame:
    """RGB, uint8 [H,W,3], as films of this package hold it: YUV 4:2:0, BT.709, studio range, even sides."""
    height, width = pixels.shape[:2]
    pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24").reformat(
        format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation="BICUBIC"
    )


class BackgroundWriter:
    """Runs tasks one after another in a thread of its own; at most `max_pending` wait, so memory stays bounded.

    An error of a task is raised by the next call of `submit`, `wait` or `close`; the tasks after it are dropped.

        with BackgroundWriter() as background:
            background.submit(writer.write, path, frames, sound)   # returns at once
    """

    def __init__(self, max_pending: int = 2) -> None:
        self._tasks: queue.Queue[tuple[Callable[..., Any], tuple, dict] | None] = queue.Queue(max_pending)
        self._error: BaseException | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="segment-writer", daemon=True)
        self._thread.start()

    def submit(self, task: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Queues `task(*args, **kwargs)`; waits while `max_pending` others are queued."""
        assert not self._closed
        self._raise_error()
        self._tasks.put((task, args, kwargs))

    def wait(self) -> None:
        """Until everything submitted so far is on disk."""
        self._tasks.join()
        self._raise_error()

    def close(self) -> None:
        """Waits, then ends the thread; the error of a task is raised once."""
        if self._closed:
            return
        self._closed = True
        self._tasks.put(None)
        self._thread.join()
        self._raise_error()

    def __enter__(self) -> BackgroundWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        if error is None:
            self.close()
            return
        try:  # what was submitted is still finished: a cancel keeps the chunks that were ready
            self.close()
        except Exception as late:
            error.add_note(f"Also, while writing: {late}")

    def _run(self) -> None:
        while (item := self._tasks.get()) is not None:
            task, args, kwargs = item
            try:
                if self._error is None:
                    task(*args, **kwargs)
            except BaseException as error:  # handed to the caller's thread
                self._error = error
            finally:
                self._tasks.task_done()
            del item, task, args, kwargs  # the frames would otherwise live until the next chunk comes
        self._tasks.task_done()

    def _raise_error(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error


@contextmanager
def closing_container(container: OutputContainer) -> Iterator[None]:
    """Closes an output container; when the block failed, an error of closing does not hide the first."""
    try:
        yield
    except BaseException:
        with suppress(Exception):
            container.close()
        raise
    container.close()


def mp4_options(sound_rate: int | None) -> dict[str, str]:
    """Options of the mp4 muxer: index at the front, and lengths in samples instead of milliseconds."""
    exact = sound_rate if sound_rate and sound_rate % FRAMES_PER_SECOND == 0 else FRAMES_PER_SECOND * 1000
    return {"movflags": "+faststart", "movie_timescale": str(exact)}


def _to_int16(sound: np.ndarray) -> np.ndarray:
    """int16 [1 or 2, samples]."""
    sound = np.atleast_2d(sound)
    if sound.shape[0] > 2:
        layout = av.AudioLayout(LAYOUTS[sound.shape[0]])
        sound = mix_to_stereo(sound, tuple(channel.name for channel in layout.channels))
    return np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)


def _encode_sound(container: OutputContainer, stream: av.AudioStream, samples: np.ndarray) -> None:
    context = stream.codec_context  # open since the first picture was written
    size = context.frame_size or PCM_BLOCK
    for start in range(0, samples.shape[1], size):
        part = np.ascontiguousarray(samples[:, start : start + size])
        if context.format.is_planar:
            frame = av.AudioFrame.from_ndarray(part, "s16p", context.layout)
        else:
            frame = av.AudioFrame.from_ndarray(part.T.reshape(1, -1).copy(), "s16", context.layout)
        frame.sample_rate = stream.rate
        frame.pts, frame.time_base = start, Fraction(1, stream.rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
