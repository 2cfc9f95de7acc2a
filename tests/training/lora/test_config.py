"""Configurations: every shipped one is valid, every mistake is one sentence."""

from __future__ import annotations

import re

import pytest

from infinitetalk.errors import PresetError
from infinitetalk.models.specs import get_spec
from infinitetalk.paths import presets_dir
from infinitetalk.training.lora.config import LoraConfig, field_names, read_config

SHIPPED = sorted(path.stem for path in (presets_dir() / "training").glob("lora-*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_configurations_are_valid(name):
    assert get_spec(read_config(name).model).name == read_config(name).model


def test_the_published_models_file_shows_every_default():
    assert read_config("lora-14b") == LoraConfig(prompt="A person is talking")
    text = (presets_dir() / "training" / "lora-14b.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+):", text, re.MULTILINE)) == set(field_names())


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("rnk: 4", "unknown key 'rnk'"),
        ("rank: many", "rank is 'many'; give a whole number from 1 to 1024"),
        ("rate: 2", "rate is 2; give a number from 1e-09 to 1"),
        ("layers: [attn3]", "layers is 'attn3'; choose one of attn1, attn2, audio_attn, ffn"),
        ("layers: []", "layers is empty; name at least one"),
        ("reference: M4", "reference is 'M4'; choose one of M0, M1, M2, M3"),
        ("precision: int8", "precision is 'int8'; choose one of no, fp16, bf16"),
        ("gradient_checkpointing: 1", "gradient_checkpointing is 1; give true or false"),
        ("- rank", "holds list where a table of settings was expected"),
        ("rank: [", "cannot be read"),
    ],
)
def test_mistakes_name_the_file_and_the_key(line, sentence, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"{line}\n")
    with pytest.raises(PresetError) as error:
        read_config(path)
    assert sentence in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_name_lists_the_shipped_ones():
    with pytest.raises(PresetError, match="lora-14b, lora-nano"):
        read_config("lora-huge")
