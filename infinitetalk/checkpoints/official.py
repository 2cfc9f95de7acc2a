"""The published files as components of a model: which network they fill, and their weights under our names.

Sizes are read from the weights themselves, so that a sibling of another size needs no new table; what shapes do not
tell (heads, norms) is the published constant.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from .keys import clip as keys_clip
from .keys import umt5 as keys_umt5
from .keys import wan_vae as keys_wan_vae
from .keys import wav2vec2 as keys_wav2vec2
from .keys.transformer import convert_config, to_official, to_ours
from .sources import Weights, convert_all, rename

if TYPE_CHECKING:
    from torch import nn

HEAD_DIM = 128  # of every published Wan transformer
CLIP_HEAD_DIM = 80  # ViT-H: 1280 channels, 16 heads
_BASE_CONFIG = {"text_len": 512}
# What the published map calls a quantized layer's parts (optimum-quanto), and what only its activations would use.
QUANTIZED_DATA, QUANTIZED_SCALE = "._data", "._scale"
_PLACEHOLDERS = (".input_scale", ".output_scale")


@dataclass(frozen=True)
class Component:
    """One network to be filled. build: the network itself; quantized: the published map of quantized layers, if any."""

    build: Callable[[], nn.Module]
    weights: Weights
    quantized: Mapping[str, Mapping[str, str]] | None = None


def transformer(files: Sequence[Path], config_file: Path | None = None) -> Component:
    """The speaking-video transformer from the image-to-video files and, laid over them, the one for speech.

    Args:
        files: in this order; values of later files win.
        config_file: the official config.json, where there is one.
    """
    return transformer_component(rename(files, transformer_name), config_file)


def transformer_component(weights: Weights, config_file: Path | None = None) -> Component:
    """The transformer that `weights` (our names) belong to."""
    config = transformer_config(weights, config_file)
    return Component(lambda: _transformer(config), weights)


def quantized_transformer(file: Path, map_file: Path, config_file: Path | None = None) -> Component:
    """The published quantized transformer: one file with everything in it, and a map of its quantized layers.

    Raises:
        CheckpointError: a file cannot be read, or the map is not one.
    """
    weights = rename([file], transformer_name)
    kept = {name: entry for name, entry in weights.entries.items() if not name.endswith(_PLACEHOLDERS)}
    weights = Weights(weights.source, kept)
    try:
        layers = json.loads(map_file.read_text(encoding="utf-8"))
        weight_names = {transformer_name(f"{layer}.weight"): kinds for layer, kinds in layers.items()}
        names = {name.removesuffix(".weight"): kinds for name, kinds in weight_names.items() if name is not None}
        assert len(names) == len(layers)
        assert all(isinstance(kinds.get("weights"), str) for kinds in names.values())
    except (OSError, ValueError, AttributeError, AssertionError) as error:
        raise CheckpointError(f"{map_file} is no map of quantized layers ({error}); download it again.") from error
    config = transformer_config(weights, config_file)
    return Component(lambda: _transformer(config), weights, names)


def transformer_name(key: str) -> str | None:
    """Our name of an official key, whatever program saved it."""
    for prefix in ("model.diffusion_model.", "diffusion_model."):
        key = key.removeprefix(prefix)
    return to_ours(key)


def _transformer(config: Mapping[str, Any]) -> nn.Module:
    from ..models.transformer import InfiniteTalkTransformer

    return InfiniteTalkTransformer(**config)


def transformer_config(weights: Weights, config_file: Path | None) -> dict[str, Any]:
    """Arguments of our transformer, from the official config.json where it says them and from shapes otherwise.

    Raises:
        CheckpointError: the config cannot be read, or names what this network does not have.
    """
    shapes = {name: info.shape for name, info in weights.infos.items()}

    def shape(name: str) -> tuple[int, ...]:
        for suffix in ("", QUANTIZED_DATA):
            if name + suffix in shapes:
                return shapes[name + suffix]
        raise CheckpointError(f"{weights.source}: missing weight {to_official(name) or name}; download it again.")

    embedding = shape("patch_embedding.weight")
    output_dim = shape("audio_projection.norm.weight")[0]
    window, following = shape("audio_projection.proj1.weight")[1], shape("audio_projection.proj1_vf.weight")[1]
    config: dict[str, Any] = dict(_BASE_CONFIG) | {
        "dim": embedding[0],
        "in_dim": embedding[1],
        "patch_size": tuple(embedding[2:]),
        "num_heads": max(1, embedding[0] // HEAD_DIM),
        "num_layers": 1 + max(int(name.split(".")[1]) for name in shapes if name.startswith("blocks.")),
        "ffn_dim": shape("blocks.0.ffn.net.0.proj.weight")[0],
        "freq_dim": shape("condition_embedder.time_embedder.linear_1.weight")[1],
        "text_dim": shape("condition_embedder.text_embedder.linear_1.weight")[1],
        "image_dim": shape("condition_embedder.image_embedder.norm1.weight")[0],
        "intermediate_dim": shape("audio_projection.proj1.weight")[0],
        "output_dim": output_dim,
        "context_tokens": shape("audio_projection.proj3.weight")[0] // output_dim,
    }
    # The two inputs of the audio projection hold `window` and `window + vae_scale - 1` frames of all layers' channels.
    frame = following - window
    if frame > 0 and frame % 3 == 0 and window % (frame // 3) == 0:
        config |= {"audio_window": 3 * window // frame, "vae_scale": 4} | _layers_and_channels(frame // 3)
    if config_file is not None:
        try:
            published = json.loads(config_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{config_file} cannot be read ({type(error).__name__}).") from error
        config |= convert_config(published, source=str(config_file))
    head = shape("proj_out.weight")[0]
    for length in config["patch_size"]:
        head //= length
    return config | {"out_dim": head}


def _layers_and_channels(per_frame: int) -> dict[str, int]:
    """Layers and channels of the speech encoder from their product: wav2vec2-base has 12 of 768."""
    channels = 768 if per_frame % 768 == 0 else per_frame // 12 if per_frame % 12 == 0 else per_frame
    return {"audio_channels": channels, "audio_blocks": per_frame // channels}


def vae(file: Path) -> Component:
    """Wan's video autoencoder from Wan2.1_VAE.pth."""
    weights = convert_all([file], keys_wan_vae.convert)
    base = _first_shape(weights, "encoder.conv_in.weight")[0]
    blocks = {name.split(".")[4] for name in weights.entries if name.startswith("decoder.up_blocks.0.resnets.")}

    def build() -> nn.Module:
        from ..models.vae import wan_vae

        return wan_vae({"dim": base, "num_res_blocks": max(1, len(blocks) - 1)})

    return Component(build, weights)


