"""Quantizing while loading, published quantized files, and LoRAs with both."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from infinitetalk.checkpoints.files import QUANTIZED, SHARDS
from infinitetalk.checkpoints.loading import load
from infinitetalk.checkpoints.locate import find
from infinitetalk.config.settings import Lora
from infinitetalk.errors import CheckpointError
from infinitetalk.models.quantize import FORMATS, QuantizedLinear
from infinitetalk.models.specs import get_spec
from tests.checkpoints.conftest import CASES, tensors_of

SINGLE = get_spec("infinitetalk-14b-single")
LAYER = "blocks.1.self_attn.q"


def lora(path: Path, dim: int) -> tuple[Lora, torch.Tensor]:
    """A file that changes one layer, at scale 0.5, and the change in full."""
    torch.manual_seed(3)
    down, up = torch.randn(2, dim), torch.randn(dim, 2)
    save_file({f"diffusion_model.{LAYER}.lora_down.weight": down, f"diffusion_model.{LAYER}.lora_up.weight": up}, path)
    return Lora(str(path), 0.5), 0.5 * up @ down


def test_loras_are_merged_before_quantizing_and_the_result_is_kept(pristine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(pristine, folder)
    adapter, change = lora(tmp_path / "style.safetensors", 128)
    first = load(SINGLE, folder, torch.float32, quantization="int8", loras=[adapter]).transformer
    layer = first.blocks[1].attn1.to_q
    assert isinstance(layer, QuantizedLinear)
    exact = tensors_of("dit_single", "dit")[f"{LAYER}.weight"] + change
    kept = FORMATS["int8"].quantize(exact)
    assert all(torch.equal(getattr(layer, name), value) for name, value in kept.items())
    assert (folder / "quantized" / f"{SINGLE.name}-int8").is_dir()

    # The second time it comes from there (no shard is read), unless something it was made from is another.
    second = load(SINGLE, folder, torch.float32, quantization="int8", loras=[adapter]).transformer.state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.state_dict().items())
    plain = load(SINGLE, folder, torch.float32, quantization="int8").transformer.blocks[1].attn1.to_q
    assert not torch.equal(plain.weight_data, layer.weight_data)


@pytest.fixture
def published_fp8(pristine: Path, tmp_path: Path) -> Path:
    """A folder without the base shards, with the quantized transformer of a recorded case in their place."""
    folder = tmp_path / "fp8"
    shutil.copytree(pristine, folder)
    for shard in SHARDS:
        (folder / shard.folder / shard.path).unlink()
    case = CASES / "quanto"
    for file, name in zip(QUANTIZED["single", "fp8"], ("weights_fp8.safetensors", "weights_fp8.json"), strict=True):
        target = folder / file.folder / file.path
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(case / name, target)
    config = json.loads((case / "case.json").read_text(encoding="utf-8"))["config"]
    wan = ("model_type", "patch_size", "text_len", "in_dim", "dim", "ffn_dim", "freq_dim", "text_dim", "out_dim",
           "num_heads", "num_layers", "eps", "qk_norm", "cross_attn_norm")  # fmt: skip
    text = json.dumps({key: config[key] for key in wan})
    (folder / SHARDS[0].folder / "config.json").write_text(text, encoding="utf-8")
    return folder


def test_a_published_quantized_transformer_takes_loras_beside_its_layers(published_fp8: Path, tmp_path: Path) -> None:
    assert find(SINGLE, published_fp8, quantization="fp8").quantized == "fp8"
    plain = load(SINGLE, published_fp8, torch.float32, quantization="fp8").transformer
    adapter, change = lora(tmp_path / "style.safetensors", 64)
    changed = load(SINGLE, published_fp8, torch.float32, quantization="fp8", loras=[adapter]).transformer
    tokens = torch.randn(3, 64)
    before, after = plain.blocks[1].attn1.to_q(tokens), changed.blocks[1].attn1.to_q(tokens)
    assert isinstance(plain.blocks[1].attn1.to_q, QuantizedLinear)
    torch.testing.assert_close(after, before + tokens @ change.T)
    torch.testing.assert_close(changed.blocks[0].attn1.to_q(tokens), plain.blocks[0].attn1.to_q(tokens))


def test_without_its_kind_asked_for_the_full_files_are_missed(published_fp8: Path) -> None:
    with pytest.raises(CheckpointError, match=r"needs 7 files of about 65\.6 GB"):
        load(SINGLE, published_fp8, torch.float32, quantization="int8")


def test_a_damaged_map_is_one_sentence(published_fp8: Path) -> None:
    weights, table = (published_fp8 / file.folder / file.path for file in QUANTIZED["single", "fp8"])
    table.write_text('["not a table"]', encoding="utf-8")
    with pytest.raises(CheckpointError, match="infinitetalk_single_fp8.json is no map of quantized layers"):
        load(SINGLE, published_fp8, torch.float32, quantization="fp8")
