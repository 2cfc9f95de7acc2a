"""What a model needs to run, by arithmetic: weights, conditions, activations and pictures in bytes, steps in sums.

Nothing is loaded: a network's shape and a preset say it all. Constants that arithmetic cannot give (what a framework
takes before it does anything) are measured ones and named so. `tests/runtime/test_memory.py` holds the sums against
networks that were really built and run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..config.settings import Settings
from ..models.specs import ModelSpec
from .machine import Machine

MIB = 2**20
BYTES = {"float32": 4, "bfloat16": 2}
# Bits of a weight with its scales (models/quantize.py), and the one-value-per-channel scales of eight bits.
WEIGHT_BITS = {"int8": 8, "fp8": 8, "int4": 4.25, "nf4": 4.5, "llm-int8": 8}
IMAGE_TOKENS = 257
# Measured: a process that has imported torch, diffusers and transformers (475 and 750 on two machines: how much of the
# libraries is read differs), and a CUDA context with its libraries.
IMPORTS_MB = 600
CUDA_CONTEXT_MB = 600
FIRST_RUN_MB = 32  # measured on a CPU: kernels at their first use, threads, what the allocator keeps
FRAGMENTATION = 1.05  # of a card's memory, for what the allocator cannot use

# Parameters of the published transformer's encoders (checkpoints' manifests), and the width of the VAE.
TEXT_ENCODER, IMAGE_ENCODER, AUDIO_ENCODER, VAE = 5_680_910_336, 632_076_800, 94_395_008, 126_892_531
# Control networks, the blocks of each, and Uni3C's sizes; VACE's are the transformer's.
CONTROLS = {"uni3c": 1_165_741_824, "unianimate": 381_380, "vace": 3_049_101_312}
CONTROL_BLOCKS = {"uni3c": 20, "unianimate": 1, "vace": 8}
UNI3C_DIM, UNI3C_FFN = 1024, 8192
VAE_WIDTH = 96
_LARGEST_TEXT_PART = 256_384 * 4096  # the vocabulary, which visits as a whole


@dataclass(frozen=True)
class Shape:
    """The transformer's sizes, by the names of its configuration."""

    dim: int = 5120
    ffn_dim: int = 13824
    freq_dim: int = 256
    num_layers: int = 40
    num_heads: int = 40
    text_len: int = 512
    text_dim: int = 4096
    in_dim: int = 36
    out_dim: int = 16
    image_dim: int = 1280
    audio_window: int = 5
    vae_scale: int = 4
    audio_blocks: int = 12
    audio_channels: int = 768
    intermediate_dim: int = 512
    output_dim: int = 768
    context_tokens: int = 32

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape:
        """From a transformer's configuration; keys it does not need are passed over."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in config.items() if key in known})

    @property
    def block_matrices(self) -> int:
        """Weights of one block's linear layers, which is what quantization is applied to."""
        d, f, a = self.dim, self.ffn_dim, self.output_dim
        return 4 * d * d + 6 * d * d + (2 * d * d + 2 * d * a) + 2 * d * f

    @property
    def block_vectors(self) -> int:
        """Biases, norms and the modulation table of one block."""
        d, f = self.dim, self.ffn_dim
        biases = 4 * d + 6 * d + 4 * d + f + d
        norms = 2 * d + 3 * d + 2 * d + 2 * d
        return biases + norms + 6 * d

    @property
    def outside_blocks(self) -> int:
        """Embeddings, the audio projection and the output layer."""
        d, i, patch = self.dim, self.image_dim, 4
        embeddings = self.in_dim * patch * d + d
        embeddings += self.text_dim * d + d + d * d + d
        embeddings += self.freq_dim * d + d + d * d + d + 6 * d * d + 6 * d
        embeddings += 2 * i + i * i + i + i * d + d + 2 * d
        features, h = self.audio_blocks * self.audio_channels, self.intermediate_dim
        first, later = self.audio_window, self.audio_window + self.vae_scale - 1
        tokens = self.context_tokens * self.output_dim
        audio = (first + later) * features * h + 2 * h + h * h + h + h * tokens + tokens + 2 * self.output_dim
        return embeddings + audio + 2 * d + d * self.out_dim * patch + self.out_dim * patch

    @property
    def parameters(self) -> int:
        return self.num_layers * (self.block_matrices + self.block_vectors) + self.outside_blocks

    def operations(self, grid: tuple[int, int, int], branches: int, speakers: int = 1) -> float:
        """Multiplications and additions of one step: every branch once, keys of conditions already there.

        grid: latent frames, rows and columns of tokens. The first block's self-attention serves all branches.
        """
        n, d = grid[0] * grid[1] * grid[2], self.dim
        self_attention = 4 * d * d * n + 2 * n * n * d
        cross = 2 * d * d * n + 2 * n * (self.text_len + IMAGE_TOKENS) * d
        audio = 2 * d * d * n + 2 * n * self.context_tokens * speakers * d
        rest = cross + audio + 2 * d * self.ffn_dim * n
        blocks = self.num_layers * branches * (self_attention + rest) - (branches - 1) * self_attention
        return 2.0 * blocks


