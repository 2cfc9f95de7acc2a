"""Published files, scaled fp8 and GGUF into a folder of ours: the same network afterwards, or nothing at all."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from infinitetalk.checkpoints.convert import ConvertProgress, convert
from infinitetalk.checkpoints.files import SHARDS
from infinitetalk.checkpoints.formats.gguf import FORMATS, GgufFile
from infinitetalk.checkpoints.keys.transformer import to_official
from infinitetalk.checkpoints.loading import load
from infinitetalk.checkpoints.locate import find
from infinitetalk.checkpoints.single_files import open_transformer
from infinitetalk.errors import CheckpointError, InputError
from infinitetalk.models.specs import get_spec
from tests.checkpoints.conftest import is_speech, tensors_of

SINGLE = get_spec("infinitetalk-14b-single")
NETWORKS = ("transformer", "vae", "image_encoder", "audio_encoder", "text_encoder")


def test_a_converted_folder_is_the_same_model(pristine: Path, tmp_path: Path) -> None:
    seen: list[ConvertProgress] = []
    located = find(SINGLE, pristine)
    target = convert(SINGLE, located, tmp_path, report=seen.append, shard_bytes=3_000_000)
    assert target == tmp_path / SINGLE.name and [path.name for path in tmp_path.iterdir()] == [SINGLE.name]
    assert seen[-1].bytes_done == seen[-1].bytes_total
    assert len(list((target / "transformer").glob("*-of-*.safetensors"))) > 2
    converted, published = load(SINGLE, tmp_path, torch.bfloat16), load(SINGLE, pristine, torch.bfloat16)
    for name in NETWORKS:
        ours, theirs = getattr(converted, name).state_dict(), getattr(published, name).state_dict()
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            assert value.dtype == ours[key].dtype and torch.equal(value, ours[key]), f"{name}: {key}"
    assert converted.tokenizer("ab").input_ids == published.tokenizer("ab").input_ids
    with pytest.raises(InputError, match="exists already"):
        convert(SINGLE, located, tmp_path)


def test_shards_are_files_that_others_read(pristine: Path, tmp_path: Path) -> None:
    target = convert(SINGLE, find(SINGLE, pristine), tmp_path, dtype=torch.float32, shard_bytes=3_000_000)
    index = json.loads((target / "transformer" / "diffusion_pytorch_model.safetensors.index.json").read_text())
    official = tensors_of("dit_single", "dit")
    for name, file in index["weight_map"].items():
        with safe_open(target / "transformer" / file, framework="pt") as opened:
            assert torch.equal(opened.get_tensor(name), official[to_official(name)]), name


def test_nothing_half_written_stays(pristine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(pristine, folder)
    located = find(SINGLE, folder)
    parts = []

    def damage(progress: ConvertProgress) -> None:  # once the first weights are written
        parts.append(progress)
        vae = folder / SHARDS[0].folder / "Wan2.1_VAE.pth"
        raise OSError(28, "No space left on device", str(vae))

    with pytest.raises(Exception, match="disk is full"):
        convert(SINGLE, located, tmp_path / "out", report=damage)
    assert parts and list((tmp_path / "out").iterdir()) == []
    shard = folder / SHARDS[0].folder / SHARDS[0].path
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="cut short"):
        convert(SINGLE, located, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def filled(paths: list[Path], config: Path) -> dict[str, Tensor]:
    """Official names and what is read under them."""
    component = open_transformer(paths, config)
    return {to_official(name): value for name, value in component.weights.stream(copy=True)}


def config_of(pristine: Path) -> Path:
    return pristine / SHARDS[0].folder / "config.json"


def test_scaled_fp8_files(pristine: Path, tmp_path: Path) -> None:
    official = tensors_of("dit_single", "dit")
    file: dict[str, Tensor] = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    expected = dict(official)
    for key, value in official.items():
        if value.ndim == 2 and key.startswith("blocks."):
            scale = value.abs().max() / 448
            file[f"model.diffusion_model.{key}"] = (value / scale).to(torch.float8_e4m3fn)
            file[f"model.diffusion_model.{key.removesuffix('.weight')}.scale_weight"] = scale.reshape(1)
            expected[key] = (value / scale).to(torch.float8_e4m3fn).float() * scale
        else:
            file[f"model.diffusion_model.{key}"] = value
    save_file(file, tmp_path / "fp8_scaled.safetensors")
    found = filled([tmp_path / "fp8_scaled.safetensors"], config_of(pristine))
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in found.items())


def write_gguf(
    path: Path, tensors: Mapping[str, tuple[tuple[int, ...], int, bytes]], notes: bytes = b"", count: int = 0
) -> None:
    """tensors: name -> shape, number of the format, data."""
    head, data = b"", b""
    for name, (shape, kind, raw) in tensors.items():
        data += b"\0" * (-len(data) % 32)
        axes = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += struct.pack("<Q", len(name)) + name.encode() + axes + struct.pack("<IQ", kind, len(data))
        data += raw
    start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), count) + notes + head
    path.write_bytes(start + b"\0" * (-len(start) % 32) + data)


def as_q8_0(value: Tensor) -> tuple[bytes, Tensor]:
    """Blocks of 32 with a half-precision scale: the bytes, and what they stand for."""
    blocks = value.reshape(-1, 32)
    scales = (blocks.abs().amax(dim=1, keepdim=True) / 127).half()
    levels = (blocks / scales.float()).round().clamp(-127, 127).to(torch.int8)
    raw = np.concatenate([scales.numpy().view(np.uint8), levels.numpy().view(np.uint8)], axis=1)
    return raw.tobytes(), (levels * scales.float()).reshape(value.shape)


def test_gguf_for_the_base_and_a_file_for_speech(pristine: Path, tmp_path: Path) -> None:
    expected, base = {}, {}
    for key, value in tensors_of("dit_single", "dit").items():
        expected[key] = value
        if is_speech(key):
            continue
        if value.ndim == 2 and value.shape[1] % 32 == 0:
            raw, expected[key] = as_q8_0(value)
            base[key] = (tuple(value.shape), 8, raw)
        else:  # five axes are one too many
            shape = tuple(value.shape) if value.ndim < 5 else (value.shape[0], value[0].numel())
            base[key] = (shape, 0, value.numpy().tobytes())
    name = "comfy.gguf.orig_shape.patch_embedding.weight"
    original = expected["patch_embedding.weight"].shape
    note = struct.pack("<Q", len(name)) + name.encode() + struct.pack("<IIQ5i", 9, 5, 5, *original)
    write_gguf(tmp_path / "base.gguf", base, note, 1)
    speech = {key: value for key, value in expected.items() if is_speech(key)}
    save_file(speech, tmp_path / "speech.safetensors")
    found = filled([tmp_path / "base.gguf", tmp_path / "speech.safetensors"], config_of(pristine))
    assert found.keys() == expected.keys()
    for key, value in found.items():
        torch.testing.assert_close(value, expected[key], rtol=0, atol=0, msg=key)


def half(block: bytes, at: int) -> float:
    return float(np.frombuffer(block[at : at + 2], np.float16)[0])


def k_scale(packed: bytes, group: int) -> tuple[int, int]:
    """Scale and lowest value of one of eight groups, as the format's description words it."""
    if group < 4:
        return packed[group] & 63, packed[group + 4] & 63
    scale = (packed[group + 4] & 15) | ((packed[group - 4] >> 6) << 4)
    return scale, (packed[group + 4] >> 4) | ((packed[group] >> 6) << 4)