def image_encoder(file: Path) -> Component:
    """CLIP's image tower from the official file; its text tower is never read."""
    weights = convert_all([file], keys_clip.convert)
    patches = _first_shape(weights, "embeddings.patch_embedding.weight")
    positions = _first_shape(weights, "embeddings.position_embedding.weight")[0]
    hidden = _first_shape(weights, "encoder.layers.0.mlp.fc1.weight")
    layers = {name.split(".")[2] for name in weights.entries if name.startswith("encoder.layers.")}

    def build() -> nn.Module:
        from transformers import CLIPVisionModel

        from ..models.image_encoder import image_encoder_config

        return CLIPVisionModel(
            image_encoder_config(
                hidden_size=patches[0],
                num_layers=len(layers),
                num_heads=max(1, patches[0] // CLIP_HEAD_DIM),
                mlp_ratio=hidden[0] / hidden[1],
                image_size=round((positions - 1) ** 0.5) * patches[-1],
                patch_size=patches[-1],
            )
        )

    return Component(build, weights)


def text_encoder(file: Path) -> Component:
    """UMT5's encoder from the official file."""
    weights = convert_all([file], keys_umt5.convert)
    vocabulary, hidden = _first_shape(weights, "shared.weight")
    first = "encoder.block.0.layer.0.SelfAttention."
    buckets, heads = _first_shape(weights, first + "relative_attention_bias.weight")
    blocks = {name.split(".")[2] for name in weights.entries if name.startswith("encoder.block.")}

    def build() -> nn.Module:
        from transformers import UMT5EncoderModel

        from ..models.text_encoder import text_encoder_config

        return UMT5EncoderModel(
            text_encoder_config(
                vocab_size=vocabulary,
                hidden_size=hidden,
                attention_size=_first_shape(weights, first + "q.weight")[0],
                feed_forward_size=_first_shape(weights, "encoder.block.0.layer.1.DenseReluDense.wi_0.weight")[0],
                num_heads=heads,
                num_layers=len(blocks),
                num_buckets=buckets,
            )
        )

    return Component(build, weights)


def audio_encoder(file: Path, config_file: Path) -> Component:
    """wav2vec2 from a checkpoint of transformers and its config.json."""
    weights = convert_all([file], keys_wav2vec2.convert)

    def build() -> nn.Module:
        from transformers import Wav2Vec2Config

        from ..models.audio_encoder import SpeechEncoder

        try:
            published = json.loads(config_file.read_text(encoding="utf-8"))
            # Masking is for training alone; without it the network has no weight for masked spans.
            config = Wav2Vec2Config.from_dict(published | {"mask_time_prob": 0.0, "mask_feature_prob": 0.0})
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(f"{config_file} cannot be read ({type(error).__name__}).") from error
        return SpeechEncoder(config)

    return Component(build, weights)


def _first_shape(weights: Weights, name: str) -> tuple[int, ...]:
    entry = weights.entries.get(name)
    if entry is None:
        raise CheckpointError(f"{weights.source} lacks {name}; it is another network's file or incomplete.")
    return entry.info.shape
