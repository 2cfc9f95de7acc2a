"""Names of the published transformer and ours."""

from __future__ import annotations

import pytest
import torch

from infinitetalk.checkpoints.keys.transformer import (
    IN_BLOCK,
    TOP_LEVEL,
    convert_config,
    convert_keys,
    load_strictly,
    to_official,
    to_ours,
)
from infinitetalk.errors import CheckpointError
from infinitetalk.models.transformer import InfiniteTalkTransformer

CONFIG = {
    "text_len": 4, "text_dim": 12, "dim": 32, "ffn_dim": 48, "freq_dim": 16, "num_heads": 2, "num_layers": 2,
    "audio_blocks": 2, "audio_channels": 6, "intermediate_dim": 8, "output_dim": 16, "context_tokens": 3,
    "image_dim": 20,
}  # fmt: skip


@pytest.fixture
def model() -> InfiniteTalkTransformer:
    return InfiniteTalkTransformer(**CONFIG)


def test_every_weight_has_one_official_name_and_back(model):
    for key in model.state_dict():
        assert to_ours(to_official(key)) == key
    for rows in (TOP_LEVEL, IN_BLOCK):
        for column in zip(*rows, strict=True):
            assert len(set(column)) == len(column)


def test_full_size_network_has_exactly_the_published_weights():
    """1303 keys of the image-to-video network and 330 for speech (16.39 + 2.49 billion parameters)."""
    with torch.device("meta"):
        weights = InfiniteTalkTransformer().state_dict()
    assert len(weights) == 1303 + 330
    assert sum(value.numel() for value in weights.values()) == 16_394_878_784 + 2_487_168_000
    assert list(weights["blocks.39.audio_attn.to_kv.weight"].shape) == [10240, 768]


def test_round_trip_through_official_names(model):
    official = {to_official(key): value + 1 for key, value in model.state_dict().items()}
    load_strictly(model, convert_keys(official, source="all.safetensors"), source="all.safetensors")
    for key, value in model.state_dict().items():
        assert torch.equal(value, official[to_official(key)])


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda weights: weights.pop("blocks.1.audio_cross_attn.kv_linear.weight"), r"missing.*kv_linear\.weight"),
        (lambda weights: weights.update({"blocks.7.norm3.weight": torch.zeros(32)}), r"unexpected.*blocks\.7\.norm3"),
        (lambda weights: weights.update({"blocks.0.lora.weight": torch.zeros(1)}), r"unexpected.*blocks\.0\.lora"),
        (lambda weights: weights.update({"head.head.bias": torch.zeros(3)}), r"head\.head\.bias has shape \[3\]"),
    ],
)
def test_wrong_weights_are_named_with_file_and_key(model, edit, words):
    official = {to_official(key): value for key, value in model.state_dict().items()}
    edit(official)
    with pytest.raises(CheckpointError, match="part-1.safetensors: .*" + words):
        load_strictly(model, convert_keys(official, source="part-1.safetensors"), source="part-1.safetensors")


def test_official_configuration_is_understood_or_refused():
    official = {
        "_class_name": "WanModel", "model_type": "i2v", "window_size": [-1, -1], "blocks": 12, "channels": 768,
        "patch_size": [1, 2, 2], "dim": 64,
    }  # fmt: skip
    assert convert_config(official) == {"audio_blocks": 12, "audio_channels": 768, "patch_size": (1, 2, 2), "dim": 64}
    with pytest.raises(CheckpointError, match="config.json: model_type is 't2v'"):
        convert_config({"model_type": "t2v"})
    with pytest.raises(CheckpointError, match="no setting 'experts'"):
        convert_config({"experts": 2})
