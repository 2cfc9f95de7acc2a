"""Adapters change the output, and a saved file changes it the same way, whoever reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from infinitetalk.errors import CheckpointError
from infinitetalk.models.transformer import InfiniteTalkTransformer
from infinitetalk.training.lora.adapters import add_adapters, load_lora, merge_lora, save_lora
from infinitetalk.training.lora.config import LAYERS

SHAPE = (1, 16, 2, 4, 4)


def network() -> InfiniteTalkTransformer:
    torch.manual_seed(0)
    return InfiniteTalkTransformer(
        text_len=4, dim=32, ffn_dim=48, freq_dim=16, text_dim=24, num_heads=2, num_layers=2, audio_blocks=2,
        audio_channels=8, intermediate_dim=16, output_dim=24, context_tokens=2, image_dim=16,
    ).eval()  # fmt: skip


def output(transformer: InfiniteTalkTransformer) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    condition = transformer.encode_condition(
        text=noise(1, 3, 24), image=noise(1, 5, 16), audio=noise(1, 5, 5, 2, 8), reference=noise(1, 20, *SHAPE[2:]),
        keep_keys=False,
    )  # fmt: skip
    return transformer(noise(*SHAPE), torch.tensor([700.0]), condition)


def adapted(*, rank: int = 3, alpha: float = 6.0, layers=tuple(LAYERS), strength: float = 0.3):
    """A transformer with adapters that do something."""
    transformer = network()
    add_adapters(transformer, rank=rank, alpha=alpha, layers=layers, seed=5)
    generator = torch.Generator().manual_seed(2)
    for name, parameter in transformer.named_parameters():
        if ".lora_B." in name:
            parameter.data = strength * torch.randn(parameter.shape, generator=generator)
    return transformer


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("adapters") / "lora.safetensors"
    save_lora(adapted(), path, {"model": "tiny"})
    return path


@torch.no_grad()
def test_fresh_adapters_change_nothing_and_alone_are_trained():
    transformer = network()
    before = output(transformer)
    add_adapters(transformer, rank=4, alpha=4, layers=("attn1", "ffn"), seed=1)
    torch.testing.assert_close(output(transformer), before)
    trained = [name for name, parameter in transformer.named_parameters() if parameter.requires_grad]
    assert len(trained) == 2 * 2 * (4 + 2) and all(".lora_" in name for name in trained)
    assert not any("attn2" in name or "audio_attn" in name for name in trained)


@torch.no_grad()
def test_merged_output_equals_that_of_the_adapters(saved):
    wanted, plain = output(adapted()), network()
    assert not torch.allclose(output(plain), wanted, atol=1e-3)
    merge_lora(plain, saved)
    torch.testing.assert_close(output(plain), wanted, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_the_file_can_be_loaded_again_for_training(saved):
    again = network()
    add_adapters(again, rank=3, alpha=1.0, layers=tuple(LAYERS), seed=9)  # alpha is in the file already
    load_lora(again, saved)
    torch.testing.assert_close(output(again), output(adapted()), atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_diffusers_reads_the_file_too(saved):
    again = network()
    again.load_lora_adapter(str(saved.parent), weight_name=saved.name)
    torch.testing.assert_close(output(again), output(adapted()), atol=2e-5, rtol=1e-4)


def test_a_file_of_other_layers_or_rank_is_refused(saved, tmp_path):
    for rank, layers, sentence in (
        (3, ("attn1",), "holds transformer.blocks.0.attn2"),
        (5, tuple(LAYERS), "give the rank it was trained with"),
    ):
        other = network()
        add_adapters(other, rank=rank, alpha=1, layers=layers, seed=0)
        with pytest.raises(CheckpointError, match=sentence):
            load_lora(other, saved)
    (tmp_path / "torn.safetensors").write_bytes(saved.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_lora(other, tmp_path / "torn.safetensors")


def test_checkpointing_forgets_and_remakes_the_same_gradients():
    gradients = []
    for checkpointing in (False, True):
        transformer = adapted()
        if checkpointing:
            transformer.enable_gradient_checkpointing()
        transformer.train()
        output(transformer).square().mean().backward()
        gradients.append({name: p.grad for name, p in transformer.named_parameters() if p.requires_grad})
    assert all(grad is not None and grad.abs().max() > 0 for grad in gradients[0].values())
    for name, grad in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], grad, atol=1e-6, rtol=1e-4)


def test_half_precision_weights_get_float32_adapters():
    transformer = network().to(torch.bfloat16)
    add_adapters(transformer, rank=2, alpha=2, layers=("attn1",), seed=0)
    dtypes = {p.dtype for p in transformer.parameters() if p.requires_grad}
    assert dtypes == {torch.float32} and transformer.blocks[0].ffn.net[2].weight.dtype == torch.bfloat16