@dataclass(frozen=True)
class Estimate:
    """Peaks in MiB and what they are made of. vram_mb is 0 on a CPU; ram_mb is the process's resident memory.

    disk_mb: the files to have. parts: MiB by name, device first.
    """

    vram_mb: float
    ram_mb: float
    disk_mb: float
    parts: dict[str, float]

    def describe(self) -> str:
        """'21.3 GB on the card, 12.0 GB of memory'."""
        ram = f"{self.ram_mb / 1024:.1f} GB of memory"
        return f"{self.vram_mb / 1024:.1f} GB on the card, {ram}" if self.vram_mb else ram

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def needs_of(
    spec: ModelSpec, settings: Settings, height: int, width: int, speakers: int = 1, controls: Sequence[str] = ()
) -> Estimate:
    """What making films of height x width takes; for a shipped model its own measured peak of memory."""
    if spec.memory_mb:
        return Estimate(0, spec.memory_mb, 0, {})
    shape = transformer_shape(spec)
    return estimate(settings, height, width, shape=shape, speakers=speakers, controls=controls)


def shortfalls(needs: Estimate, machine: Machine, settings: Settings) -> list[str]:
    """What this machine lacks, a sentence each with the numbers and what to do; empty where it fits."""
    found = []
    if settings.device == "cuda" and not machine.gpu_name:
        found.append(
            f"This preset needs an NVIDIA card with {needs.vram_mb / 1024:.1f} GB and none was found; choose nano."
        )
    elif needs.vram_mb > machine.gpu_mb and settings.device == "cuda":
        found.append(
            f"This preset needs about {needs.vram_mb / 1024:.1f} GB on the card and the {machine.gpu_name} has "
            f"{machine.gpu_mb / 1024:.1f} GB; choose a smaller machine preset, or size 480p."
        )
    if needs.ram_mb > machine.ram_mb:
        found.append(
            f"This preset needs about {needs.ram_mb / 1024:.1f} GB of memory and this machine has "
            f"{machine.ram_mb / 1024:.1f} GB; choose a preset with smaller weights."
        )
    return found


def transformer_shape(spec: ModelSpec, folder: Path | None = None) -> Shape:
    """Of a spec: the shipped network's own configuration, or the published sizes."""
    if spec.shipped_in is not None:
        folder = spec.weights_dir(None)
    if folder is not None and (folder / "transformer" / "config.json").is_file():
        return Shape.of(json.loads((folder / "transformer" / "config.json").read_text(encoding="utf-8")))
    return Shape()


def token_grid(height: int, width: int, num_frames: int = 81) -> tuple[int, int, int]:
    """Tokens of a chunk: latent frames, rows, columns."""
    return 1 + (num_frames - 1) // 4, height // 16, width // 16


