"""`infinitetalk checkpoints ...` as it is typed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from infinitetalk.checkpoints.catalogue import check_loras, weights_note
from infinitetalk.checkpoints.files import CONTROLS, LORAS, SHARDS
from infinitetalk.checkpoints.locate import find_lora, gigabytes
from infinitetalk.checkpoints.manifests import read_manifest
from infinitetalk.commands.checkpoints import main
from infinitetalk.commands.flag_values import parse_lora
from infinitetalk.config.settings import Lora
from infinitetalk.errors import CheckpointError, InputError
from infinitetalk.models.specs import get_spec

SINGLE = get_spec("infinitetalk-14b-single")


def test_list_says_for_each_preset_what_is_here(pristine: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["list", "--json", "--checkpoints-dir", str(pristine)]) == 0
    needs = {need["name"]: need for need in json.loads(capsys.readouterr().out)}
    assert needs["nano"]["complete"] and needs["nano"]["bytes_missing"] == 0
    model = needs["infinitetalk-14b-single"] if "infinitetalk-14b-single" in needs else next(
        need for need in needs.values() if need["model"] == "infinitetalk-14b-single"
    )  # fmt: skip
    files = {file["path"]: file for file in model["files"]}
    shard = files[SHARDS[0].path]
    assert shard["present"] and shard["bytes"] == Path(shard["where"]).stat().st_size and shard["bytes_are_exact"]
    assert shard["licence"] == "Apache-2.0" and shard["repository"] == "Wan-AI/Wan2.1-I2V-14B-480P"


def test_what_is_missing_has_a_size_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["locate", SINGLE.name, "--checkpoints-dir", str(tmp_path), "--json"]) == 1
    need = json.loads(capsys.readouterr().out)
    assert not need["complete"] and need["bytes_missing"] == need["bytes_total"] > 80e9
    assert not any(file["bytes_are_exact"] for file in need["files"])
    assert main(["list", "--checkpoints-dir", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    shards = r"missing +about 65\.6 GB  Wan-AI/Wan2\.1-I2V-14B-480P/diffusion_pytorch_model-\*\.safetensors \(7 files\)"
    assert re.search(shards, text) and "(Apache-2.0)" in text


def test_verify_names_the_first_wrong_key(pristine: Path, capsys: pytest.CaptureFixture) -> None:
    """Right in form, of another size: the published network's manifest refuses it."""
    with pytest.raises(CheckpointError, match=r"weight '.*' has shape \[.*\]; expected \[.*\].*more files"):
        main(["verify", SINGLE.name, "--checkpoints-dir", str(pristine), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert not answer["ok"] and any(file["problem"] for file in answer["files"])
    assert main(["verify", "nano", "--json"]) == 0


def test_convert_and_use_what_was_converted(pristine: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["convert", SINGLE.name, "--checkpoints-dir", str(pristine), "--output", str(tmp_path), "--json"]
    assert main(arguments) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1] == {"event": "finished", "folder": str(tmp_path / SINGLE.name)}
    assert main(["verify", SINGLE.name, "--checkpoints-dir", str(tmp_path)]) == 0
    assert weights_note(SINGLE, tmp_path) is None
    with pytest.raises(InputError, match="is converted already"):
        main(["convert", SINGLE.name, "--checkpoints-dir", str(tmp_path), "--output", str(tmp_path / "again")])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["download", "sdxl"], "There is no model, preset, LoRA or control network 'sdxl'; known are nano,"),
        (["download", "infinitetalk-14b-multi", "--quantized", "fp8"], "two speakers is not published as 'fp8'"),
        (["convert", "nano", "--output", "x"], "nano needs no converting"),
        (["convert", "infinitetalk-14b-single", "--output", "x", "--dtype", "int3"], "--dtype is 'int3'"),
        (["verify"], "arguments are required: NAME"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: list[str], words: str) -> None:
    with pytest.raises((InputError, CheckpointError), match=words):
        main(arguments)


def test_loras_are_checked_from_their_headers(tmp_path: Path) -> None:
    """At the published size, without the network's files: 5120 x 5120 from two factors of rank 2."""
    import torch
    from safetensors.torch import save_file

    stem = "diffusion_model.blocks.39.self_attn.q"
    file = {f"{stem}.lora_down.weight": torch.ones(2, 5120), f"{stem}.lora_up.weight": torch.ones(5120, 2)}
    (tmp_path / "loras").mkdir()
    save_file(file, tmp_path / "loras" / "style.safetensors")
    notes = check_loras([Lora("style.safetensors", 0.5)], SINGLE, tmp_path)
    assert notes == ["The LoRA style.safetensors changes 1 weights at scale 0.5."]
    with pytest.raises(CheckpointError, match=r"style\.safetensors fits no layer of this model: .*blocks\.39"):
        check_loras([Lora("style.safetensors")], get_spec("nano"), tmp_path)
    save_file({key.replace("39", "40"): value for key, value in file.items()}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"fits no layer.*blocks\.40\.self_attn\.q\.lora_down"):
        check_loras([Lora(str(tmp_path / "other.safetensors"))], SINGLE, None)
    assert "checkpoints download lightx2v" in check_loras([Lora("lightx2v")], SINGLE, None)[0]
    with pytest.raises(CheckpointError, match="LoRA gone.safetensors does not exist, nor in"):
        check_loras([Lora("gone.safetensors")], SINGLE, tmp_path)


def test_a_published_lora_is_found_by_its_short_name(tmp_path: Path) -> None:
    file = LORAS["fusionx"]
    path = tmp_path / file.folder / file.path
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_lora("fusionx", tmp_path) == find_lora(path.name, tmp_path) == path
    shutil.rmtree(tmp_path / file.folder)
    (tmp_path / path.name).touch()
    assert find_lora("fusionx", tmp_path) == tmp_path / path.name


def test_loras_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.safetensors").touch()
    assert parse_lora("a.safetensors:0.8") == Lora(str(tmp_path / "a.safetensors"), 0.8)
    assert parse_lora("a.safetensors") == Lora(str(tmp_path / "a.safetensors"), 1.0)
    assert parse_lora("lightx2v:1.2") == Lora("lightx2v", 1.2)
    assert parse_lora(r"C:\loras\a.safetensors") == Lora(r"C:\loras\a.safetensors", 1.0)
    with pytest.raises(InputError, match="scale of the LoRA lightx2v is 50"):
        parse_lora("lightx2v:50")


def test_control_networks_are_listed_located_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from tests.tiny_model import write_tiny_controls

    folder = write_tiny_controls(tmp_path / "weights")
    for where, code, present in ((tmp_path, 1, False), (folder, 0, True)):
        for name in CONTROLS:
            assert main(["locate", name, "--checkpoints-dir", str(where), "--json"]) == code
            need = json.loads(capsys.readouterr().out)
            assert [file["present"] for file in need["files"]] == [present] and need["complete"] == present
    assert main(["list", "--checkpoints-dir", str(folder)]) == 0
    assert re.search(r"here .*ewrfcas/Uni3C/controlnet.pth", capsys.readouterr().out)
    for name in CONTROLS:
        with pytest.raises(CheckpointError, match="for transformers of width 32, and this model's is 5120"):
            main(["verify", name, "--checkpoints-dir", str(folder)])
        with pytest.raises(CheckpointError, match=f"checkpoints download {name}"):
            main(["verify", name, "--checkpoints-dir", str(tmp_path)])


def test_sizes_are_words() -> None:
    assert [gigabytes(size) for size in (0, 300, 5e6, 65_579_515_136)] == ["0 MB", "0.1 MB", "5.0 MB", "65.6 GB"]
    assert sum(file.bytes_about for file in SHARDS) == pytest.approx(
        4 * read_manifest("transformer-base").num_parameters, abs=100
    )
