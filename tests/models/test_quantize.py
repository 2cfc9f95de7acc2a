"""Weights in few bits: as near as each format promises, equal to the library it is named after, whole on disk."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from torch import nn

from infinitetalk.checkpoints.quantized_files import TABLE, fill, fingerprint, load_quantized, save_quantized
from infinitetalk.config.settings import QUANTIZATIONS, Settings
from infinitetalk.errors import CheckpointError, InputError
from infinitetalk.models.quantize import FORMATS, QuantizedLinear, quantizable, quantize_network, quantized_layers
from infinitetalk.models.transformer import InfiniteTalkTransformer

CONFIG = {
    "text_len": 4, "text_dim": 12, "dim": 256, "ffn_dim": 384, "freq_dim": 16, "num_heads": 4, "num_layers": 2,
    "audio_blocks": 2, "audio_channels": 6, "intermediate_dim": 8, "output_dim": 64, "context_tokens": 3,
    "image_dim": 20,
}  # fmt: skip
KINDS = [kind for kind in QUANTIZATIONS if kind != "none"]
# Largest relative error (L2) of a normal matrix, and of the network's output.
BOUNDS = {
    "int8": (0.01, 0.01),
    "fp8": (0.03, 0.03),
    "int4": (0.10, 0.10),
    "nf4": (0.10, 0.10),
    "llm-int8": (0.01, 0.02),
}


@pytest.fixture(scope="module")
def model() -> InfiniteTalkTransformer:
    torch.manual_seed(0)
    return InfiniteTalkTransformer(**CONFIG).eval().requires_grad_(False)


def evaluate(network) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    with torch.inference_mode():
        condition = network.encode_condition(
            text=normal(1, 2, 12), image=normal(1, 5, 20), audio=normal(1, 9, 5, 2, 6),
            reference=normal(1, 20, 3, 4, 6),
        )  # fmt: skip
        return network(normal(1, 16, 3, 4, 6), torch.tensor([640.5]), condition)


def distance(made, exact) -> float:
    return float((made - exact).norm() / exact.norm())


@pytest.mark.parametrize("kind", KINDS)
def test_each_format_is_as_near_as_it_promises(model, kind):
    torch.manual_seed(2)
    weight = torch.randn(96, 256)
    weight[3] = 0  # a channel without weights has no scale
    layer = QuantizedLinear(256, 96, False, FORMATS[kind], torch.float32)
    layer.quantize_(weight)
    of_weight, of_output = BOUNDS[kind]
    assert 0 < distance(layer.weight, weight) < of_weight
    assert torch.equal(layer.weight[3], weight[3]) and layer.weight.isfinite().all()
    kept = sum(getattr(layer, name).nbytes for name in FORMATS[kind].tensors)
    assert kept * 8 / weight.numel() <= FORMATS[kind].bits + 32 / 256 + 1e-6

    small = copy.deepcopy(model)
    quantize_network(small, kind)
    error = distance(evaluate(small), evaluate(model))
    print(f"{kind}: output {error:.4f}, weights {distance(layer.weight, weight):.4f}")
    assert 0 < error < of_output


@pytest.mark.parametrize(("kind", "theirs"), [("int8", "qint8"), ("fp8", "qfloat8_e4m3fn")])
def test_eight_bits_are_quantos(kind, theirs):
    from optimum.quanto import qtypes
    from optimum.quanto.nn import QLinear

    torch.manual_seed(0)
    layer = nn.Linear(64, 48)
    quanto = QLinear.from_module(layer, weights=qtypes[theirs])
    quanto.freeze()
    ours = QuantizedLinear(64, 48, True, FORMATS[kind], torch.float32)
    ours.quantize_(layer.weight)
    torch.testing.assert_close(ours.weight, quanto.weight.dequantize(), atol=1e-6, rtol=1e-6)


def test_llm_int8_multiplies_as_bitsandbytes_does():
    """Against its own layer's arithmetic: tokens and weights in eight bits, sums in 32."""
    import bitsandbytes.functional as library

    torch.manual_seed(0)
    weight, tokens = torch.randn(48, 64), torch.randn(2, 3, 64)
    ours = QuantizedLinear(64, 48, False, FORMATS["llm-int8"], torch.float32)
    ours.quantize_(weight)
    integers, largest, _ = library.int8_vectorwise_quant(tokens.half().flatten(0, 1))
    columns, of_columns, _ = library.int8_vectorwise_quant(weight.half())
    theirs = library.int8_mm_dequant(library.int8_linear_matmul(integers, columns), largest, of_columns).float()
    assert distance(ours(tokens).flatten(0, 1), theirs) < 0.003  # it rounds its weights by way of half precision
    assert 0 < distance(ours(tokens), tokens @ weight.T) < 0.02


