"""LoRA files as they are found: every spelling gives the same network, and what does not fit is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from optimum.quanto import QLinear, freeze, qint8, quantize
from safetensors.torch import save_file
from torch import Tensor

from infinitetalk.checkpoints.keys.transformer import to_official
from infinitetalk.checkpoints.lora import attach, match_adapter, merge_into, merged, read_adapter, shapes_of
from infinitetalk.errors import CheckpointError
from infinitetalk.models.transformer import InfiniteTalkTransformer

CONFIG = {
    "text_len": 4, "text_dim": 12, "dim": 32, "ffn_dim": 48, "freq_dim": 16, "num_heads": 2, "num_layers": 2,
    "audio_blocks": 2, "audio_channels": 6, "intermediate_dim": 8, "output_dim": 16, "context_tokens": 3,
    "image_dim": 20,
}  # fmt: skip
RANK = 3
LAYERS = (
    "blocks.0.attn1.to_q", "blocks.1.attn1.to_out.0", "blocks.1.attn2.add_k_proj", "blocks.0.ffn.net.0.proj",
    "blocks.1.ffn.net.2", "blocks.0.audio_attn.to_kv", "condition_embedder.text_embedder.linear_1", "proj_out",
)  # fmt: skip


@pytest.fixture
def network() -> InfiniteTalkTransformer:
    torch.manual_seed(0)
    return InfiniteTalkTransformer(**CONFIG).eval()


def factors(network: torch.nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    weights = dict(network.named_parameters())
    sizes = {layer: weights[f"{layer}.weight"].shape for layer in LAYERS}
    return {layer: (torch.randn(RANK, width), torch.randn(height, RANK)) for layer, (height, width) in sizes.items()}


def official(layer: str) -> str:
    return to_official(f"{layer}.weight").removesuffix(".weight")


def spelled(network: torch.nn.Module, prefix: str, name: Callable[[str], str], down: str, up: str,
            alpha: float | None = None) -> dict[str, Tensor]:  # fmt: skip
    file = {}
    for layer, (a, b) in factors(network).items():
        stem = prefix + name(layer)
        file |= {f"{stem}.{down}": a, f"{stem}.{up}": b}
        if alpha is not None:
            file[f"{stem}.alpha"] = torch.tensor(alpha)
    return file


def underscored(layer: str) -> str:
    return official(layer).replace(".", "_")


STYLES = {
    "lightx2v": ("diffusion_model.", official, "lora_down.weight", "lora_up.weight"),
    "comfy": ("model.diffusion_model.", official, "lora_A.weight", "lora_B.weight"),
    "bare official": ("", official, "lora_A.weight", "lora_B.weight"),
    "diffusers": ("transformer.", str, "lora_A.weight", "lora_B.weight"),
    "old diffusers": ("transformer.", str, "lora.down.weight", "lora.up.weight"),
    "peft": ("base_model.model.", str, "lora_A.weight", "lora_B.weight"),
    "peft, named": ("base_model.model.", official, "lora_A.default.weight", "lora_B.default.weight"),
    "diffsynth": ("pipe.dit.", official, "lora_A.default.weight", "lora_B.default.weight"),
    "kohya": ("lora_unet_", underscored, "lora_down.weight", "lora_up.weight"),
}


@pytest.mark.parametrize("alpha", [None, 6.0])
@pytest.mark.parametrize("style", STYLES)
def test_every_spelling_is_the_same_change(network, tmp_path: Path, style: str, alpha: float | None) -> None:
    before = {name: value.clone() for name, value in network.named_parameters()}
    save_file(spelled(network, *STYLES[style], alpha), tmp_path / "style.safetensors")
    adapter = read_adapter(tmp_path / "style.safetensors", shapes_of(network))
    assert set(adapter.changes) == {f"{layer}.weight" for layer in LAYERS} and not adapter.ignored
    merge_into(network, [(adapter, 0.5)])
    factor = 0.5 * (1 if alpha is None else alpha / RANK)
    pairs = factors(network)
    for name, value in network.named_parameters():
        expected = before[name]
        if (layer := name.removesuffix(".weight")) in pairs and name.endswith(".weight"):
            down, up = pairs[layer]
            expected = expected + factor * up @ down
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)


def test_differences_of_norms_biases_and_modulation(network) -> None:
    file = {
        "diffusion_model.blocks.1.diff_m": torch.ones(1, 6, 32),
        "diffusion_model.head.diff_m": torch.ones(1, 2, 32),
        "diffusion_model.blocks.0.self_attn.q.diff_b": torch.ones(32),
        "diffusion_model.blocks.0.self_attn.norm_q.diff": torch.ones(32),
        "diffusion_model.blocks.0.self_attn.k.diff": torch.ones(32, 32),
    }
    adapter = match_adapter(file, shapes_of(network), source="diff")
    assert set(adapter.changes) == {
        "blocks.1.scale_shift_table", "scale_shift_table", "blocks.0.attn1.to_q.bias", "blocks.0.attn1.norm_q.weight",
        "blocks.0.attn1.to_k.weight",
    }  # fmt: skip
    for name in adapter.changes:
        weight = network.get_parameter(name).data
        torch.testing.assert_close(merged(name, weight, [(adapter, 2.0)]), weight + 2)


def test_text_to_video_files_change_the_first_channels_of_the_patches(network) -> None:
    file = {"diffusion_model.patch_embedding.diff": torch.ones(32, 16, 1, 2, 2)}
    adapter = match_adapter(file, shapes_of(network), source="t2v")
    before = network.patch_embedding.weight.data.clone()
    merge_into(network, [(adapter, 1.0)])
    change = network.patch_embedding.weight.data - before
    torch.testing.assert_close(change[:, :16], torch.ones(32, 16, 1, 2, 2))
    assert not change[:, 16:].any()


def test_several_add_up_and_half_precision_is_rounded_once(network) -> None:
    name = "blocks.0.attn1.to_q.weight"
    one = match_adapter(spelled(network, *STYLES["kohya"]), shapes_of(network), source="one")
    two = match_adapter(spelled(network, *STYLES["diffusers"], 1.0), shapes_of(network), source="two")
    weight = network.get_parameter(name).data.to(torch.bfloat16)
    down, up = factors(network)["blocks.0.attn1.to_q"]
    expected = weight.float() + 0.25 * up @ down - 0.5 * (up @ down) / RANK
    assert torch.equal(merged(name, weight, [(one, 0.25), (two, -0.5)]), expected.to(torch.bfloat16))
    untouched = network.blocks[0].attn1.to_v.weight
    assert merged("blocks.0.attn1.to_v.weight", untouched, [(one, 1.0)]) is untouched


def edited(change: Callable[[dict[str, Tensor]], object]) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    def edit(file: dict[str, Tensor]) -> dict[str, Tensor]:
        change(file)
        return file

    return edit


FIRST = "diffusion_model.blocks.0.self_attn.q."


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda file: {}, "is empty"),
        (
            lambda file: {"double_blocks.0.img_attn.qkv.lora_A.weight": torch.ones(2, 8)},
            r"fits no layer of this model: double_blocks.0.img_attn.qkv.lora_A.weight \(closest: ",
        ),
        (
            edited(lambda file: file.update({"diffusion_model.blocks.0.self_attn.qq.diff": torch.ones(32)})),
            r"only in part: 1 of its 17 keys .*self_attn\.qq\.diff \(closest: blocks\.0\.self_attn\.q or ",
        ),
        (
            edited(lambda file: file.update({"diffusion_model.blocks.7.self_attn.q.diff": torch.ones(32)})),
            r"only in part.*blocks\.7",
        ),
        (edited(lambda file: file.pop(FIRST + "lora_up.weight")), r"without its other factor"),
        (edited(lambda file: file.update({"blocks.0.self_attn.v.alpha": torch.tensor(1.0)})), r"alpha alone"),
        (edited(lambda file: file.update({"blocks.0.self_attn.q.lora_up.weight": torch.ones(32, 3)})), "twice"),
        (edited(lambda file: file.update({FIRST + "lora_down.weight": torch.ones(3, 40)})), "another size.*32 x 40"),
        (edited(lambda file: file.update({FIRST + "lora_down.weight": torch.ones(4, 32)})), "do not fit each other"),
        (edited(lambda file: file.update({FIRST + "alpha": torch.tensor(float("nan"))})), "not one number"),
        (edited(lambda file: file.update({FIRST + "dora_scale": torch.ones(32)})), "of the kind DoRA"),
        (lambda file: {"lora_unet_blocks_0_self_attn_q.lokr_w1": torch.ones(2, 2)}, "of the kind LoKr"),
    ],
)
def test_what_does_not_fit_is_one_sentence(network, edit, words: str) -> None:
    file = edit(spelled(network, *STYLES["lightx2v"]))
    with pytest.raises(CheckpointError, match=words) as caught:
        match_adapter(file, shapes_of(network), source="other.safetensors")
    assert "other.safetensors" in str(caught.value) and "\n" not in str(caught.value)


def test_official_rules_pass_over_what_the_published_program_does_not_know(network) -> None:
    file = spelled(network, *STYLES["lightx2v"], 6.0) | {"diffusion_model.blocks.0.diff_m": torch.ones(1, 6, 32)}
    adapter = match_adapter(file, shapes_of(network), source="fusionx", rules="official")
    assert len(adapter.ignored) == len(LAYERS) + 1
    assert all(change.factor == 1 for change in adapter.changes.values())


def test_quantized_layers_keep_adapters_beside_them(network) -> None:
    """Against the same quantized network with the change computed in full, layer by layer."""
    file = spelled(network, *STYLES["kohya"]) | {"lora_unet_blocks_0_self_attn_q.diff_b": torch.ones(32)}
    one = match_adapter(file, shapes_of(network), source="one")
    two = match_adapter(spelled(network, *STYLES["diffusers"], 1.5), shapes_of(network), source="two")
    quantize(network.blocks, weights=qint8)
    freeze(network.blocks)
    layer = network.blocks[0].attn1.to_q
    assert isinstance(layer, QLinear)
    tokens = torch.randn(5, 32)
    before = layer(tokens)
    live = attach(network, [(one, 0.3), (two, 2.0)], torch.float32)
    down, up = factors(network)["blocks.0.attn1.to_q"]
    expected = before + 0.3 + tokens @ ((0.3 + 2.0 * 0.5) * up @ down).T
    torch.testing.assert_close(layer(tokens), expected)
    assert len(live) == sum(layer.startswith("blocks.") for layer in LAYERS)  # the others are merged
    live.detach()
    torch.testing.assert_close(layer(tokens), before + 0.3)
    assert not any("low_rank" in name for name, _ in network.named_modules())


def test_a_full_difference_of_a_quantized_layer_is_refused(network) -> None:
    file = {"diffusion_model.blocks.0.self_attn.q.diff": torch.ones(32, 32)}
    adapter = match_adapter(file, shapes_of(network), source="full.safetensors")
    quantize(network.blocks, weights=qint8)
    freeze(network.blocks)
    with pytest.raises(CheckpointError, match=r"full\.safetensors replaces all of blocks\.0\.self_attn\.q\.weight"):
        attach(network, [(adapter, 1.0)], torch.float32)
