"""The transformer's own promises, on two small blocks; that it equals the published one is for the parity suite."""

from __future__ import annotations

import copy
from dataclasses import fields, replace

import pytest
import torch

from infinitetalk.errors import InputError
from infinitetalk.models.condition import Condition, ConditionTokens, stack_conditions
from infinitetalk.models.rotary import latent_table, rotate, split_head
from infinitetalk.models.transformer import InfiniteTalkTransformer

CONFIG = {
    "text_len": 4, "text_dim": 12, "dim": 32, "ffn_dim": 48, "freq_dim": 16, "num_heads": 2, "num_layers": 2,
    "audio_blocks": 2, "audio_channels": 6, "intermediate_dim": 8, "output_dim": 16, "context_tokens": 3,
    "image_dim": 20,
}  # fmt: skip
TIME = torch.tensor([640.5])


@pytest.fixture(scope="module")
def model() -> InfiniteTalkTransformer:
    torch.manual_seed(0)
    return InfiniteTalkTransformer(**CONFIG).eval().requires_grad_(False)


def make_inputs(
    num_latent_frames: int = 3, *, batch: int = 1, speakers: int = 1, rows: int = 4, columns: int = 6, seed: int = 1
) -> dict[str, torch.Tensor | None]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    masks = torch.zeros(3, rows, columns)
    masks[0, :, : columns // 3] = masks[1, :, -(columns // 3) :] = 1
    masks[2] = 1 - masks[0] - masks[1]
    return {
        "text": normal(batch, 2, CONFIG["text_dim"]),
        "image": normal(batch, 5, CONFIG["image_dim"]),
        "audio": normal(batch * speakers, 1 + 4 * (num_latent_frames - 1), 5, 2, 6),
        "reference": normal(batch, 20, num_latent_frames, rows, columns),
        "speaker_masks": masks if speakers == 2 else None,
    }


def make_latents(inputs: dict, seed: int = 2) -> torch.Tensor:
    batch, _, *size = inputs["reference"].shape
    return torch.randn(batch, 16, *size, generator=torch.Generator().manual_seed(seed))


def silenced(inputs: dict) -> dict:
    """The same with one stream of silence, as the branches without audio have it."""
    return {**inputs, "audio": torch.zeros_like(inputs["audio"][:1])}


@pytest.mark.parametrize("speakers", [1, 2])
def test_branches_side_by_side_equal_separate_ones(model, speakers):
    inputs = make_inputs(speakers=speakers)
    other_text = {**inputs, "text": inputs["text"].flip(2)}
    conditions = {
        "cond": model.encode_condition(**inputs),
        "drop_text": model.encode_condition(**other_text),
        "drop_audio": model.encode_condition(**silenced(inputs)),
        "uncond": model.encode_condition(**silenced(other_text)),
    }
    latents = make_latents(inputs)
    together = model(latents, TIME, conditions)
    assert list(together) == list(conditions)
    for branch, condition in conditions.items():
        torch.testing.assert_close(together[branch], model(latents, TIME, condition))
    apart = {branch: output.sum().item() for branch, output in together.items()}
    assert len(set(apart.values())) == 4, "every input changes the result"


def test_branches_stacked_as_a_batch_equal_separate_ones(model):
    inputs = make_inputs()
    first = model.encode_condition(**inputs)
    second = model.encode_condition(**silenced(inputs), reuse=[first])
    latents = make_latents(inputs)
    stacked = model(latents.repeat(2, 1, 1, 1, 1), TIME, stack_conditions([first, second]))
    torch.testing.assert_close(stacked[:1], model(latents, TIME, first))
    torch.testing.assert_close(stacked[1:], model(latents, TIME, second))


@pytest.mark.parametrize("speakers", [1, 2])
def test_items_of_a_batch_do_not_see_each_other(model, speakers):
    inputs = make_inputs(batch=2, speakers=speakers)
    latents, times = make_latents(inputs), torch.tensor([900.0, 20.0])
    together = model(latents, times, model.encode_condition(**inputs))
    for item in range(2):
        alone = {
            name: value[item : item + 1] if name in ("text", "image", "reference") else value
            for name, value in inputs.items()
        }
        alone["audio"] = inputs["audio"][item * speakers : (item + 1) * speakers]
        single = model(latents[item : item + 1], times[item : item + 1], model.encode_condition(**alone))
        torch.testing.assert_close(together[item : item + 1], single)


def test_reused_condition_equals_a_new_one_and_shares_memory(model):
    inputs = make_inputs()
    cond = model.encode_condition(**inputs)
    reused = model.encode_condition(**silenced(inputs), reuse=[cond])
    fresh = model.encode_condition(**silenced(inputs))
    for block, shared, new in zip(cond.blocks, reused.blocks, fresh.blocks, strict=True):
        assert shared.text is block.text and shared.image is block.image and shared.audio is not block.audio
        for field in fields(new):
            for mine, theirs in zip(getattr(shared, field.name), getattr(new, field.name), strict=True):
                torch.testing.assert_close(mine, theirs)
    assert reused.reference_tokens is cond.reference_tokens
    latents = make_latents(inputs)
    torch.testing.assert_close(model(latents, TIME, reused), model(latents, TIME, fresh))


def test_audio_of_two_speakers_is_not_taken_for_that_of_one(model):
    inputs = make_inputs(batch=2)
    two = {**make_inputs(speakers=2), "audio": inputs["audio"]}
    of_batch = model.encode_condition(**inputs)
    of_pair = model.encode_condition(**two, reuse=[of_batch])
    fresh = model.encode_condition(**two)
    torch.testing.assert_close(of_pair.blocks[0].audio, fresh.blocks[0].audio)


@pytest.mark.parametrize("speakers", [1, 2])
def test_keys_computed_at_each_step_give_the_same(model, speakers):
    inputs = make_inputs(speakers=speakers)
    latents = make_latents(inputs)
    kept = model(latents, TIME, model.encode_condition(**inputs))
    lean = model.encode_condition(**inputs, keep_keys=False)
    assert all(isinstance(block, ConditionTokens) for block in lean.blocks)
    torch.testing.assert_close(model(latents, TIME, lean), kept)
    silent = model.encode_condition(**silenced(inputs), keep_keys=False, reuse=[lean])
    pair = model(latents, TIME, {"cond": lean, "drop_audio": silent})
    torch.testing.assert_close(pair["cond"], kept)
    torch.testing.assert_close(pair["drop_audio"], model(latents, TIME, model.encode_condition(**silenced(inputs))))


@pytest.mark.parametrize("speakers", [1, 2])
@pytest.mark.parametrize("skip_frames", [1, 2])
def test_skipped_frames_leave_the_others_unchanged(model, speakers, skip_frames):
    inputs = make_inputs(speakers=speakers)
    latents = make_latents(inputs)
    conditions = {"cond": model.encode_condition(**inputs), "drop_audio": model.encode_condition(**silenced(inputs))}
    whole = model(latents, TIME, conditions)
    partial = model(latents, TIME, conditions, skip_frames=skip_frames)
    for branch in conditions:
        assert partial[branch].shape == latents.shape
        assert not partial[branch][:, :, :skip_frames].any()
        torch.testing.assert_close(partial[branch][:, :, skip_frames:], whole[branch][:, :, skip_frames:])


def test_patch_embedding_of_parts_adds_up_to_the_convolution(model):
    whole = torch.randn(2, 36, 3, 4, 6, generator=torch.Generator().manual_seed(5))
    layer = model.patch_embedding
    expected = torch.nn.functional.conv3d(whole, layer.weight, layer.bias, stride=layer.stride).flatten(2).mT
    parts = layer(whole[:, :16], with_bias=False) + layer(whole[:, 16:], first_channel=16)
    torch.testing.assert_close(parts, expected)


def test_missing_text_counts_as_zeros_before_the_projection(model):
    inputs = make_inputs()
    none = model.encode_condition(**{**inputs, "text": torch.zeros(1, 0, 12)})
    zeros = model.encode_condition(**{**inputs, "text": torch.zeros(1, 4, 12)})
    torch.testing.assert_close(none.tokens.text, zeros.tokens.text)
    assert none.tokens.text.abs().sum() > 0


@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_weight_learns_through_condition_and_evaluation(checkpointing):
    torch.manual_seed(3)
    model = InfiniteTalkTransformer(**CONFIG).train()
    if checkpointing:
        model.enable_gradient_checkpointing()
    inputs = make_inputs(batch=2)
    with torch.inference_mode():  # tables cached while generating must serve training afterwards
        model(make_latents(inputs), TIME.expand(2), model.encode_condition(**inputs))
    output = model(make_latents(inputs), torch.tensor([100.0, 800.0]), model.encode_condition(**inputs))
    output.square().mean().backward()
    idle = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    # Attention does not change when all keys are shifted alike.
    assert [name for name in idle if not name.endswith(("to_k.bias", "add_k_proj.bias"))] == []


def test_faster_gelu_without_gradients_is_the_same_function(model):
    layer = model.blocks[0].ffn.net[0]
    tokens = torch.linspace(-12, 12, 32 * 50).view(1, 50, 32)
    with torch.enable_grad():
        reference = layer(tokens)
    with torch.no_grad():
        torch.testing.assert_close(layer(tokens), reference, atol=2e-6, rtol=1e-5)


def test_condition_moves_and_detaches_without_losing_what_is_shared(model):
    lean = model.encode_condition(**make_inputs(), keep_keys=False)
    moved = lean.moved(torch.float64)
    assert isinstance(moved, Condition) and moved.blocks[0].audio.dtype == torch.float64
    assert moved.blocks[0].audio is moved.blocks[1].audio
    assert moved.inputs is None and moved.tokens is None


def test_copy_saved_and_loaded_again(model, tmp_path):
    inputs = make_inputs()
    latents = make_latents(inputs)
    expected = model(latents, TIME, model.encode_condition(**inputs))
    twin = copy.deepcopy(model)
    torch.testing.assert_close(twin(latents, TIME, twin.encode_condition(**inputs)), expected)
    model.save_pretrained(tmp_path)
    loaded, info = InfiniteTalkTransformer.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    loaded.eval()
    torch.testing.assert_close(loaded(latents, TIME, loaded.encode_condition(**inputs)), expected)
    assert not [key for key in model.state_dict() if "rotary" in key]


def test_bfloat16_stays_near_float32(model, tmp_path):
    inputs = make_inputs()
    latents = make_latents(inputs)
    expected = model(latents, TIME, model.encode_condition(**inputs))
    model.save_pretrained(tmp_path)
    half = InfiniteTalkTransformer.from_pretrained(tmp_path, torch_dtype=torch.bfloat16).eval()
    assert half.blocks[0].scale_shift_table.dtype == torch.float32, "modulation stays in full precision"
    output = half(latents.bfloat16(), TIME, half.encode_condition(**inputs))
    assert output.dtype == torch.bfloat16
    assert (output.float() - expected).norm() / expected.norm() < 0.05


def test_hooks_on_forward_reach_encoding_too(model):
    """What brings offloaded weights in is attached to the forward of the model and of its blocks."""
    twin = copy.deepcopy(model)
    called: list[str] = []
    for index, block in enumerate(twin.blocks):
        block.register_forward_pre_hook(lambda module, arguments, index=index: called.append(f"block {index}"))
    twin.register_forward_pre_hook(lambda module, arguments: called.append("model"))
    twin.encode_condition(**make_inputs())
    assert called == ["model", "block 0", "block 1"]


@pytest.mark.parametrize("offload_type", ["block_level", "leaf_level"])
def test_diffusers_group_offloading_applies(model, tmp_path, offload_type):
    inputs = make_inputs()
    latents = make_latents(inputs)
    expected = model(latents, TIME, model.encode_condition(**inputs))
    twin = copy.deepcopy(model)
    twin.enable_group_offload(
        onload_device=torch.device("cpu"), offload_device=torch.device("cpu"), offload_type=offload_type,
        num_blocks_per_group=1, offload_to_disk_path=str(tmp_path),
    )  # fmt: skip
    torch.testing.assert_close(twin(latents, TIME, twin.encode_condition(**inputs)), expected)


def test_diffusers_layerwise_casting_applies(model):
    inputs = make_inputs()
    latents = make_latents(inputs)
    expected = model(latents, TIME, model.encode_condition(**inputs))
    twin = copy.deepcopy(model)
    twin.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)
    assert twin.blocks[0].ffn.net[2].weight.dtype == torch.bfloat16
    assert twin.blocks[0].norm2.weight.dtype == torch.float32
    output = twin(latents, TIME, twin.encode_condition(**inputs))
    assert 0 < (output - expected).norm() / expected.norm() < 0.05


