"""The configuration of a LoRA training: a YAML file, every key checked before any weight is read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from ...config.settings import choice, integer, known_keys, number, path_text, quoted, text
from ...errors import InputError, PresetError
from ...paths import presets_dir
from ..loop_settings import Precision
from ..references import STRATEGIES, Strategy

# The parts of a block that may get adapters, as the Wan LoRAs in circulation divide them, and their linear layers.
LAYERS = {
    "attn1": ("to_q", "to_k", "to_v", "to_out.0"),
    "attn2": ("to_q", "to_k", "to_v", "to_out.0", "add_k_proj", "add_v_proj"),
    "audio_attn": ("to_q", "to_kv", "to_out.0"),
    "ffn": ("net.0.proj", "net.2"),
}
Framing = Literal["face", "whole"]
Dtype = Literal["bfloat16", "float32"]


@dataclass(frozen=True)
class LoraConfig:
    """One LoRA training. Only `model` has to be thought about; the rest has defaults for the published model.

    Network.
        model: name in `models.specs`. checkpoints_dir: folder of weights that do not ship with the package.
        dtype: of the frozen weights. precision: what is computed in. gradient_checkpointing: keep one block's
        intermediate results at a time, for a third more arithmetic.
    Adapter.
        rank, alpha: W + alpha / rank * up @ down. layers: parts of each block that get one. start_from: a LoRA file to
        go on from, of the same rank and layers.
    Clips.
        size: table of sizes (`480p`, `720p`); each film takes the size nearest to its shape. framing: `face` cuts a
        square around the face. prompt: of every film without a text file of its own name. chunk_stride: frames between
        the starts of two chunks. references_per_chunk: pictures kept for each.
    What is given.
        reference: where references come from (M0 to M3). audio_dropout, text_dropout: share of examples without.
        shift: of the times drawn, as in generation: larger means noisier.
    Training.
        num_steps, batch_size, accumulate (batches per step), rate, warm_up_steps, weight_decay, average_decay (0 keeps
        no averaged weights), report_steps, save_minutes, seed.
    """

    model: str = "infinitetalk-14b-single"
    checkpoints_dir: str | None = None
    dtype: Dtype = "bfloat16"
    precision: Precision = "bf16"
    gradient_checkpointing: bool = True
    rank: int = 32
    alpha: float = 32.0
    layers: tuple[str, ...] = tuple(LAYERS)
    start_from: str | None = None
    size: str = "480p"
    framing: Framing = "whole"
    prompt: str = ""
    chunk_stride: int = 48
    references_per_chunk: int = 2
    reference: Strategy = "M3"
    audio_dropout: float = 0.1
    text_dropout: float = 0.1
    shift: float = 7.0
    num_steps: int = 2000
    batch_size: int = 1
    accumulate: int = 4
    rate: float = 1e-4
    warm_up_steps: int = 50
    weight_decay: float = 0.01
    average_decay: float = 0.0
    report_steps: int = 100
    save_minutes: float = 10.0
    seed: int = 7

    def __post_init__(self) -> None:
        for name in ("model", "size", "prompt"):
            text(name, getattr(self, name))
        for name in ("checkpoints_dir", "start_from"):
            object.__setattr__(self, name, path_text(getattr(self, name)) or None)
        for name, low, high in (
            ("rank", 1, 1024), ("chunk_stride", 1, 10_000), ("references_per_chunk", 1, 64), ("num_steps", 1, 10**7),
            ("batch_size", 1, 4096), ("accumulate", 1, 4096), ("warm_up_steps", 0, 10**6), ("report_steps", 1, 10**6),
            ("seed", 0, 2**63 - 1),
        ):  # fmt: skip
            object.__setattr__(self, name, integer(name, getattr(self, name), low, high))
        for name, low, high in (
            ("alpha", 1e-3, 1e5), ("audio_dropout", 0, 0.9), ("text_dropout", 0, 0.9), ("shift", 0.01, 100),
            ("rate", 1e-9, 1), ("weight_decay", 0, 1), ("average_decay", 0, 0.99999), ("save_minutes", 0, 1440),
        ):  # fmt: skip
            object.__setattr__(self, name, float(number(name, getattr(self, name), low, high)))
        for name, choices in (
            ("dtype", get_args(Dtype)), ("precision", get_args(Precision)), ("framing", get_args(Framing)),
            ("reference", STRATEGIES),
        ):  # fmt: skip
            choice(name, getattr(self, name), choices)
        if not isinstance(self.gradient_checkpointing, bool):
            raise InputError(f"gradient_checkpointing is {quoted(self.gradient_checkpointing)}; give true or false.")
        layers = [self.layers] if isinstance(self.layers, str) else list(self.layers or ())
        if not layers:
            raise InputError(f"layers is empty; name at least one of {', '.join(LAYERS)}.")
        for layer in layers:
            choice("layers", layer, tuple(LAYERS))
        object.__setattr__(self, "layers", tuple(dict.fromkeys(layers)))


def read_config(name: str | Path) -> LoraConfig:
    """The configuration in a `.yaml` file, or the shipped one called `name`.

    Raises:
        PresetError: naming the file and the key, if it cannot be read, holds an unknown key or a bad value.
    """
    import yaml

    name = str(name)
    path = Path(name) if name.endswith((".yaml", ".yml")) else presets_dir() / "training" / f"{name}.yaml"
    if not path.is_file():
        shipped = sorted(p.stem for p in (presets_dir() / "training").glob("lora-*.yaml"))
        raise PresetError(f"There is no LoRA configuration {name!r}; give a .yaml file or one of {', '.join(shipped)}.")
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PresetError(f"The LoRA configuration {path} cannot be read ({str(error).splitlines()[0]}).") from error
    try:
        return LoraConfig(**known_keys(LoraConfig, {} if data is None else data, f"the LoRA configuration {path}"))
    except PresetError:
        raise
    except InputError as error:
        sentence = str(error)
        raise PresetError(sentence if str(path) in sentence else f"In {path}: {sentence}") from error


def field_names() -> tuple[str, ...]:
    """Every key that a configuration may hold."""
    return tuple(field.name for field in fields(LoraConfig))
