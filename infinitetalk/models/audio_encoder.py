"""Speech encoder: wav2vec2 with its convolutional features resampled to the video's 25 frames a second.

Shapes: S samples at 16 kHz, F video frames, L transformer layers, C channels (12 and 768 in the base model).

The network is transformers' own `Wav2Vec2Model`. What differs is one step (official file
`src/audio_analysis/wav2vec2.py`): between the convolutional features (50 a second) and their projection the features
are stretched linearly to one per video frame. All layers' outputs are kept, not the last one alone.

Two ways through the same weights:

* `forward`: whole signals in a batch, differentiable; the training package uses it.
* `embed` and `encode_span`: one signal without gradients, the convolutions in short blocks, so that memory does not
  grow with length. Two steps of the network look at the whole signal: its normalisation to unit variance and the
  group norm after the first convolution. Both only need moments of the samples, which `measure_signal` collects in one
  streaming pass; with them every block yields what the whole signal would.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Wav2Vec2Config, Wav2Vec2Model

from ..config.constants import FRAMES_PER_SECOND
from ..media.audio import blocks_of

SAMPLE_RATE = 16_000
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAMES_PER_SECOND  # 640
_VARIANCE_FLOOR = 1e-7  # of the official feature extractor's normalisation
_FEATURES_PER_BLOCK = 200  # 4 seconds; the first convolution's output is the largest tensor of the encoder
_SAMPLES_PER_READ = 1 << 17  # 8 seconds

_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7400.0  # of the small encoder's filters

# Samples [start, stop) of a 16 kHz mono soundtrack. A numpy array or memmap serves through `reader_of`.
SampleReader = Callable[[int, int], np.ndarray]


def speech_encoder_config(**settings: object) -> Wav2Vec2Config:
    """A wav2vec2 configuration for inference: no dropout, no skipped layers, no masking. `settings` override.

    Masking stays off because its embedding is an unused weight that published speech-video checkpoints lack.
    """
    dropouts = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "layerdrop")
    unmasked = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0}
    return Wav2Vec2Config(**(dict.fromkeys(dropouts, 0.0) | settings | unmasked))


def nano_speech_config(
    hidden_size: int = 96, num_layers: int = 4, conv_channels: int = 256, num_heads: int = 4
) -> Wav2Vec2Config:
    """The small encoder: one step per 320 samples like the large one, but three convolutions instead of seven.

    The first looks at windows of 20 ms and is wide enough to be a bank of filters, four phases (channels) for each band
    (`start_from_filters`): it costs less than a stack of narrow ones and need not be learned from nothing.
    """
    return speech_encoder_config(
        hidden_size=hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        intermediate_size=4 * hidden_size,
        conv_dim=[conv_channels, hidden_size, hidden_size],
        conv_kernel=[320, 3, 2],
        conv_stride=[160, 2, 1],
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
    )


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def num_frames_of(num_samples: int) -> int:
    """Whole video frames covered by `num_samples` at 16 kHz, as the official code counts them; at least one."""
    return max(1, int(num_samples / SAMPLE_RATE * FRAMES_PER_SECOND))


def reader_of(samples: np.ndarray | Tensor) -> SampleReader:
    """Wrap samples [samples] held in an array, a tensor or a memory map, as `media.audio.blocks_of` does."""
    if isinstance(samples, Tensor):
        samples = samples.detach().cpu().numpy()
    if samples.ndim != 1:
        raise ValueError(f"Samples have shape {tuple(samples.shape)}; expected one mono channel of shape [samples].")
    return blocks_of(samples)


@dataclass(frozen=True)
class SignalMoments:
    """What the whole-signal steps of the encoder need to know about a soundtrack.

    Attributes:
        num_samples: length after padding to the shortest length the convolutions accept.
        mean, variance: of the samples.
        window_mean: [kernel], mean of the first convolution's input windows.
        window_covariance: [kernel, kernel], their covariance (population).
    """

    num_samples: int
    mean: float
    variance: float
    window_mean: np.ndarray
    window_covariance: np.ndarray


def linear_positions(start: int, stop: int, num_features: int, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Where frames [start, stop) of `num_frames` fall among `num_features` (end points coincide).

    Returns the index of the feature before each frame and the weight of the one after it. Positions are single
    precision because torch's `interpolate`, which the reference calls, has them so; over three hours they are off by
    2 ms at most.
    """
    step = np.float32(num_features - 1) / np.float32(num_frames - 1) if num_frames > 1 else np.float32(0)
    position = np.arange(start, stop, dtype=np.float32) * step
    before = np.minimum(position.astype(np.int64), num_features - 1)
    return before, np.clip(position - before.astype(np.float32), 0, 1)


