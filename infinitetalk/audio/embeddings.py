"""The video network's audio conditions: speech embeddings in windows around any span of frames.

A `SpeechFeatures` encodes lazily. A soundtrack of up to 60 seconds goes through the encoder in one pass. A longer one
is cut into pieces on a fixed grid; each piece is encoded with 5 seconds more on either side, which are thrown away,
so that the encoder's attention never meets an edge that the soundtrack does not have. Pieces depend on the soundtrack
alone, not on the order in which they are read: a resumed job gets exactly the embeddings of the first run. Two pieces
stay in memory.

Shapes: F video frames, L layers, C channels.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..config.constants import FRAMES_PER_SECOND
from ..models.audio_encoder import SAMPLES_PER_FRAME, SampleReader, SpeechEncoder, num_frames_of, reader_of
from .windows import window_indices

SINGLE_PASS_FRAMES = 60 * FRAMES_PER_SECOND  # 1500
MARGIN_FRAMES = 5 * FRAMES_PER_SECOND
PIECE_FRAMES = SINGLE_PASS_FRAMES - 2 * MARGIN_FRAMES  # 1250, so that no pass is longer than the single one
_PIECES_KEPT = 2  # a chunk's window touches two at most


class AudioFeatures(Protocol):
    """The audio features of any span of frames."""

    num_frames: int

    def window(self, start: int, stop: int, *, mirror_tail: bool = False) -> Tensor: ...


class StoredFeatures:
    """Embeddings that are already there, [F, L, C]: recorded ones, or a training clip's."""

    def __init__(self, features: Tensor) -> None:
        self.features = features
        self.num_frames = features.shape[0]

    def window(self, start: int, stop: int, *, mirror_tail: bool = False) -> Tensor:
        """As `SpeechFeatures.window`, on the features' device."""
        indices = torch.from_numpy(window_indices(start, stop, self.num_frames, mirror_tail=mirror_tail))
        return self.features[indices.to(self.features.device)]


class SpeechFeatures:
    """One speaker's soundtrack as embeddings, encoded on demand.

    Args:
        encoder: in evaluation mode; runs on its own device.
        samples: mono at 16 kHz and at the loudness wanted (`audio.loudness`): an array, a memory map, or a callable
            that gives samples [start, stop) as numpy.
        num_frames: video frames of the soundtrack. Where the samples end before them, silence follows; otherwise
            they are stretched over the frames by less than one frame, as in the official code. By default, as many
            whole frames as they fill.
        num_samples: their number; needed where `samples` is a callable.
    """

    def __init__(
        self,
        encoder: SpeechEncoder,
        samples: np.ndarray | SampleReader,
        num_frames: int | None = None,
        *,
        num_samples: int | None = None,
    ) -> None:
        if callable(samples):
            assert num_samples is not None, "a callable does not say how many samples there are"
            read, num_available = samples, num_samples
        else:
            read = reader_of(samples)
            num_available = samples.shape[0] if num_samples is None else num_samples
        self.num_frames = num_frames_of(num_available) if num_frames is None else num_frames
        assert self.num_frames >= 1, self.num_frames
        if num_available > (self.num_frames + 1) * SAMPLES_PER_FRAME:
            num_available = self.num_frames * SAMPLES_PER_FRAME  # a job cut short does not hear the rest
        self._encoder = encoder
        self._num_samples = max(num_available, self.num_frames * SAMPLES_PER_FRAME)
        self._read = _followed_by_silence(read, num_available)
        self._moments = None
        self._pieces: OrderedDict[int, Tensor] = OrderedDict()

    def window(self, start: int, stop: int, *, mirror_tail: bool = False) -> Tensor:
        """What video frames [start, stop) hear: [stop - start, 5, L, C] float32 on the CPU.

        Frames past the end hear the last frame held, or with `mirror_tail` (for the last chunk) the end in reverse.
        """
        indices = window_indices(start, stop, self.num_frames, mirror_tail=mirror_tail)
        first, last = int(indices.min()), int(indices.max()) + 1
        return self.frames(first, last)[torch.from_numpy(indices - first)]

    def frames(self, start: int, stop: int) -> Tensor:
        """Embeddings of frames [start, stop), which must exist: [stop - start, L, C] float32 on the CPU."""
        assert 0 <= start < stop <= self.num_frames, (start, stop, self.num_frames)
        size = self.num_frames if self.num_frames <= SINGLE_PASS_FRAMES else PIECE_FRAMES
        parts = []
        for piece in range(start // size, (stop - 1) // size + 1):
            offset = piece * size
            parts.append(self._piece(piece, size)[max(0, start - offset) : stop - offset])
        return torch.cat(parts)

    def _piece(self, piece: int, size: int) -> Tensor:
        """Embeddings of the piece's frames [size or fewer, L, C], from memory or from the encoder."""
        if piece in self._pieces:
            self._pieces.move_to_end(piece)
            return self._pieces[piece]
        if self._moments is None:
            self._moments = self._encoder.measure_signal(self._read, self._num_samples)
        while len(self._pieces) >= _PIECES_KEPT:
            self._pieces.popitem(last=False)
        start, stop = piece * size, min((piece + 1) * size, self.num_frames)
        encoded = self._encoder.encode_span(
            self._read, self._moments, self.num_frames, start, stop, margin=MARGIN_FRAMES
        )
        self._pieces[piece] = encoded.cpu()
        return self._pieces[piece]


def _followed_by_silence(read: SampleReader, num_samples: int) -> SampleReader:
    """Samples [0, num_samples) and then silence for ever."""

    def read_on(start: int, stop: int) -> np.ndarray:
        samples = np.zeros(stop - start, dtype=np.float32)
        if start < num_samples:
            block = read(start, min(stop, num_samples))
            samples[: block.shape[0]] = block
        return samples

    return read_on
