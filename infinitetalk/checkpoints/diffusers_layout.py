"""Networks in the diffusers layout: a folder with config.json and .safetensors files, whole or in shards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from .official import Component
from .sources import in_folder

if TYPE_CHECKING:
    from torch import nn


def _classes() -> dict[str, type]:
    """Only these may be named by a config.json."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    from transformers import CLIPVisionModel, UMT5EncoderModel

    from ..models.audio_encoder import SpeechEncoder
    from ..models.nano_vae import NanoVAE
    from ..models.transformer import InfiniteTalkTransformer

    return {
        c.__name__: c
        for c in (
            InfiniteTalkTransformer,
            AutoencoderKLWan,
            NanoVAE,
            CLIPVisionModel,
            UMT5EncoderModel,
            SpeechEncoder,
        )  # fmt: skip
    }


def folder_component(path: Path) -> Component:
    """One network in the diffusers layout: config.json and .safetensors files, whole or in shards.

    Raises:
        CheckpointError: the config or a file cannot be read, or the config names a network that is not ours.
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
    return Component(_builder(cls, config, config_path), in_folder(path))


def _builder(cls: type, config: dict, config_path: Path) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        try:
            if "architectures" in config:  # transformers' spelling
                return cls(cls.config_class.from_dict(config))
            return cls.from_config(config)
        except (ValueError, TypeError, AssertionError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(f"{config_path} does not describe a {cls.__name__} ({reason}).") from error

    return build
