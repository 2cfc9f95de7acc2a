"""Loading a model's networks from a folder in the diffusers layout, strictly and without executing anything in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from .specs import ModelSpec

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Models:
    """The networks of one spec, ready to run on `device`."""

    spec: ModelSpec
    transformer: nn.Module
    vae: nn.Module
    image_encoder: nn.Module
    audio_encoder: nn.Module
    text_encoder: nn.Module | None = None
    tokenizer: object | None = None

    @property
    def device(self) -> torch.device:
        return next(self.transformer.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.transformer.parameters()).dtype


def _classes() -> dict[str, type]:
    """Only these may be named by a config.json."""
    from diffusers import AutoencoderKLWan
    from transformers import CLIPVisionModel, UMT5EncoderModel

    from .audio_encoder import SpeechEncoder
    from .nano_vae import NanoVAE
    from .nano_vae2 import NanoVAE2
    from .transformer import InfiniteTalkTransformer

    return {
        c.__name__: c
        for c in (
            InfiniteTalkTransformer, AutoencoderKLWan, NanoVAE, NanoVAE2, CLIPVisionModel, UMT5EncoderModel, SpeechEncoder,
        )
    }


def load_folder(spec: ModelSpec, folder: Path, dtype: torch.dtype, device: str = "cpu") -> Models:
    """Every component of `spec` from `folder`.

    Raises:
        CheckpointError: a folder, file or key is missing, or a key is not the network's; names the file and the key.
    """
    networks: dict[str, object] = {}
    for component in spec.components:
        path = folder / component
        if not path.is_dir():
            raise CheckpointError(f"{spec.title} lacks its {component}: the folder {path} does not exist.")
        if component == "tokenizer":
            from transformers import AutoTokenizer

            networks[component] = AutoTokenizer.from_pretrained(path, local_files_only=True)
        else:
            networks[component] = load_network(path, dtype).to(device).eval().requires_grad_(False)
    return Models(spec=spec, **networks)


def load_network(path: Path, dtype: torch.dtype) -> nn.Module:
    """The network whose weights and config.json lie in `path`; of the classes that models are made of.

    Raises:
        CheckpointError: see `load_folder`.
    """
    config_path = path / "config.json"
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{config_path} cannot be read ({error}).") from error
    name = config.get("_class_name") or (config.get("architectures") or ["?"])[0]
    cls = _classes().get(name)
    if cls is None:
        raise CheckpointError(f"{config_path} names the network {name!r}, which is not one of {', '.join(_classes())}.")
    if not list(path.glob("*.safetensors")):
        raise CheckpointError(f"{path} holds no .safetensors file; other formats are not read.")
    dtype_name = "dtype" if "architectures" in config else "torch_dtype"  # transformers' spelling, diffusers' spelling
    try:
        with _without_progress_bars():
            model, info = cls.from_pretrained(
                path, output_loading_info=True, use_safetensors=True, local_files_only=True, **{dtype_name: dtype}
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"The weights in {path} cannot be loaded ({str(error).splitlines()[0]}).") from error
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if keys := sorted(str(k) for k in info.get(kind, ())):
            raise CheckpointError(f"{path}: {kind.replace('_', ' ')} {', '.join(keys[:3])}"
                                  + (f" and {len(keys) - 3} more." if len(keys) > 3 else "."))
    return model


@contextlib.contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Files of a second's work need no bar, and a page or a pipe has no place for one."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
