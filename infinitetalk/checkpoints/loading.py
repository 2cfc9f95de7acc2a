"""Loading a model: its networks are built without memory, checked against the headers of its files, then filled.

Each weight is read once and moved once. What stays on the host in its own type stays on the mapped file; what changes
type, is quantized, gets a LoRA or goes to another device passes through the host one tensor at a time. A missing,
unexpected or misshapen key is an error before the first number is read. Nothing in a file is ever executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..errors import CheckpointError
from ..models.specs import ModelSpec
from .diffusers_layout import folder_component
from .fill import build_empty, expected_shapes, fill
from .locate import find, find_control, find_lora, folders_to_search
from .official import Component
from .sources import Streamed

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    from torch import nn
    from transformers import CLIPVisionModel, PreTrainedTokenizerBase, UMT5EncoderModel

    from ..config.settings import Lora, Quantization
    from ..models.audio_encoder import SpeechEncoder
    from ..models.control import PoseEmbedding
    from ..models.nano_vae import NanoVAE
    from ..models.transformer import InfiniteTalkTransformer
    from ..models.uni3c import Uni3CControl
    from ..models.vace import VaceBranch
    from .lora import Adapters

# Networks that are small and lose by half precision stay in float32 whatever the transformer's type.
FLOAT32_COMPONENTS = ("vae", "audio_encoder")


@dataclass(frozen=True)
class Models:
    """The networks of one spec, ready to run on `device`.

    camera, pose: control networks, whose residuals and tokens the transformer adds to its own.
    """

    spec: ModelSpec
    transformer: InfiniteTalkTransformer
    vae: AutoencoderKLWan | NanoVAE
    image_encoder: CLIPVisionModel
    audio_encoder: SpeechEncoder
    text_encoder: UMT5EncoderModel | None = None
    tokenizer: PreTrainedTokenizerBase | None = None
    camera: Uni3CControl | None = None
    pose: PoseEmbedding | VaceBranch | None = None

    @property
    def device(self) -> torch.device:
        # Offloaded weights wait elsewhere than where they are used (runtime/fit.py).
        return getattr(self.transformer, "runs_on", None) or next(self.transformer.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.transformer.parameters()).dtype


def load(
    spec: ModelSpec,
    checkpoints_dir: str | Path | None,
    dtype: torch.dtype,
    device: str = "cpu",
    *,
    quantization: Quantization = "none",
    loras: Sequence[Lora] = (),
    controls: Sequence[str] = (),
) -> Models:
    """Every network of `spec`, wherever its files lie: shipped, converted, as published, or in the hub's cache.

    Args:
        controls: names of control networks (`checkpoints.files.CONTROLS`).

    Raises:
        CheckpointError: files are missing (what to do is said), damaged, or do not fit; names the file and the key.
    """
    located = find(spec, checkpoints_dir, quantization=quantization)
    components = {name: located.component(name) for name in spec.components if name != "tokenizer"}
    return _load(spec, components, located.tokenizer, dtype, device, quantization, loras, checkpoints_dir, controls)


def load_folder(
    spec: ModelSpec,
    folder: Path,
    dtype: torch.dtype,
    device: str = "cpu",
    *,
    quantization: Quantization = "none",
    loras: Sequence[Lora] = (),
) -> Models:
    """Every network of `spec` from `folder` in the diffusers layout: a sub-folder of each, with its config.json.

    Raises:
        CheckpointError: a folder, file or key is missing, or a key is not the network's; names the file and the key.
    """
    for name in spec.components:
        if not (folder / name).is_dir():
            raise CheckpointError(f"{spec.title} lacks its {name}: the folder {folder / name} does not exist.")
    components = {name: folder_component(folder / name) for name in spec.components if name != "tokenizer"}
    return _load(spec, components, folder / "tokenizer", dtype, device, quantization, loras, folder)


def _load(
    spec: ModelSpec,
    components: Mapping[str, Component],
    tokenizer_folder: Path,
    dtype: torch.dtype,
    device: str,
    quantization: Quantization,
    loras: Sequence[Lora],
    checkpoints_dir: str | Path | None,
    controls: Sequence[str] = (),
) -> Models:
    networks: dict[str, Any] = {}
    # Everything that can be refused is refused before the first large file is read.
    empty = {name: build_empty(component.build) for name, component in components.items()}
    for name, component in components.items():
        if component.quantized is None:
            component.weights.check(expected_shapes(empty[name], component.weights), title=type(empty[name]).__name__)
    adapters = _adapters(empty["transformer"], loras, checkpoints_dir)
    control_networks, more = _controls(empty["transformer"], controls, checkpoints_dir, spec)
    adapters += more
    for name, component in components.items():
        wanted = torch.float32 if name in FLOAT32_COMPONENTS else dtype
        if name == "transformer":
            kept = folders_to_search(checkpoints_dir)[0] / "quantized" / f"{spec.name}-{quantization}"
            kept = kept if spec.shipped_in is None else None
            fill_transformer(empty[name], component, wanted, device, quantization, adapters, kept)
        else:
            fill(empty[name], component.weights, wanted, device)
            getattr(empty[name], "arrange_weights", lambda: None)()
        networks[name] = empty[name]
    for name, component in control_networks.items():
        networks[name] = build_empty(component.build)
        fill(networks[name], component.weights, dtype, device)
    if "tokenizer" in spec.components:
        networks["tokenizer"] = load_tokenizer(tokenizer_folder)
    return Models(spec=spec, **networks)


def fill_transformer(
    network: nn.Module,
    component: Component,
    dtype: torch.dtype,
    device: str,
    quantization: Quantization = "none",
    adapters: Adapters = (),
    kept: Path | None = None,
) -> None:
    """Fill the transformer with LoRAs merged before any quantizing, or live on layers that were published quantized.

    Args:
        kept: where what was quantized stays for the next time; None keeps nothing.
    """
    from .lora import attach, merged
    from .quantized_files import fill as fill_quantized
    from .quantized_files import fill_official, fingerprint, load_quantized, save_quantized

    weights = component.weights
    if component.quantized is not None:
        tensors = Streamed(weights)
        fill_official(network, tensors, component.quantized, dtype=dtype, device=device, source=weights.source)
        attach(network, adapters, dtype)
        return
    if adapters:
        names = {name for adapter, _ in adapters for name in adapter.changes}
        weights = weights.changed(lambda name, value: merged(name, value, adapters), names)
    if quantization == "none":
        fill(network, weights, dtype, device)
        return
    changes = [(adapter.source, scale) for adapter, scale in adapters]
    files = [*component.weights.files, *(adapter.path for adapter, _ in adapters)]
    mark = fingerprint(files, json.dumps([quantization, str(dtype), changes]))
    if kept is not None and load_quantized(network, kept, mark, dtype=dtype, device=device):
        return
    fill_quantized(
        network, weights.stream(copy=True), kind=quantization, dtype=dtype, device=device, source=weights.source
    )
    if kept is not None:
        save_quantized(network, kept, mark)


def _adapters(transformer: nn.Module, loras: Sequence[Lora], checkpoints_dir: str | Path | None) -> list:
    if not loras:
        return []
    from .lora import read_adapter

    shapes = expected_shapes(transformer)
    return [(read_adapter(find_lora(lora.file, checkpoints_dir), shapes), lora.scale) for lora in loras]


def _controls(
    transformer: nn.Module, names: Sequence[str], checkpoints_dir: str | Path | None, spec: ModelSpec
) -> tuple[dict[str, Component], Adapters]:
    """Control networks by their names in `Models`, and the LoRAs that come with them."""
    from .controls import read_pose_adapter, read_pose_network, read_uni3c, read_vace

    found, adapters = {}, []
    config: Mapping[str, Any] = getattr(transformer, "config", {})
    for name in names:
        path, width = find_control(name, checkpoints_dir, spec), int(config["dim"])
        if name == "uni3c" or spec.shares_control_network:
            found["camera"] = read_uni3c(path, width=width)
        elif name == "vace":
            found["pose"] = read_vace(path, width=width, num_layers=int(config["num_layers"]))
        else:
            found["pose"] = read_pose_network(path, width=width)
            adapters.append((read_pose_adapter(path, expected_shapes(transformer)), 1.0))
    return found, adapters


def load_tokenizer(folder: Path) -> object:
    """The tokenizer in `folder`.

    Raises:
        CheckpointError: it is missing or cannot be read.
    """
    from transformers import AutoTokenizer

    if not folder.is_dir():
        raise CheckpointError(f"The tokenizer's folder {folder} does not exist; download it again.")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"The tokenizer in {folder} cannot be read ({reason}).") from error
