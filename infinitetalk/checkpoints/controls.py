"""The published control networks as components: what they fill, under our names, checked before they are read.

Sizes are read from the shapes; heads of Uni3C have 64 channels, those of VACE 128, as published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from .fill import build_empty, expected_shapes
from .keys.vace import BRANCH, vace_key
from .official import Component
from .sources import Weights, rename

if TYPE_CHECKING:
    from torch import nn

    from .lora import Adapter

UNI3C_HEAD_DIM = 64
VACE_HEAD_DIM = 128
POSE_PREFIXES = ("dwpose_embedding.", "randomref_embedding_pose.")  # whatever stands before them


def read_uni3c(file: Path, *, width: int) -> Component:
    """Uni3C's camera network (`models/uni3c.py`).

    Args:
        width: of the transformer that it steers.
    Raises:
        CheckpointError: the file cannot be read, is another network's, or steers another width.
    """
    weights = rename([file], lambda key: key)
    embedding = _shape(weights, "controlnet_patch_embedding.weight")
    rays = _shape(weights, "controlnet_mask_embedding.mask_proj.0.weight")
    timed = _shape(weights, "controlnet.controlnet_blocks.0.norm1.linear.weight")
    dim = _shape(weights, "controlnet.controlnet_blocks.0.norm1.norm.weight")[0]
    sizes = {
        "in_channels": embedding[1], "conv_out_dim": embedding[0], "dim": dim,
        "ffn_dim": _shape(weights, "controlnet.controlnet_blocks.0.ffn.0.weight")[0],
        "num_heads": max(1, dim // UNI3C_HEAD_DIM),
        "num_layers": len({key.split(".")[2] for key in weights.entries if "controlnet_blocks." in key}),
        "time_embed_dim": timed[1], "out_dim": _shape(weights, "controlnet.proj_out.0.weight")[0],
        "mid_channels": rays[0], "add_channels": rays[1],
    }  # fmt: skip

    def build() -> nn.Module:
        from ..models.uni3c import Uni3CControl

        return Uni3CControl(**sizes)

    _check_width(file, "camera network", sizes["out_dim"], width)
    return _checked(Component(build, weights))


def read_pose_network(file: Path, *, width: int) -> Component:
    """UniAnimate's pose network (`models/control.py`); its file's LoRA is `read_pose_adapter`'s.

    Raises:
        CheckpointError: as `read_uni3c`.
    """
    both = rename([file], lambda key: key)
    own = {name: entry for key, entry in both.entries.items() if (name := _pose_name(key)) is not None}
    weights = Weights(both.source, own)
    last = _shape(weights, "dwpose_embedding.12.weight")
    reference = _shape(weights, "randomref_embedding_pose.10.weight")

    def build() -> nn.Module:
        from ..models.control import PoseEmbedding

        return PoseEmbedding(last[0], last[1], reference[0])

    _check_width(file, "pose network", last[0], width)
    return _checked(Component(build, weights))


def read_vace(file: Path, *, width: int, num_layers: int) -> Component:
    """VACE's side branch (`models/vace.py`), from a file of its own or one that holds the text-to-video model as well.

    Args:
        num_layers: of the transformer that it controls; its own blocks belong to evenly spaced ones of these.
    Raises:
        CheckpointError: as `read_uni3c`.
    """
    everything = rename([file], vace_key)
    weights = Weights(everything.source, {n: e for n, e in everything.entries.items() if n.startswith("vace_")})
    embedding = _shape(weights, "vace_patch_embedding.weight")
    num_blocks = len({name.split(".")[1] for name in weights.entries if name.startswith(BRANCH)})
    if num_blocks == 0 or num_layers % num_blocks:
        raise CheckpointError(
            f"{file} has {num_blocks} blocks for the {num_layers} of this model, which does not divide "
            "evenly; choose the file that was made for models of its size."
        )
    sizes = {
        "dim": embedding[0], "in_channels": embedding[1], "num_heads": max(1, embedding[0] // VACE_HEAD_DIM),
        "ffn_dim": _shape(weights, f"{BRANCH}0.ffn.net.0.proj.weight")[0],
        "layers": tuple(range(0, num_layers, num_layers // num_blocks)),
        "cross_attn_norm": f"{BRANCH}0.norm2.weight" in weights.entries,
    }  # fmt: skip

    def build() -> nn.Module:
        from ..models.vace import VaceBranch

        return VaceBranch(**sizes)

    _check_width(file, "side branch", embedding[0], width)
    return _checked(Component(build, weights))


def read_pose_adapter(file: Path, network: Mapping[str, Sequence[int]]) -> Adapter:
    """The LoRA in the same file, which the transformer wears while it is steered; `network`: its shapes.

    Raises:
        CheckpointError: it does not fit.
    """
    from .lora import read_adapter

    return read_adapter(file, network, passed_over=lambda key: _pose_name(key) is not None)


def _pose_name(key: str) -> str | None:
    places = [key.index(prefix) for prefix in POSE_PREFIXES if prefix in key]
    return key[places[0] :] if places else None


def _shape(weights: Weights, name: str) -> tuple[int, ...]:
    entry = weights.entries.get(name)
    if entry is None:
        raise CheckpointError(f"{weights.source}: missing weight {name!r}; this is no such network, download it again.")
    return entry.info.shape


def _check_width(file: Path, title: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise CheckpointError(
            f"{file} is a {title} for transformers of width {found}, and this model's is {wanted}; choose the model "
            "that it was made for."
        )


def _checked(component: Component) -> Component:
    network = build_empty(component.build)
    component.weights.check(expected_shapes(network, component.weights), title=type(network).__name__)
    return component
