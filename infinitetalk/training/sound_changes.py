"""Changes to speech that leave its timing alone: filters, rooms, noise, hum, codecs, levels.

They stand in for the voices, microphones and rooms that synthetic speech lacks, so that the speech encoder meets
recordings as well.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.audio_encoder import SAMPLE_RATE, SAMPLES_PER_FRAME

_TAIL = 5000  # samples of the longest room
_BANK_SIZE, _BANK_SAMPLES = 64, 6 * SAMPLE_RATE


def vary_sound(signals: Tensor, rng: np.random.Generator) -> Tensor:
    """Signals [B,S] at 16 kHz through filters, rooms, overdrive, noise, hum and drop-outs of the level."""
    batch, num_samples = signals.shape
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    signals = signals / (signals.std(dim=1, keepdim=True) + 1e-4)
    spectrum = torch.fft.rfft(signals, n=_even_length(num_samples + _TAIL))
    response = _equaliser(batch, spectrum.shape[1], generator) * _room(
        batch, _even_length(num_samples + _TAIL), generator
    )
    signals = torch.fft.irfft(spectrum * response, n=_even_length(num_samples + _TAIL))[:, :num_samples]
    signals = _level_changes(signals, generator)
    level = signals.std(dim=1, keepdim=True) + 1e-4
    signals = signals + level * _from_bank(0, batch, num_samples, generator) * _loudness(batch, 4, 46, generator)
    humming = _chosen(batch, 0.3, generator)
    if humming.any():
        signals = signals + level * humming * _from_bank(1, batch, num_samples, generator) * _loudness(
            batch, 6, 26, generator
        )
    signals = _coarsened(signals, generator)
    signals = signals / (signals.std(dim=1, keepdim=True) + 1e-6)
    driven = torch.flatten(_chosen(batch, 0.12, generator))
    signals[driven] = torch.tanh(signals[driven] * 2.5) / 2.5
    return signals


def without_speech(batch: int, num_samples: int, rng: np.random.Generator) -> Tensor:
    """Signals [B,S] of about unit level in which nobody speaks: noise, hum, chords, notes, breath; lips stay closed."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    noise, breath = (_from_bank(0, batch, num_samples, generator) for _ in range(2))
    hum = _from_bank(1, batch, num_samples, generator)
    breath = breath * _swells(batch, num_samples, generator)
    notes = _from_bank(2, batch, num_samples, generator)
    kinds = _uniform(batch, generator)
    music = hum * (kinds < 0.35) + notes * ((kinds > 0.2) & (kinds < 0.65))
    return 0.2 * noise * _uniform(batch, generator) + music + breath * (kinds > 0.55)