class Articulation(nn.Module):
    """A bottleneck: features to K mouth shapes a frame, and these to features again; nothing else gets through.

    Whoever draws mouths from such features can learn from the true shapes of its pictures, which leave nothing to
    guess. A small network that has to guess draws the mean of all mouths that a sound may go with: half open, and
    blurred. Nano's alone; the published encoder has none.
    """

    def __init__(self, num_inputs: int, num_shapes: int, num_layers: int, num_channels: int, dim: int = 96) -> None:
        """num_inputs: values of all the encoder's layers together; num_layers, num_channels: of the features given."""
        super().__init__()
        self.num_layers, self.num_channels = num_layers, num_channels
        self.hear = nn.Sequential(
            nn.Conv1d(num_inputs, dim, 9, padding=4, padding_mode="replicate"),
            nn.GELU(),
            nn.Conv1d(dim, dim, 5, padding=2, padding_mode="replicate"),
            nn.GELU(),
            nn.Conv1d(dim, num_shapes, 1),
        )
        self.say = nn.Linear(num_shapes, num_layers * num_channels)

    def shapes(self, layers: Tensor) -> Tensor:
        """[B, F, L, C] → [B, F, K], the jaw first, 0 closed to 1."""
        return self.hear(layers.flatten(2).transpose(1, 2)).transpose(1, 2)

    def forward(self, layers: Tensor) -> Tensor:
        """All layers → [B, F, L, C], of what the mouth does alone."""
        return self.say(self.shapes(layers)).unflatten(-1, (self.num_layers, self.num_channels))