def num_branches(settings: Settings) -> int:
    """Evaluations of a step."""
    if settings.guidance_scale != 1:
        return 2 if settings.audio_guidance_scale == 1 else 3
    return 1 if settings.audio_guidance_scale == 1 else 2


def estimate(
    settings: Settings,
    height: int,
    width: int,
    *,
    shape: Shape | None = None,
    speakers: int = 1,
    encoders: bool = True,
    vae_width: int = VAE_WIDTH,
    num_frames: int = 81,
    controls: Sequence[str] = (),
) -> Estimate:
    """Peaks of making chunks of `num_frames` frames of height x width pixels.

    encoders: count text, image and audio encoder of the published model; False for a transformer and VAE alone.
    controls: control networks by their names (`checkpoints.files.CONTROLS`).
    """
    shape = shape or Shape()
    wide = BYTES[settings.dtype]
    on_card = settings.device != "cpu"
    parts: dict[str, float] = {}

    present, weights = _transformer_weights(settings, shape, wide)
    parts["transformer weights"] = present
    widest = shape.dim * shape.ffn_dim
    unpacked = 0 if settings.quantization == "none" else widest * 2 * wide

    # Conditions of a chunk. Branches share what they share: two texts, one picture, speech and silence.
    grid = token_grid(height, width, num_frames)
    branches = num_branches(settings)
    texts = 2 if settings.guidance_scale != 1 else 1
    sounds = (speakers if branches else 0) + (1 if branches == 3 or (branches == 2 and texts == 1) else 0)
    kept_tokens = texts * shape.text_len + IMAGE_TOKENS + sounds * grid[0] * shape.context_tokens
    keys = 2 * shape.dim * kept_tokens * wide
    all_keys = shape.num_layers * keys
    parts["conditions"] = {"device": all_keys, "host": 2 * keys, "recompute": keys}[settings.keys]

    at_a_time = branches if settings.branches == "together" else 1
    parts["activations"] = _activations(shape, grid, at_a_time, wide) + unpacked
    if settings.cache != "none":  # what the blocks added, of each branch, and the tokens before them
        parts["activations"] += (branches + 1) * grid[0] * grid[1] * grid[2] * shape.dim * wide
    control_weights = sum(CONTROLS[name] for name in controls) * wide
    if controls:
        here = control_weights
        if settings.offload != "none":  # visiting, block by block
            here = max(CONTROLS[name] / CONTROL_BLOCKS[name] for name in controls) * wide
        parts["control networks"] = here + _control_activations(shape, grid, controls, wide)
    parts["pictures"] = _pictures(height, width, num_frames, vae_width, settings)
    vae_weights = VAE * (vae_width / VAE_WIDTH) ** 2 * 4
    parts["autoencoder weights"] = vae_weights
    resident = visiting = 0.0
    if encoders:
        text, image = TEXT_ENCODER * wide, IMAGE_ENCODER * wide
        resident = (text + image if settings.encoders == "keep" else 0) + AUDIO_ENCODER * 4
        visiting = 0 if settings.encoders == "keep" else _LARGEST_TEXT_PART * wide
        parts["encoders"] = resident
    # Steps, pictures and a visiting encoder come one after the other; conditions end with the steps.
    steps = parts["conditions"] + parts["activations"] + parts.get("control networks", 0)
    at_once = max(steps, parts["pictures"], visiting)
    device = parts["transformer weights"] + vae_weights + resident + at_once

    waiting = weights + control_weights if settings.offload != "none" else 0.0
    waiting += all_keys if settings.keys == "host" and on_card else 0.0
    if on_card:
        # Visiting encoders lie on their mapped files; one tensor at a time passes through the host.
        host = waiting + widest * 4 + 2 * num_frames * 3 * height * width
        vram, ram = device * FRAGMENTATION / MIB + CUDA_CONTEXT_MB, host / MIB + IMPORTS_MB + 1500
    else:
        vram, ram = 0.0, device / MIB + IMPORTS_MB + FIRST_RUN_MB
    disk = shape.parameters * 2 + VAE * 4 + (TEXT_ENCODER * 2 + IMAGE_ENCODER * 2 + AUDIO_ENCODER * 4) * encoders
    return Estimate(
        round(vram), round(ram), round(disk / MIB), {name: round(size / MIB, 1) for name, size in parts.items()}
    )