def test_diffusers_lora_reaches_every_attention_and_the_mlp(model):
    from peft import LoraConfig

    inputs = make_inputs()
    latents = make_latents(inputs)
    expected = model(latents, TIME, model.encode_condition(**inputs))
    twin = copy.deepcopy(model)
    names = ["to_q", "to_k", "to_v", "to_kv", "to_out.0", "add_k_proj", "add_v_proj", "ffn.net.0.proj", "ffn.net.2"]
    twin.add_adapter(LoraConfig(r=2, target_modules=names, init_lora_weights=False))
    adapted = [name for name, _ in twin.named_modules() if name.endswith("lora_A")]
    assert len(adapted) == 2 * (4 + 6 + 3 + 2)
    assert not torch.allclose(twin(latents, TIME, twin.encode_condition(**inputs)), expected)
    twin.disable_adapters()
    torch.testing.assert_close(twin(latents, TIME, twin.encode_condition(**inputs)), expected)


def test_single_picture_is_a_chunk_of_one_latent_frame(model):
    inputs = make_inputs(1)
    assert model(make_latents(inputs), TIME, model.encode_condition(**inputs)).shape == (1, 16, 1, 4, 6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": torch.zeros(1, 5, 12)}, "at most 4"),
        ({"text": torch.zeros(1, 2, 13)}, "shorten the prompt"),
        ({"image": torch.zeros(1, 5, 21)}, "image encoder"),
        ({"audio": torch.zeros(1, 8, 5, 2, 6)}, "need 9"),
        ({"audio": torch.zeros(3, 9, 5, 2, 6)}, "3 audio streams for 1"),
        ({"audio": torch.zeros(2, 9, 5, 2, 6)}, "speaker masks"),
        ({"audio": torch.zeros(1, 9, 5, 3, 6)}, "speech encoder"),
        ({"reference": torch.zeros(1, 20, 3, 5, 6)}, "reference has shape"),
        ({"reference": torch.zeros(1, 16, 3, 4, 6)}, "reference has shape"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_in_words(model, change, words):
    with pytest.raises(InputError, match=words):
        model.encode_condition(**{**make_inputs(), **change})


def test_rotation_depends_on_distance_only():
    table = latent_table((4, 3, 5), 16, torch.device("cpu"))
    assert table.shape == (60, 8) and sum(split_head(16)) == 16
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, 1, 1, 16, generator=generator).expand(1, 60, 1, 16) for _ in range(2))
    scores = (rotate(query, table) * rotate(key, table).roll(-15, dims=1)).sum(-1)[0, :45, 0]  # one frame apart
    torch.testing.assert_close(scores, scores[:1].expand(45))


def test_conditions_of_different_sizes_are_not_stacked(model):
    one, other = (model.encode_condition(**make_inputs(rows=rows)) for rows in (4, 6))
    with pytest.raises(AssertionError, match="geometry"):
        stack_conditions([one, replace(other)])


@pytest.mark.parametrize("how", [{"keep_keys": False}, {"keys_device": "cpu"}])
def test_keys_elsewhere_or_made_anew_change_nothing(model, how):
    inputs = make_inputs(speakers=2)
    conditions, kept = {}, {}
    for branch, given in (("cond", inputs), ("drop_audio", silenced(inputs))):
        conditions[branch] = model.encode_condition(**given, reuse=tuple(conditions.values()), **how)
        kept[branch] = model.encode_condition(**given, reuse=tuple(kept.values()))
    latents = make_latents(inputs)
    for branch, output in model(latents, TIME, conditions).items():
        torch.testing.assert_close(output, model(latents, TIME, kept)[branch])
    if "keys_device" in how:
        first, second = (condition.blocks[0] for condition in conditions.values())
        assert first.text is second.text and first.audio is not second.audio, "what branches share waits once"