def test_only_blocks_are_quantized(model):
    names = quantizable(model)
    assert len(names) == 2 * 15 and all(name.startswith("blocks.") for name in names)
    small = copy.deepcopy(model)
    quantize_network(small, "int8")
    assert sorted(name for name, _ in quantized_layers(small)) == sorted(names)
    assert type(small.proj_out) is nn.Linear and type(small.condition_embedder.time_proj) is nn.Linear


@pytest.mark.parametrize("kind", ["fp8", "int8"])
def test_converting_a_network_leaves_its_eight_bits_alone(model, kind):
    small = copy.deepcopy(model)
    quantize_network(small, kind)
    before = evaluate(small)
    torch.testing.assert_close(evaluate(small.to(torch.float64).to(torch.float32)), before)


@pytest.mark.parametrize("kind", ["none", *KINDS])
def test_filling_weight_by_weight_equals_quantizing_the_whole(model, kind):
    whole = copy.deepcopy(model)
    if kind != "none":
        quantize_network(whole, kind)
    with torch.device("meta"):
        empty = InfiniteTalkTransformer(**CONFIG).eval()
    weights = dict(model.state_dict())
    fill(empty, reversed(weights.items()), kind=kind, dtype=torch.float32, source="file")
    assert torch.equal(evaluate(empty), evaluate(whole))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("blocks.1.attn1.to_q.weight"), "file: missing weight 'blocks.1.self_attn.q.weight'"),
        (lambda w: w.update(stranger=torch.zeros(1)), "file: unexpected weight 'stranger'"),
        (lambda w: w.update({"proj_out.bias": torch.zeros(3)}), "file: weight 'head.head.bias' has shape"),
    ],
)
def test_filling_is_strict(model, change, words):
    with torch.device("meta"):
        empty = InfiniteTalkTransformer(**CONFIG)
    weights = dict(model.state_dict())
    change(weights)
    with pytest.raises(CheckpointError, match=words.replace(".", r"\.")):
        fill(empty, weights.items(), kind="int8", dtype=torch.float32, source="file")


def test_kept_on_disk_it_is_the_same_and_belongs_to_its_source(model, tmp_path):
    source = tmp_path / "weights.safetensors"
    source.write_bytes(b"first")
    small = copy.deepcopy(model)
    quantize_network(small, "int4")
    mark = fingerprint([source], "int4")
    save_quantized(small, tmp_path / "kept", mark)

    def empty():
        with torch.device("meta"):
            return InfiniteTalkTransformer(**CONFIG).eval()

    again = empty()
    assert load_quantized(again, tmp_path / "kept", mark, dtype=torch.float32)
    assert torch.equal(evaluate(again), evaluate(small))
    source.write_bytes(b"another")
    assert fingerprint([source], "int4") != mark != fingerprint([source], "int8")
    assert not load_quantized(empty(), tmp_path / "kept", fingerprint([source], "int4"), dtype=torch.float32)
    assert not load_quantized(empty(), tmp_path / "nothing", mark, dtype=torch.float32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "weights.safetensors"], "nothing half-written"

    part = next((tmp_path / "kept").glob("*.safetensors"))
    part.write_bytes(part.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="delete the folder"):
        load_quantized(empty(), tmp_path / "kept", mark, dtype=torch.float32)
    (tmp_path / "kept" / TABLE).write_text(json.dumps([])[:1])
    assert not load_quantized(empty(), tmp_path / "kept", mark, dtype=torch.float32)


def test_a_failed_write_keeps_the_earlier_folder(model, tmp_path, monkeypatch):
    small = copy.deepcopy(model)
    quantize_network(small, "int8")
    save_quantized(small, tmp_path / "kept", "one")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(ValueError, match="disk is full"):
        save_quantized(small, tmp_path / "kept", "two")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert json.loads((tmp_path / "kept" / TABLE).read_text())["fingerprint"] == "one"


def test_nf4_needs_a_card():
    with pytest.raises(InputError, match="NVIDIA"):
        Settings("nano", 1, 1.0, 1.0, 1.0, quantization="nf4")