def one_by_one(name: str, block: bytes) -> list[float]:
    """A block's weights, each from its own bits."""
    if name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1"):
        has_lowest, has_fifth = name.endswith("1"), name.startswith("Q5")
        first = 2 + 2 * has_lowest
        flags = int.from_bytes(block[first : first + 4], "little") if has_fifth else 0
        packed = block[first + 4 * has_fifth :]
        values = []
        for index in range(32):
            level = packed[index % 16] >> (4 if index >= 16 else 0) & 15
            level |= (flags >> index & 1) << 4
            centre = 0 if has_lowest else (16 if has_fifth else 8)
            values.append((level - centre) * half(block, 0) + (half(block, 2) if has_lowest else 0))
        return values
    if name in ("Q4_K", "Q5_K"):
        flags, packed = (block[16:48], block[48:]) if name == "Q5_K" else (bytes(32), block[16:])
        values = []
        for index in range(256):
            group, place = divmod(index, 32)
            level = packed[group // 2 * 32 + place] >> (4 * (group % 2)) & 15
            level |= (flags[place] >> group & 1) << 4
            scale, lowest = k_scale(block[4:16], group)
            values.append(half(block, 0) * scale * level - half(block, 2) * lowest)
        return values
    values = []
    for index in range(256):  # Q6_K
        part, place = divmod(index, 128)
        quarter, column = divmod(place, 32)
        low = block[part * 64 + column + 32 * (quarter % 2)] >> (4 * (quarter // 2)) & 15
        high = block[128 + part * 32 + column] >> (2 * quarter) & 3
        scale = int(np.int8(np.uint8(block[192 + index // 16])))
        values.append(half(block, 208) * scale * ((low | high << 4) - 32))
    return values


@pytest.mark.parametrize("name", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"])
def test_gguf_formats_bit_by_bit(name: str) -> None:
    format = next(format for format in FORMATS.values() if format.name == name)
    raw = np.random.default_rng(1).integers(0, 256, (3, format.num_bytes), dtype=np.uint8)
    for at in {"Q6_K": (208,), "Q4_0": (0,), "Q5_0": (0,)}.get(name, (0, 2)):
        raw[:, at : at + 2] = np.array([0.01, -0.02, 0.5], np.float16).view(np.uint8).reshape(3, 2)
    expected = [one_by_one(name, bytes(block)) for block in raw]
    np.testing.assert_allclose(format.dequantize(raw), expected, rtol=1e-6, atol=1e-6)


def test_damaged_gguf_files_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "w.gguf"
    good = {"blocks.0.norm3.weight": ((8,), 0, bytes(32))}
    write_gguf(path, good)
    whole = path.read_bytes()
    assert GgufFile(path).read("blocks.0.norm3.weight").shape == (8,)
    write_gguf(path, {"blocks.0.norm3.weight": ((8,), 99, bytes(32))})
    odd = path.read_bytes()
    for content, words in (
        (b"GGML", "not a GGUF file"), (whole[:20], "not a readable GGUF"), (whole[:-8], "is cut short"),
        (odd, "format number 99"), (b"GGUF" + struct.pack("<IQQ", 7, 0, 0), "version 7"),
    ):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=words):
            GgufFile(path)
    path.write_bytes(whole)
    with pytest.raises(CheckpointError, match="missing weight patch_embedding"):
        open_transformer([path])
    with pytest.raises(CheckpointError, match="does not exist"):
        open_transformer([tmp_path / "none.gguf"])
