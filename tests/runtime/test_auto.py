"""The preset that `auto` stands for, and the sentence that says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from infinitetalk import GenerationRequest, Speaker
from infinitetalk.errors import PresetError
from infinitetalk.runtime.auto import choose, settled
from infinitetalk.runtime.machine import Machine


def machine(gpu_gb: float, ram_gb: float) -> Machine:
    return Machine(int(ram_gb * 1024), 0, 8, "Card" if gpu_gb else "", int(gpu_gb * 1024), 0, 8.9)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch) -> Path:
    """A folder that holds the large model converted, as far as names of files tell; no hub cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no-cache"))
    config = tmp_path / "weights/infinitetalk-14b-single/transformer/config.json"
    config.parent.mkdir(parents=True)
    config.write_text("{}")
    return tmp_path / "weights"


@pytest.mark.parametrize(
    ("gpu_gb", "ram_gb", "expected"),
    [(80, 64, "h100-bf16"), (47.5, 64, "48gb"), (24, 64, "24gb-int8"), (23.6, 31.3, "24gb-int8"), (16, 64, "16gb-fp8"),
     (12, 32, "12gb-nf4"), (11, 32, "8gb-offload"), (16, 24, "12gb-nf4")],
)  # fmt: skip
def test_auto_takes_the_largest_that_fits_and_says_why(weights, gpu_gb, ram_gb, expected):
    choice = choose("auto", str(weights), machine(gpu_gb, ram_gb))
    assert choice.name == f"final+{expected}"
    assert choose("lightx2v-4+auto", str(weights), machine(gpu_gb, ram_gb)).name == f"lightx2v-4+{expected}"
    assert f"{gpu_gb:.0f} GB" in choice.sentence and choice.sentence.count(". ") == 0


@pytest.mark.parametrize(("gpu_gb", "ram_gb"), [(0, 64), (6, 64), (24, 8)])
def test_auto_is_nano_where_the_large_model_does_not_fit(weights, gpu_gb, ram_gb):
    choice = choose("auto", str(weights), machine(gpu_gb, ram_gb))
    assert choice.name == "nano" and "needs at least a card of 8 GB" in choice.sentence


def test_auto_is_nano_while_files_are_missing(tmp_path):
    choice = choose("auto", str(tmp_path), machine(80, 128))
    assert choice.name == "nano" and choice.sentence.count(". ") == 0
    assert "GB of the weights" in choice.sentence and "checkpoints download final+h100-bf16" in choice.sentence


def test_auto_of_an_unknown_quality_is_refused():
    with pytest.raises(PresetError, match="no preset 'pretty.auto'.*join it to one of final"):
        choose("pretty+auto")


def test_a_settled_request_holds_the_choice_and_not_auto():
    request = GenerationRequest("a.png", (Speaker("a.wav"),), preset="auto")
    own = settled(request)
    assert own.preset != "auto" and own == settled(own) == GenerationRequest.from_dict(own.to_dict())
    assert request == GenerationRequest.from_dict(request.to_dict())
