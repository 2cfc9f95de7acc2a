"""A published checkpoint in miniature: the same folders, file names, keys and formats with small random networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infinitetalk.checkpoints.files import INFINITETALK, SHARDS, WAN, WAV2VEC2
from tests.parity.seeded_weights import read_case

if TYPE_CHECKING:
    from torch import Tensor

# torch is imported where it is needed: half of these tests never touch a tensor.

CASES = Path(__file__).parents[1] / "parity" / "cases"
SPEECH_PARTS = ("audio_cross_attn", "norm_x", "audio_proj")


def tensors_of(case: str, group: str) -> dict[str, Tensor]:
    """Official names and random weights of a recorded case."""
    import torch

    weights = read_case(CASES / case)[1]
    return {key: torch.from_numpy(value).clone() for key, value in weights[group].items()}


def is_speech(key: str) -> bool:
    return any(part in key for part in SPEECH_PARTS)


def write_official(folder: Path) -> Path:
    """Write the files of one model below `folder` in the official layout."""
    import torch
    from safetensors.torch import save_file

    wan, infinitetalk, wav2vec2 = (folder / name.rpartition("/")[2] for name in (WAN, INFINITETALK, WAV2VEC2))
    for path in (wan / "google" / "umt5-xxl", infinitetalk / "single", infinitetalk / "multi", wav2vec2):
        path.mkdir(parents=True)
    case = json.loads((CASES / "dit_single" / "case.json").read_text(encoding="utf-8"))
    audio_only = ("audio_window", "intermediate_dim", "output_dim", "context_tokens", "vae_scale", "norm_input_visual",
                  "norm_output_audio", "blocks", "channels")  # fmt: skip
    config = {key: value for key, value in case["config"].items() if key not in audio_only}
    (wan / "config.json").write_text(json.dumps({"_class_name": "WanModel", **config}), encoding="utf-8")
    dit = tensors_of("dit_single", next(iter(case["weights"])))
    base = {key: value for key, value in dit.items() if not is_speech(key)}
    for index, shard in enumerate(SHARDS):
        save_file({key: base[key] for key in list(base)[index :: len(SHARDS)]}, wan / shard.path)
    speech = {key: value for key, value in dit.items() if is_speech(key)}
    for kind in ("single", "multi"):
        save_file(speech, infinitetalk / kind / "infinitetalk.safetensors")
    torch.save(tensors_of("vae", "vae"), wan / "Wan2.1_VAE.pth")
    clip = tensors_of("clip_vision", "clip") | {"log_scale": torch.ones(()), "textual.norm.weight": torch.ones(3)}
    torch.save(clip, wan / "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth")
    t5 = {key: value.to(torch.bfloat16) for key, value in tensors_of("t5", "t5").items()}
    torch.save(t5, wan / "models_t5_umt5-xxl-enc-bf16.pth")
    write_tokenizer(wan / "google" / "umt5-xxl")
    save_file(tensors_of("wav2vec2", "wav2vec2"), wav2vec2 / "model.safetensors")
    published = json.loads((CASES / "wav2vec2" / "case.json").read_text(encoding="utf-8"))["config"]["wav2vec2"]
    (wav2vec2 / "config.json").write_text(json.dumps({"model_type": "wav2vec2", **published}), encoding="utf-8")
    return folder


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [(chr(97 + i), -1.0) for i in range(26)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "T5Tokenizer", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: copy what is to be damaged."""
    return write_official(tmp_path_factory.mktemp("official") / "weights")


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or fills the caches of whoever runs it."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("INFINITETALK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("INFINITETALK_CHECKPOINTS", raising=False)