def _even_length(length: int) -> int:
    """The next length whose Fourier transform is fast."""
    return -(-length // 2048) * 2048


def _uniform(batch: int, generator: torch.Generator) -> Tensor:
    return torch.rand(batch, 1, generator=generator)


def _chosen(batch: int, share: float, generator: torch.Generator) -> Tensor:
    return _uniform(batch, generator) < share


def _equaliser(batch: int, num_bins: int, generator: torch.Generator) -> Tensor:
    """A smooth random curve of up to about +-9 dB, a tilt, and band limits on some."""
    frequency = torch.linspace(0, 1, num_bins)  # of 8 kHz
    curve = F.interpolate(torch.randn(batch, 1, 12, generator=generator) * 4.0, size=num_bins, mode="linear")[:, 0]
    tilt = (_uniform(batch, generator) - 0.5) * 16 * (torch.log2(frequency + 0.02) + 2.5) / 2.5
    gain = 10 ** ((curve + tilt) / 20)
    top = torch.where(_chosen(batch, 0.35, generator), 0.35 + 0.6 * _uniform(batch, generator), 2.0)
    low = torch.where(_chosen(batch, 0.35, generator), 0.045 * _uniform(batch, generator), -1.0)
    return gain * torch.sigmoid((top - frequency) * 60) * torch.sigmoid((frequency - low) * 500)


def _room(batch: int, length: int, generator: torch.Generator) -> Tensor:
    """The response of a decaying noise tail of 50 to 300 ms on some."""
    time_constants = SAMPLE_RATE * (0.008 + 0.06 * _uniform(batch, generator))
    tail = torch.randn(batch, _TAIL, generator=generator) * torch.exp(-torch.arange(_TAIL) / time_constants)
    tail = tail * torch.where(_chosen(batch, 0.5, generator), 0.08 * _uniform(batch, generator), 0.0)
    tail[:, 0] = 1.0
    return torch.fft.rfft(tail, n=length)


def _level_changes(signals: Tensor, generator: torch.Generator) -> Tensor:
    """A speaker who comes nearer and moves away: slow changes of up to about +-5 dB on half."""
    batch, num_samples = signals.shape
    points = max(2, num_samples // 24_000 + 2)
    curve = F.interpolate(torch.randn(batch, 1, points, generator=generator) * 2.5, size=num_samples, mode="linear")
    return signals * 10 ** (curve[:, 0] * _chosen(batch, 0.5, generator) / 20)


def _loudness(batch: int, least: float, span: float, generator: torch.Generator) -> Tensor:
    """Factors that lie `least` to `least + span` dB below 1."""
    return 10 ** (-(least + span * _uniform(batch, generator)) / 20)


@functools.cache
def _bank(kind: int) -> Tensor:
    """Noises (kind 0), hums (1), notes (2) to take parts of, [count, samples], unit level: making them anew is slow."""
    generator = torch.Generator().manual_seed(71 + kind)
    sounds = (_noise, _hum, _notes)[kind](_BANK_SIZE, _BANK_SAMPLES, generator)
    return sounds / (sounds.std(dim=1, keepdim=True) + 1e-6)


def _from_bank(kind: int, batch: int, num_samples: int, generator: torch.Generator) -> Tensor:
    """Parts [B,S] of the bank's sounds."""
    bank = _bank(kind)
    rows = torch.randint(0, len(bank), (batch,), generator=generator).tolist()
    starts = torch.randint(0, bank.shape[1], (batch,), generator=generator).tolist()
    repeats = -(-num_samples // bank.shape[1]) + 1
    return torch.stack(
        [bank[row].repeat(repeats)[start : start + num_samples] for row, start in zip(rows, starts, strict=True)]
    )


def _noise(batch: int, num_samples: int, generator: torch.Generator) -> Tensor:
    """Noise between hiss and rumble, rising and falling on a third."""
    length = _even_length(num_samples)
    noise = torch.fft.rfft(torch.randn(batch, length, generator=generator))
    bins = torch.arange(1, noise.shape[1] + 1)
    noise = torch.fft.irfft(noise / bins ** (1.2 * _uniform(batch, generator)), n=length)[:, :num_samples]
    noise = noise / noise.std(dim=1, keepdim=True)
    return torch.where(_chosen(batch, 0.33, generator), noise * 2 * _swells(batch, num_samples, generator), noise)


def _swells(batch: int, num_samples: int, generator: torch.Generator) -> Tensor:
    """A level 0..1 that comes and goes within fractions of a second."""
    points = max(4, num_samples // 4000)
    curve = torch.rand(batch, 1, points, generator=generator) ** 2
    return F.interpolate(curve, size=num_samples, mode="linear")[:, 0]


def _hum(batch: int, num_samples: int, generator: torch.Generator) -> Tensor:
    """Chords that change two or three times a second or hold, like mains hum or music behind the voice."""
    times = torch.arange(num_samples) / SAMPLE_RATE
    total = torch.zeros(batch, num_samples)
    for _ in range(3):
        pitch = 55 * 2 ** (torch.randint(0, 48, (batch, 1), generator=generator) / 12)
        held = torch.randint(0, 12, (batch, 1, max(2, num_samples // 6400)), generator=generator).float()
        steps = F.interpolate(held, size=num_samples, mode="nearest")[:, 0]
        moving = torch.where(_chosen(batch, 0.7, generator), steps / 12, 0.0)
        phase = 2 * math.pi * torch.cumsum(pitch * 2**moving, dim=1) / SAMPLE_RATE
        overtones = sum(torch.sin(k * phase) / k for k in (1, 2, 3))
        total = total + overtones * (0.3 + _uniform(batch, generator))
    tremble = 1 + 0.3 * torch.sin(2 * math.pi * times * 5)
    return total * tremble


def _notes(batch: int, num_samples: int, generator: torch.Generator) -> Tensor:
    """Melodies of struck or bowed notes, two to eight a second, some with vibrato, in few or many overtones."""
    times = torch.arange(num_samples) / SAMPLE_RATE
    lengths = 2000 + 6000 * _uniform(batch, generator)  # samples of one note
    place = torch.arange(num_samples) / lengths
    number = place.long()
    scale = torch.tensor([0, 2, 4, 5, 7, 9, 11, 12])
    steps = scale[torch.randint(0, len(scale), (batch, int(number.max()) + 1), generator=generator)]
    base = 110 * 2 ** (2.5 * _uniform(batch, generator))
    vibrato = 1 + 0.01 * torch.where(_chosen(batch, 0.4, generator), torch.sin(2 * math.pi * 5.5 * times), 0.0)
    pitch = base * 2 ** (steps.gather(1, number) / 12) * vibrato
    phase = 2 * math.pi * torch.cumsum(pitch, dim=1) / SAMPLE_RATE
    brightness = 0.2 + 0.7 * _uniform(batch, generator)
    total = sum(brightness ** (k - 1) * torch.sin(k * phase) for k in range(1, 7))
    decay = torch.where(_chosen(batch, 0.6, generator), 1 + 5 * _uniform(batch, generator), 0.2)
    attack = 1 - torch.exp(-(place - number) * 40)
    return total * attack * torch.exp(-decay * (place - number))


def _coarsened(signals: Tensor, generator: torch.Generator) -> Tensor:
    """What speech codecs leave: few bits on a logarithmic scale (as in telephones) on a fifth."""
    coarse = torch.flatten(_chosen(signals.shape[0], 0.2, generator))
    chosen = signals[coarse]
    peak = chosen.abs().amax(dim=1, keepdim=True) + 1e-6
    scaled = chosen / peak
    rounded = torch.round(torch.sign(scaled) * torch.log1p(255 * scaled.abs()) / math.log(256) * 24) / 24
    signals[coarse] = torch.sign(rounded) * torch.expm1(rounded.abs() * math.log(256)) / 255 * peak
    return signals


def stretched(signals: Tensor, shapes: Tensor, num_frames: int) -> tuple[Tensor, Tensor]:
    """Sound [B,S] and curves [B,F,K] played at another speed so that they last `num_frames` frames."""
    sound = F.interpolate(signals[:, None], size=num_frames * SAMPLES_PER_FRAME, mode="linear", align_corners=False)
    curves = F.interpolate(shapes.transpose(1, 2), size=num_frames, mode="linear", align_corners=False)
    return sound[:, 0], curves.transpose(1, 2)