class SpeechEncoder(Wav2Vec2Model):
    """wav2vec2 whose every layer speaks once per video frame. Construct with `speech_encoder_config(...)`.

    config.num_mouth_shapes: of an `Articulation` after the layers; absent or 0: none, as published.
    config.spoken_layers, spoken_channels: of the features that an articulation gives; absent: as many as the encoder
        has. Another encoder can so learn to hear for a transformer that is there.
    """

    config_class = Wav2Vec2Config

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__(config)
        num_shapes = getattr(config, "num_mouth_shapes", 0)
        self.articulation = (
            Articulation(self.num_inputs, num_shapes, self.num_layers, self.num_channels) if num_shapes else None
        )

    @property
    def num_layers(self) -> int:
        """L of the features."""
        return getattr(self.config, "spoken_layers", None) or self.config.num_hidden_layers

    @property
    def num_channels(self) -> int:
        """C of the features."""
        return getattr(self.config, "spoken_channels", None) or self.config.hidden_size

    @property
    def num_inputs(self) -> int:
        """Input values of an `Articulation`: those of all the encoder's own layers."""
        return self.config.num_hidden_layers * self.config.hidden_size

    @property
    def hop(self) -> int:
        """Samples between two convolutional features (320)."""
        return math.prod(self.config.conv_stride)

    @property
    def receptive_field(self) -> int:
        """Samples one convolutional feature sees (400; 960 in the small encoder)."""
        width, hop = 1, 1
        for kernel, stride in zip(self.config.conv_kernel, self.config.conv_stride, strict=True):
            width += (kernel - 1) * hop
            hop *= stride
        return width

    @torch.no_grad()
    def start_from_filters(self) -> None:
        """Set the first two convolutions of an untrained `nano_speech_config` encoder to a mel filter bank.

        Each band is a windowed sine and cosine with either sign, so that their rectified sum (the second convolution
        starts as one) is the band's strength whatever its phase.
        """
        first, second = (layer.conv.weight for layer in self.feature_extractor.conv_layers[:2])
        num_bands, kernel = first.shape[0] // 4, first.shape[2]
        mels = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), num_bands)
        hertz = 700 * (10 ** (mels / 2595) - 1)
        phase = 2 * np.pi * hertz[:, None] * (np.arange(kernel) - (kernel - 1) / 2) / SAMPLE_RATE
        window = np.hanning(kernel + 2)[1:-1]
        quarters = [np.cos(phase) * window, np.sin(phase) * window]
        filters = np.stack([quarters[0], quarters[1], -quarters[0], -quarters[1]], axis=1)  # [bands, 4, kernel]
        filters /= np.linalg.norm(filters, axis=2, keepdims=True)
        first.copy_(torch.from_numpy(filters.reshape(-1, 1, kernel)))
        mixing = torch.randn(second.shape[0], num_bands, 1, second.shape[2]) / math.sqrt(num_bands * second.shape[2])
        second.copy_(mixing.expand(-1, -1, 4, -1).reshape(second.shape) / 2 + second * 0.3)

    def num_features_of(self, num_samples: int) -> int:
        """Convolutional features of a signal of this length."""
        return (num_samples - self.receptive_field) // self.hop + 1

    def forward(self, signals: Tensor, num_frames: int, *, articulated: bool = True) -> Tensor:
        """Encode whole signals, differentiably.

        Args:
            signals: [B, S] mono at 16 kHz, any gain; each row is normalised to zero mean and unit variance.
            num_frames: F, video frames the S samples last.
            articulated: False: the encoder's own layers as they are, before an `Articulation`.
        Returns:
            [B, F, L, C].
        """
        signals = functional.pad(signals, (0, max(0, self.receptive_field - signals.shape[1])))
        mean = signals.mean(dim=1, keepdim=True)
        variance = signals.var(dim=1, keepdim=True, correction=0)
        features = self.feature_extractor((signals - mean) / torch.sqrt(variance + _VARIANCE_FLOOR))
        features = functional.interpolate(features, size=num_frames, mode="linear", align_corners=True)
        return self._layers(features.transpose(1, 2), articulated)

    def embed(self, signal: np.ndarray | Tensor, num_frames: int | None = None) -> Tensor:
        """Encode one signal in a single pass of the transformer, without gradients.

        Args:
            signal: [S] mono at 16 kHz, already at the loudness wanted.
            num_frames: F; by default as many whole frames as the signal lasts.
        Returns:
            [F, L, C] float32 on the encoder's device.
        """
        read = reader_of(signal)
        num_samples = signal.shape[0]
        num_frames = num_frames_of(num_samples) if num_frames is None else num_frames
        return self.encode_span(read, self.measure_signal(read, num_samples), num_frames, 0, num_frames)

    def measure_signal(self, read: SampleReader, num_samples: int) -> SignalMoments:
        """Collect the moments of a soundtrack in one streaming pass."""
        kernel, stride = self.config.conv_kernel[0], self.config.conv_stride[0]
        padded_length = max(num_samples, self.receptive_field)
        num_windows = (padded_length - kernel) // stride + 1
        # Sums of differences from a typical sample: a constant offset would cost all digits of the small variances.
        beginning = _read_padded(read, 0, min(padded_length, _SAMPLES_PER_READ), num_samples)
        base = float(beginning.mean(dtype=np.float64))
        total = squares = 0.0
        window_sum, window_products = np.zeros(kernel), np.zeros((kernel, kernel))
        windows_per_read = _SAMPLES_PER_READ // stride
        for first in range(0, num_windows, windows_per_read):
            count = min(windows_per_read, num_windows - first)
            is_last = first + count == num_windows
            start = first * stride
            stop = padded_length if is_last else start + (count - 1) * stride + kernel
            block = _read_padded(read, start, stop, num_samples).astype(np.float64) - base
            own = block if is_last else block[: count * stride]  # the rest belongs to the next read as well
            total += own.sum()
            squares += own @ own
            windows = np.lib.stride_tricks.sliding_window_view(block, kernel)[::stride][:count]
            window_sum += windows.sum(axis=0)
            window_products += windows.T @ windows
        shift = total / padded_length
        variance = max(0.0, squares / padded_length - shift * shift)
        window_mean = window_sum / num_windows
        covariance = window_products / num_windows - np.outer(window_mean, window_mean)
        return SignalMoments(padded_length, base + shift, variance, base + window_mean, covariance)

    @torch.no_grad()
    def encode_span(
        self, read: SampleReader, moments: SignalMoments, num_frames: int, start: int, stop: int, *, margin: int = 0
    ) -> Tensor:
        """Encode frames [start, stop) of a soundtrack that lasts `num_frames` frames.

        Convolutional features equal those of the whole soundtrack; the transformer sees `margin` frames more on each
        side (where they exist) than it returns.

        Returns:
            [stop - start, L, C] float32 on the encoder's device.
        """
        assert 0 <= start < stop <= num_frames, (start, stop, num_frames)
        first, last = max(0, start - margin), min(num_frames, stop + margin)
        before, weight = linear_positions(first, last, self.num_features_of(moments.num_samples), num_frames)
        after = np.minimum(before + 1, self.num_features_of(moments.num_samples) - 1)
        features = self._features(read, moments, int(before[0]), int(after[-1]) + 1)
        offset, device = int(before[0]), features.device
        weight_after = torch.from_numpy(weight).to(device)[:, None]
        resampled = torch.lerp(
            features[torch.from_numpy(before - offset).to(device)],
            features[torch.from_numpy(after - offset).to(device)],
            weight_after,
        )
        layers = self._layers(resampled[None].to(self.dtype))[0]
        return layers[start - first : stop - first].float()

    def _layers(self, features: Tensor, articulated: bool = True) -> Tensor:
        """[B, F, conv channels] → every layer's output [B, F, L, C], or what the mouth makes of them."""
        encoder = self.encoder
        hidden, _ = self.feature_projection(features)
        hidden = hidden + encoder.pos_conv_embed(hidden)
        # The base model norms before the layers, the "stable" (large) one after the last of them.
        stable = self.config.do_stable_layer_norm
        if not stable:
            hidden = encoder.layer_norm(hidden)
        hidden = encoder.dropout(hidden)
        outputs = []
        for layer in encoder.layers:
            hidden = layer(hidden)
            outputs.append(hidden)
        if stable:
            outputs[-1] = encoder.layer_norm(outputs[-1])
        layers = torch.stack(outputs, dim=2)
        return layers if self.articulation is None or not articulated else self.articulation(layers)

    def _features(self, read: SampleReader, moments: SignalMoments, start: int, stop: int) -> Tensor:
        """Convolutional features [stop - start, conv channels] of the whole signal, computed block by block."""
        scale = 1.0 / math.sqrt(moments.variance + _VARIANCE_FLOOR)
        norm_scale, norm_shift = self._first_norm(moments, scale)
        blocks = []
        for first in range(start, stop, _FEATURES_PER_BLOCK):
            last = min(first + _FEATURES_PER_BLOCK, stop) - 1
            samples = _read_padded(read, first * self.hop, last * self.hop + self.receptive_field, moments.num_samples)
            normalised = ((samples - np.float32(moments.mean)) * np.float32(scale)).astype(np.float32)
            hidden = torch.from_numpy(normalised).to(self.device, self.dtype)[None, None]
            for index, layer in enumerate(self.feature_extractor.conv_layers):
                if index == 0 and norm_scale is not None:
                    hidden = layer.activation(layer.conv(hidden).float() * norm_scale + norm_shift).to(self.dtype)
                else:
                    hidden = layer(hidden)
            blocks.append(hidden[0].transpose(0, 1).float())
        return torch.cat(blocks)

    def _first_norm(self, moments: SignalMoments, scale: float) -> tuple[Tensor | None, Tensor | None]:
        """The group norm after the first convolution as a gain and an offset per channel, each [channels, 1].

        The norm takes mean and variance of every channel over the whole signal. A channel is a linear function of its
        input window, w·x + b, so both follow from the window's mean m and covariance K: w·m + b and w·K w.
        """
        first = self.feature_extractor.conv_layers[0]
        if not isinstance(getattr(first, "layer_norm", None), nn.GroupNorm):
            return None, None
        weight = first.conv.weight.detach().double().cpu().numpy()[:, 0]
        mean = weight @ ((moments.window_mean - moments.mean) * scale)
        if first.conv.bias is not None:
            mean = mean + first.conv.bias.detach().double().cpu().numpy()
        variance = np.maximum(0.0, np.einsum("ci,ij,cj->c", weight, moments.window_covariance * scale**2, weight))
        gain = first.layer_norm.weight.detach().double().cpu().numpy() / np.sqrt(variance + first.layer_norm.eps)
        shift = first.layer_norm.bias.detach().double().cpu().numpy() - mean * gain
        columns = torch.from_numpy(np.stack([gain, shift])).to(self.device, torch.float32)[:, :, None]
        return columns[0], columns[1]


def _read_padded(read: SampleReader, start: int, stop: int, num_samples: int) -> np.ndarray:
    """Samples [start, stop) as float32, silence where the soundtrack has ended."""
    block = np.asarray(read(start, min(stop, num_samples)), dtype=np.float32)
    missing = (stop - start) - block.shape[0]
    return np.pad(block, (0, missing)) if missing > 0 else block
