"""A LoRA trained on a user's films, at tiny size, on the path that the published model takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from infinitetalk.commands.train import main
from infinitetalk.errors import CheckpointError, InputError, PresetError
from infinitetalk.training.lora.adapters import load_lora, lora_weights
from infinitetalk.training.lora.networks import ModelFiles
from infinitetalk.training.lora.run import train_lora
from infinitetalk.training.record import read_log
from tests.training.lora import toy_lora
from tests.training.lora.conftest import write_film


def test_the_loss_falls_below_that_of_the_bare_model(trained):
    assert trained.figures["probe_loss"] < 0.9 * trained.figures["probe_loss_without"]
    rows = read_log(trained.out / "stages" / "lora" / "log.csv")
    assert rows[-1]["step"] == 30 and rows[-1]["loss"] < rows[0]["loss"]


def test_the_file_says_what_it_is_for(trained):
    with safe_open(trained.out / "lora.safetensors", framework="pt") as file:
        facts = file.metadata()
        keys = set(file.keys())
    assert (facts["model"], facts["rank"], facts["reference"], facts["steps"]) == ("tiny", "4", "M3", "30")
    # Per block: four layers of attn1, six of attn2, three of audio_attn, two of ffn; two factors each.
    assert len(keys) == 2 * 2 * 15 and "transformer.blocks.1.audio_attn.to_kv.lora_B.weight" in keys


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork")
def test_a_killed_training_ends_with_the_same_adapters(trained, weights, films, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    cache = trained.out / "stages" / "lora-cache"
    command = [sys.executable, "-m", "tests.training.lora.toy_lora", *map(str, (weights, films, cache, tmp_path))]
    answer = subprocess.run(command, env=environment, cwd=Path(toy_lora.__file__).parents[3], capture_output=True,
                            text=True, timeout=3600)  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    ended = [line.split()[1:] for line in answer.stdout.splitlines() if line.startswith("ended")]
    assert ended == [["whole", "0"], ["killed", "-9"], ["killed", "0"]]
    whole, killed = (load_file(tmp_path / name / "lora.safetensors") for name in ("whole", "killed"))
    assert whole.keys() == killed.keys() and all(torch.equal(whole[key], killed[key]) for key in whole)
    assert "encoded" not in answer.stdout  # what was encoded already is used again


def test_a_training_goes_on_from_a_file(trained, weights, films, spec, config, tmp_path):
    """With no step taken, what goes in comes out."""
    from infinitetalk.training.lora.adapters import add_adapters

    transformer = ModelFiles.of(spec, weights, torch.float32).load("transformer")
    add_adapters(transformer, rank=4, alpha=2, layers=config.layers, seed=0)  # another alpha: the file holds none
    load_lora(transformer, trained.out / "lora.safetensors")
    with safe_open(trained.out / "lora.safetensors", framework="pt") as file:
        for key, tensor in lora_weights(transformer).items():
            torch.testing.assert_close(tensor, file.get_tensor(key))
    wrong = replace(config, rank=8, start_from=str(trained.out / "lora.safetensors"))
    cached = tmp_path / "stages"
    cached.mkdir()
    (cached / "lora-cache").symlink_to(trained.out / "stages" / "lora-cache")
    with pytest.raises(CheckpointError, match="give the rank it was trained with"):
        train_lora(wrong, films, tmp_path)


def one_sentence(error: BaseException) -> bool:
    return "\n" not in str(error) and len(str(error)) < 400


def test_folders_that_cannot_be_trained_on_are_refused_in_a_sentence(spec, config, tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        train_lora(config, tmp_path / "nowhere", tmp_path / "out")
    data = tmp_path / "data"
    data.mkdir()
    (data / "notes.txt").write_text("nothing to see")
    with pytest.raises(InputError, match="holds no film; put videos with sound in it"):
        train_lora(config, data, tmp_path / "out")
    write_film(data / "mute.mp4", 90, sound=False)
    with pytest.raises(InputError, match="No film in .* mute.mp4 has no sound") as error:
        train_lora(config, data, tmp_path / "out")
    assert one_sentence(error.value)
    (data / "mute.mp4").unlink()
    write_film(data / "short.mp4", 40)
    with pytest.raises(InputError, match=r"short.mp4 lasts 1.6 s; at least 3.24 s are needed"):
        train_lora(config, data, tmp_path / "out")
    write_film(data / "cut.mp4", 90, cut_at=45)
    with pytest.raises(InputError, match="longest shot without a cut lasts 1.8 s"):
        train_lora(config, data, tmp_path / "out")
    (data / "cut.mp4").write_bytes(b"no film at all")
    with pytest.raises(InputError, match=r"\(and 1 more\)"):
        train_lora(config, data, tmp_path / "out")


def test_missing_weights_are_refused_in_a_sentence(spec, config, films, tmp_path):
    with pytest.raises(CheckpointError, match="InfiniteTalk 14B needs .* not found") as error:
        train_lora(replace(config, model="infinitetalk-14b-single", checkpoints_dir=str(tmp_path)), films, tmp_path)
    assert "\n" not in str(error.value)


def test_the_command_line_overrides_the_file(spec, weights, films, trained, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(f"model: tiny\ncheckpoints_dir: {weights}\nsize: small\nranks: 4\n")
    with pytest.raises(PresetError, match=r"mine.yaml has the unknown key 'ranks'; perhaps rank"):
        main(["--stage", "lora", "--config", str(path), "--data", str(films), "--out", str(tmp_path)])
    path.write_text(
        f"model: tiny\ncheckpoints_dir: {weights}\nsize: small\nrank: 2\ndtype: float32\nnum_steps: 500\n"
        "layers: audio_attn\nchunk_stride: 20\n"
    )
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "lora-cache").symlink_to(trained.out / "stages" / "lora-cache")
    command = ["--stage", "lora", "--config", str(path), "--data", str(films), "--out", str(tmp_path), "--json"]
    assert main([*command, "--steps", "1", "--precision", "no", "--reference", "M3", "--fresh"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["lora"]
    assert figures["steps"] == 1
    # Two blocks, three layers each: to_q 32 + 32, to_kv 24 + 64, to_out 32 + 32, at rank 2.
    assert figures["parameters"] == 2 * 2 * (64 + 88 + 64)
