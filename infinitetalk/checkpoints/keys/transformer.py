"""Official names of the transformer's weights and configuration, and ours.

Ours are diffusers' Wan names, for which its LoRA loaders, quantizers and offloading look. Every official key fits
exactly one row of `RULES`; translation works both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import CheckpointError

if TYPE_CHECKING:
    import torch
    from torch import nn

# (official, ours): a name or the beginning of one, up to a dot.
TOP_LEVEL = (
    ("patch_embedding", "patch_embedding"),
    ("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
    ("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
    ("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
    ("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
    ("time_projection.1", "condition_embedder.time_proj"),
    ("img_emb.proj.0", "condition_embedder.image_embedder.norm1"),
    ("img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj"),
    ("img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2"),
    ("img_emb.proj.4", "condition_embedder.image_embedder.norm2"),
    ("audio_proj", "audio_projection"),
    ("head.modulation", "scale_shift_table"),
    ("head.head", "proj_out"),
)
IN_BLOCK = (
    ("modulation", "scale_shift_table"),
    ("self_attn.q", "attn1.to_q"),
    ("self_attn.k", "attn1.to_k"),
    ("self_attn.v", "attn1.to_v"),
    ("self_attn.o", "attn1.to_out.0"),
    ("self_attn.norm_q", "attn1.norm_q"),
    ("self_attn.norm_k", "attn1.norm_k"),
    ("norm3", "norm2"),
    ("cross_attn.q", "attn2.to_q"),
    ("cross_attn.k", "attn2.to_k"),
    ("cross_attn.v", "attn2.to_v"),
    ("cross_attn.o", "attn2.to_out.0"),
    ("cross_attn.norm_q", "attn2.norm_q"),
    ("cross_attn.norm_k", "attn2.norm_k"),
    ("cross_attn.k_img", "attn2.add_k_proj"),
    ("cross_attn.v_img", "attn2.add_v_proj"),
    ("cross_attn.norm_k_img", "attn2.norm_added_k"),
    ("norm_x", "norm_audio"),
    ("audio_cross_attn.q_linear", "audio_attn.to_q"),
    ("audio_cross_attn.kv_linear", "audio_attn.to_kv"),
    ("audio_cross_attn.proj", "audio_attn.to_out.0"),
    ("ffn.0", "ffn.net.0.proj"),
    ("ffn.2", "ffn.net.2"),
)

# Official constructor arguments that have another name here, and those that leave no choice.
CONFIG_NAMES = {"blocks": "audio_blocks", "channels": "audio_channels"}
CONFIG_FIXED = {"model_type": "i2v", "window_size": [-1, -1], "class_range": 24, "class_interval": 4}


def _translate(key: str, source: int) -> str | None:
    """`key` with its beginning replaced; source 0: official to ours, 1: ours to official. None if no row fits."""
    prefix, rows, rest = "", TOP_LEVEL, key
    if key.startswith("blocks."):
        word, index, rest = key.split(".", 2)
        prefix, rows = f"{word}.{index}.", IN_BLOCK
    for row in rows:
        if rest == row[source] or rest.startswith(row[source] + "."):
            return prefix + row[1 - source] + rest[len(row[source]) :]
    return None


def to_ours(key: str) -> str | None:
    """Our name of an official key; None if the official network has no such key."""
    return _translate(key, 0)


def to_official(key: str) -> str | None:
    """Official name of one of our keys; None if we have no such key."""
    return _translate(key, 1)


def convert_config(official: Mapping[str, Any], *, source: str = "config.json") -> dict[str, Any]:
    """Arguments of `InfiniteTalkTransformer` from the official network's.

    Raises:
        CheckpointError: for an argument this network does not have or a value it cannot take, naming both.
    """
    import inspect

    from ...models.transformer import InfiniteTalkTransformer

    allowed = set(inspect.signature(InfiniteTalkTransformer.__init__).parameters) - {"self"}
    ours = {}
    for key, value in official.items():
        if key.startswith("_"):
            continue
        if key in CONFIG_FIXED:
            if (list(value) if isinstance(value, (list, tuple)) else value) != CONFIG_FIXED[key]:
                raise CheckpointError(f"{source}: {key} is {value!r}; this network only knows {CONFIG_FIXED[key]!r}.")
            continue
        name = CONFIG_NAMES.get(key, key)
        if name not in allowed:
            raise CheckpointError(f"{source}: the network has no setting {key!r}.")
        ours[name] = tuple(value) if isinstance(value, list) else value
    return ours


def convert_keys(
    official: Mapping[str, torch.Tensor], *, source: str, translate: Callable[[str], str | None] = to_ours,
    of: str = "a Wan or InfiniteTalk",
) -> dict[str, torch.Tensor]:  # fmt: skip
    """A state dict with official names under ours.

    Args:
        translate: from an official key to ours, None for one that the network does not have. of: which network's.

    Raises:
        CheckpointError: if a key is none of the official network's; names `source` (the file) and the key.
    """
    converted = {}
    for key, value in official.items():
        name = translate(key)
        if name is None:
            raise CheckpointError(f"{source}: unexpected weight {key!r}; not {of} transformer.")
        converted[name] = value
    return converted


def load_strictly(model: nn.Module, weights: Mapping[str, torch.Tensor], *, source: str) -> None:
    """Put `weights` (our names) into the model.

    Raises:
        CheckpointError: if a weight is missing, unexpected, or of another shape; names `source` and the official key.
    """
    own = model.state_dict()

    def official(keys: Iterable[str]) -> str:
        names = [to_official(key) or key for key in sorted(keys)]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    if missing := own.keys() - weights.keys():
        raise CheckpointError(f"{source}: missing weight {official(missing)}.")
    if unexpected := weights.keys() - own.keys():
        raise CheckpointError(f"{source}: unexpected weight {official(unexpected)}.")
    if wrong := [key for key in sorted(own) if own[key].shape != weights[key].shape]:
        key = wrong[0]
        raise CheckpointError(
            f"{source}: weight {official([key])} has shape {list(weights[key].shape)}; expected {list(own[key].shape)}."
        )
    model.load_state_dict(weights, strict=True, assign=any(value.is_meta for value in own.values()))
