"""Manifests against files of the published size (sparse: headers are real, the numbers are holes)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from infinitetalk.checkpoints.files import SHARDS, SPEECH, TEXT_ENCODER
from infinitetalk.checkpoints.formats.tensor_files import TensorInfo
from infinitetalk.checkpoints.locate import find_published
from infinitetalk.checkpoints.manifests import read_manifest
from infinitetalk.checkpoints.notes import Notes
from infinitetalk.checkpoints.verify import check_infos, published_shapes, verify
from infinitetalk.errors import CheckpointError
from infinitetalk.models.specs import get_spec

SINGLE = get_spec("infinitetalk-14b-single")
COUNTS = {
    "transformer-base": (1303, 16_394_878_784), "transformer-speech": (330, 2_487_168_000), "vae": (194, 126_892_531),
    "text-encoder": (242, 5_680_910_336), "uni3c": (490, 1_165_741_824),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_manifests_hold_the_published_number_of_weights(name: str) -> None:
    manifest = read_manifest(name)
    assert (len(manifest.shapes), manifest.num_parameters) == COUNTS[name]


def test_the_transformer_s_manifests_are_our_network() -> None:
    import torch

    from infinitetalk.models.transformer import InfiniteTalkTransformer

    with torch.device("meta"):
        network = InfiniteTalkTransformer().state_dict()
    assert published_shapes() == {name: tuple(value.shape) for name, value in network.items()}


def write_sparse(path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: str = "BF16") -> None:
    table, end = {}, 0
    for key, shape in shapes.items():
        size = TensorInfo(tuple(shape), dtype).num_bytes
        table[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    head = json.dumps(table).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + end)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    base = dict(read_manifest("transformer-base").shapes)
    for index, shard in enumerate(SHARDS):
        write_sparse(tmp_path / shard.folder / shard.path, {key: base[key] for key in list(base)[index :: len(SHARDS)]})
    speech = SPEECH["single"]
    write_sparse(tmp_path / speech.folder / speech.path, read_manifest("transformer-speech").shapes)
    return tmp_path


def problems(folder: Path, **options) -> dict[str, str]:
    results = verify(SINGLE, find_published(SINGLE.name, [folder]), **options)
    return {Path(result.path).name: result.problem for result in results if result.problem}


def test_right_files_are_right_and_missing_ones_are_named(folder: Path) -> None:
    found = problems(folder)
    assert not any(name.startswith(("diffusion_pytorch", "infinitetalk")) for name in found)
    assert found[TEXT_ENCODER.path] == f"{TEXT_ENCODER.repository}/{TEXT_ENCODER.path} is missing; download it."


def test_the_speech_file_may_repeat_weights_of_the_base(folder: Path) -> None:
    both = read_manifest("transformer-speech").shapes | {"head.head.weight": (64, 5120)}
    write_sparse(folder / SPEECH["single"].folder / SPEECH["single"].path, both)
    assert "infinitetalk.safetensors" not in problems(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blocks.3.norm3.weight": (5121,)}, "weight 'blocks.3.norm3.weight' has shape [5121]; expected [5120]"),
        ({"blocks.40.norm3.weight": (5120,)}, "unexpected weight 'blocks.40.norm3.weight'"),
    ],
)
def test_the_first_wrong_file_and_key_are_named(folder: Path, change: dict, words: str) -> None:
    shard = folder / SHARDS[2].folder / SHARDS[2].path
    write_sparse(shard, change)
    assert words in problems(folder)[shard.name] and str(shard) in problems(folder)[shard.name]


def test_a_weight_that_no_shard_holds_is_named(folder: Path) -> None:
    shard = folder / SHARDS[6].folder / SHARDS[6].path
    base = list(read_manifest("transformer-base").shapes.items())
    write_sparse(shard, dict(base[6 :: len(SHARDS)][:-1]))
    assert f"lacks the weight {base[6 :: len(SHARDS)][-1][0]!r}" in problems(folder)[shard.name]


def test_quantized_numbers_are_not_the_published_ones(folder: Path) -> None:
    write_sparse(folder / SHARDS[0].folder / SHARDS[0].path, {"blocks.0.ffn.0.weight": (13824, 5120)}, "F8_E4M3")
    assert "of type F8_E4M3; expected F32 or F16 or BF16" in problems(folder)[SHARDS[0].path]


def test_a_cut_file_says_how_much_is_there(folder: Path) -> None:
    path = folder / SHARDS[0].folder / SHARDS[0].path
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 1)
    assert "is cut short" in problems(folder)[path.name]


def test_prefixes_spellings_and_unused_weights_of_the_speech_encoder() -> None:
    manifest = read_manifest("audio-encoder")
    infos = {f"wav2vec2.{key}": TensorInfo(shape, "F32") for key, shape in manifest.shapes.items()}
    infos |= {"quantizer.codevectors": TensorInfo((1, 2), "F32"), "masked_spec_embed": TensorInfo((768,), "F32")}
    old = "wav2vec2.encoder.pos_conv_embed.conv.weight_g"
    infos["wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original0"] = infos.pop(old)
    assert check_infos(infos, manifest, "wav2vec2") == set(manifest.shapes)
    with pytest.raises(CheckpointError, match="text_encoder: weight 'norm.weight' is of type F32; expected BF16"):
        check_infos({"norm.weight": TensorInfo((4096,), "F32")}, read_manifest("text-encoder"), "text_encoder")


def test_checksums_are_those_of_the_download(folder: Path) -> None:
    config = SHARDS[0]
    path = folder / config.folder / config.path
    write_sparse(path, {"head.head.bias": (64,)})
    Notes.read(folder).add(config, "commit", 1, "0" * 64)
    assert "another checksum" in problems(folder, checksums_in=folder)[path.name]


def test_a_converted_folder_is_compared_with_its_own_networks(tmp_path: Path) -> None:
    from infinitetalk.checkpoints.locate import Located
    from infinitetalk.paths import assets_dir

    nano = get_spec("nano")
    shutil.copytree(assets_dir() / "nano", tmp_path / "nano")
    located = Located("nano", folder=tmp_path / "nano")
    assert [result.problem for result in verify(nano, located)] == [None] * 4
    next((tmp_path / "nano" / "vae").glob("*.safetensors")).unlink()
    assert "holds no .safetensors file" in verify(nano, located)[1].problem
