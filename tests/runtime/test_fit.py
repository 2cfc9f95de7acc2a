"""Fitting attaches from outside and changes nothing in the result.

No graphics card is needed: weights that come in to another device are watched with torch's `meta` device, on which an
operation that mixes devices fails.
"""

from __future__ import annotations

import copy

import pytest
import torch

from infinitetalk.errors import InputError
from infinitetalk.models.image_encoder import encode_image, image_encoder_config
from infinitetalk.models.quantize import quantize_network
from infinitetalk.models.transformer import InfiniteTalkTransformer
from infinitetalk.runtime.fit import checked_device, offload, set_attention, visit
from infinitetalk.sampling.cache import NoCache, one_by_one
from infinitetalk.sampling.teacache import TeaCache, TeaCacheConfig

CPU, META = torch.device("cpu"), torch.device("meta")


@pytest.fixture
def model() -> InfiniteTalkTransformer:
    torch.manual_seed(0)
    return InfiniteTalkTransformer(
        text_len=2, text_dim=8, dim=48, ffn_dim=64, freq_dim=16, num_heads=2, num_layers=3, audio_blocks=2,
        audio_channels=6, intermediate_dim=8, output_dim=8, context_tokens=2, image_dim=10,
    ).eval().requires_grad_(False)  # fmt: skip


def conditions(network, keys_device=None, device=CPU):
    torch.manual_seed(1)
    made: dict = {}
    text, image = torch.randn(1, 1, 8), torch.randn(1, 3, 10)
    reference, sound = torch.randn(1, 20, 3, 4, 4), torch.randn(1, 9, 5, 2, 6)
    for branch, heard in (("cond", sound), ("drop_audio", 0 * sound)):
        made[branch] = network.encode_condition(
            text=text.to(device), image=image.to(device), audio=heard.to(device), reference=reference.to(device),
            reuse=tuple(made.values()), keys_device=keys_device,
        )  # fmt: skip
    return made


def evaluate(network, made) -> dict:
    torch.manual_seed(2)
    return network(torch.randn(1, 16, 3, 4, 4), torch.tensor([640.0]), made)


@pytest.mark.parametrize("quantization", ["none", "int8", "int4"])
@pytest.mark.parametrize(("kind", "resident_gb"), [("block", 0.0), ("block", 1e-4), ("block", 1.0), ("leaf", 0.0)])
@torch.inference_mode()
def test_offloading_gives_the_same_result(model, kind, resident_gb, quantization):
    if quantization != "none":
        quantize_network(model, quantization)
    expected = evaluate(model, conditions(model))
    offload(model, kind, CPU, resident_gb=resident_gb)
    made = conditions(model, keys_device="cpu")
    assert made["cond"].blocks[0].text is made["drop_audio"].blocks[0].text
    for _ in range(2):
        for branch, output in evaluate(model, made).items():
            assert torch.equal(output, expected[branch])


@torch.inference_mode()
def test_a_step_cache_works_beside_offloading(model):
    made, results = conditions(model), []
    config = TeaCacheConfig(1.0, (0.0,))  # after its first five steps it skips all
    for offloaded in (False, True):
        if offloaded:
            offload(model, "block", CPU)
        cache = TeaCache(config, 8)
        torch.manual_seed(3)
        latents = torch.randn(1, 16, 3, 4, 4)
        with cache.attached(model) as network:
            outputs = [network(latents, torch.tensor([1000.0 - 20 * s]), made, skip_frames=0) for s in range(8)]
        assert cache.skipped == 2 * 3
        results.append(outputs[-1]["cond"])
    assert torch.equal(*results)


@torch.inference_mode()
def test_branches_apart_equal_branches_together(model):
    made = conditions(model)
    torch.manual_seed(2)
    latents, now = torch.randn(1, 16, 3, 4, 4), torch.tensor([640.0])
    with NoCache().attached(model) as network:
        together = network(latents, now, made, skip_frames=1)
        apart = one_by_one(network)(latents, now, made, skip_frames=1)
    for branch in made:
        torch.testing.assert_close(apart[branch], together[branch])


@torch.inference_mode()
def test_a_visiting_encoder_is_all_on_the_device_while_it_works():
    from transformers import CLIPVisionModel

    torch.manual_seed(0)
    encoder = CLIPVisionModel(
        image_encoder_config(hidden_size=16, num_layers=3, num_heads=2, image_size=28, patch_size=14)
    ).eval()
    picture = torch.rand(1, 3, 40, 30) * 2 - 1
    expected = encode_image(encoder, picture)
    before = {name: value.data_ptr() for name, value in encoder.state_dict().items()}
    away = copy.deepcopy(encoder)
    visit(encoder, CPU)
    assert torch.equal(encode_image(encoder, picture), expected)
    visit(away, META)
    assert encode_image(away, picture).device == META, "an operation on both devices would have failed"
    assert {p.device for p in away.parameters()} == {CPU}
    assert {name: value.data_ptr() for name, value in encoder.state_dict().items()} == before, "not copied"


def test_a_text_encoder_visits_too():
    from transformers import UMT5EncoderModel

    from infinitetalk.models.text_encoder import encode_ids, text_encoder_config

    torch.manual_seed(0)
    small = text_encoder_config(
        vocab_size=20, hidden_size=16, attention_size=16, feed_forward_size=32, num_heads=2, num_layers=2
    )
    encoder = UMT5EncoderModel(small).eval()
    ids, mask = torch.tensor([[3, 4, 5, 0]]), torch.tensor([[1, 1, 1, 0]])
    with torch.inference_mode():
        expected = encode_ids(encoder, ids, mask)
        visit(encoder, CPU)
        torch.testing.assert_close(encode_ids(encoder, ids, mask)[0], expected[0])


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a card")
def test_what_is_not_there_is_said_in_a_sentence(model):
    with pytest.raises(InputError, match="needs an NVIDIA card"):
        checked_device("cuda")
    with pytest.raises(InputError, match="NVIDIA cards only"):
        set_attention(model, "sage", CPU)
    assert set_attention(model, "auto", CPU) == "native"