def _transformer_weights(settings: Settings, shape: Shape, wide: int) -> tuple[float, float]:
    """Bytes on the device at once, and bytes that wait in main memory where the preset offloads."""
    matrix_bits = WEIGHT_BITS.get(settings.quantization, 8 * wide)
    block = shape.block_matrices * matrix_bits / 8 + shape.block_vectors * wide
    outside = shape.outside_blocks * wide
    weights = shape.num_layers * block + outside
    if settings.offload == "block":
        staying = min(shape.num_layers, int(settings.resident_gb * 2**30 / block))
        return min(staying + 2, shape.num_layers) * block + outside, weights - staying * block
    if settings.offload == "leaf":
        return 2 * max(shape.dim * shape.ffn_dim, 6 * shape.dim**2) * matrix_bits / 8, weights
    return weights, weights


def _activations(shape: Shape, grid: tuple[int, int, int], branches: int, wide: int) -> float:
    """Bytes alive at the widest place of a block, all branches side by side."""
    tokens = grid[0] * grid[1] * grid[2]
    one = tokens * shape.dim
    # What elementwise passes in float32 hold besides their result, and the hidden layer of the MLP; both are made a
    # slice of tokens at a time where there are many (models/layers.py, by_slices).
    passing = (3 if wide == 2 else 1) * 4 * min(one, _SLICE_VALUES)
    hidden = min(tokens * shape.ffn_dim, 4 * _SLICE_VALUES)
    # The reference's share of the tokens, each branch's tokens as they came, the results so far.
    carried = (1 + branches + branches - 1) * one * wide
    # Normed tokens, query, key, value, what was attended, and that once more through the output layer.
    attention = 6 * one * wide
    mlp = 3 * one * wide + 2 * hidden * wide
    return carried + max(attention, mlp, 2 * one * wide + passing)


def _control_activations(shape: Shape, grid: tuple[int, int, int], controls: Sequence[str], wide: int) -> float:
    """Bytes that control networks hold while a chunk is denoised: tokens of each, and of those that walk blocks of
    their own, their stream, a block's widest place and the residual.
    """
    tokens = grid[0] * grid[1] * grid[2]
    held = len(controls) * tokens * shape.dim
    if "uni3c" in controls:
        held += tokens * (UNI3C_DIM + max(6 * UNI3C_DIM, 2 * UNI3C_FFN) + 2 * shape.dim)
    if "vace" in controls:  # passes in float32 count twice
        held += tokens * (shape.dim + max(8 * shape.dim, 2 * shape.ffn_dim + 2 * shape.dim) + 2 * shape.dim)
    return held * wide


def _pictures(height: int, width: int, num_frames: int, vae_width: int, settings: Settings) -> float:
    """Bytes of decoding: feature maps at full resolution of four frames, what convolutions remember, the frames."""
    rows, columns = (min(height, 256), min(width, 256)) if settings.tile_vae else (height, width)
    pixels = rows * columns
    maps = 4 * pixels * vae_width * 4 * _VAE_MAPS
    remembered = 2 * pixels * vae_width * 4 * _VAE_MEMORIES
    frames = num_frames * 3 * height * width * 4
    return maps + remembered + 2 * frames


_SLICE_VALUES = 2**25
_VAE_MAPS = 6.0  # maps of four frames alive at once at full resolution, measured
_VAE_MEMORIES = 9.0  # convolutions at full resolution, each with two frames; those at lower ones add a little
