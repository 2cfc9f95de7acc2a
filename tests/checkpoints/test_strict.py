from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import UMT5EncoderModel

from infinitetalk.checkpoints.strict import load_file, load_strictly, read_checkpoint, without_weights
from infinitetalk.errors import CheckpointError
from infinitetalk.models.text_encoder import text_encoder_config


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def save(weights: dict[str, torch.Tensor], path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path)
    return path


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.ckpt"])
def test_what_was_saved_is_loaded(tmp_path: Path, name: str) -> None:
    source = network()
    path = save(source.state_dict(), tmp_path / name)
    with without_weights():
        target = network()
    load_file(target, path)
    for key, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[key], value), key
    assert target.eval()(torch.ones(1, 3)).isfinite().all()


def test_old_torch_files_and_state_dict_wrappers_are_read(tmp_path: Path) -> None:
    weights = network().state_dict()
    torch.save(weights, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": weights}, tmp_path / "wrapped.pth")
    for name in ("old.pth", "wrapped.pth"):
        assert read_checkpoint(tmp_path / name).keys() == weights.keys()


def test_missing_unexpected_and_misshapen_keys_are_named_with_the_file(tmp_path: Path) -> None:
    weights = network().state_dict()
    value = weights.pop("0.weight")
    path = save(weights | {"0.wait": value}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"w\.safetensors .*lacks 0\.weight and holds the unknown 0\.wait"):
        load_file(network(), path)
    path = save(weights | {"0.weight": torch.zeros(4, 5)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"w\.safetensors .*0\.weight has shape \(4, 5\), expected \(4, 3\)"):
        load_file(network(), path)


def test_a_failed_load_leaves_the_network_as_it_was() -> None:
    target = network()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(CheckpointError):
        load_strictly(target, {"0.weight": torch.ones(4, 3)}, "half a file")
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", None], ids=["empty", "text", "cut short"])
def test_damaged_files_are_one_sentence(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = save(network().state_dict(), tmp_path / name)
    path.write_bytes(path.read_bytes()[:100] if content is None else content)
    with pytest.raises(CheckpointError, match=name) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path(self.target),)  # type: ignore[attr-defined]


def test_code_in_a_pickled_file_is_never_run(tmp_path: Path) -> None:
    bomb = Malicious()
    bomb.target = str(tmp_path / "ran")
    for name, write in (("zip.pth", torch.save), ("plain.pth", None)):
        path = tmp_path / name
        if write:
            write({"a": bomb}, path)
        else:
            path.write_bytes(pickle.dumps({"a": bomb}))
        with pytest.raises(CheckpointError, match=name):
            read_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        read_checkpoint(tmp_path / "none.safetensors")
    (tmp_path / "w.gguf").write_bytes(b"GGUF")
    with pytest.raises(CheckpointError, match=r"ending '\.gguf'"):
        read_checkpoint(tmp_path / "w.gguf")
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="int under 'epoch'"):
        read_checkpoint(tmp_path / "w.pth")
    torch.save([torch.ones(1)], tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="holds a list"):
        read_checkpoint(tmp_path / "w.pth")


def test_tied_weights_stay_one_tensor() -> None:
    config = text_encoder_config(50, 32, 32, 48, num_heads=2, num_layers=1)
    weights = UMT5EncoderModel(config).state_dict()
    with without_weights():
        model = UMT5EncoderModel(config)
    load_strictly(model, weights, "weights")
    assert model.shared.weight is model.encoder.embed_tokens.weight
