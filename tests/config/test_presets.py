"""Presets joined from a quality and a machine, and the choice of one."""

from __future__ import annotations

import itertools

import pytest

from infinitetalk import GenerationRequest, Speaker
from infinitetalk.config.presets import hardware_names, load_preset, preset_names, quality_names
from infinitetalk.config.settings import Lora
from infinitetalk.errors import InputError, PresetError
from infinitetalk.runtime.machine import this_machine

QUALITIES = ("final", "fusionx-8", "lightx2v-4", "draft")
MACHINES = ("h100-bf16", "48gb", "24gb-int8", "16gb-fp8", "12gb-nf4", "8gb-offload", "cpu-nano")


def test_both_axes_are_there_in_order():
    assert tuple(quality_names()) == QUALITIES and tuple(hardware_names()) == MACHINES


@pytest.mark.parametrize(("quality", "hardware"), itertools.product(QUALITIES, MACHINES))
def test_every_combination(quality, hardware):
    settings = load_preset(f"{quality}+{hardware}")
    assert settings == load_preset(f"{hardware}+{quality}")
    assert f"{quality}+{hardware}" in preset_names()
    if hardware == "cpu-nano":
        assert settings == load_preset("nano")
        return
    assert settings.model == "infinitetalk-14b-single" and settings.device == "cuda" and settings.dtype == "bfloat16"
    expected = {
        "final": (40, 5.0, 4.0),
        "fusionx-8": (8, 1.0, 2.0),
        "lightx2v-4": (4, 1.0, 2.0),
        "draft": (4, 1.0, 1.0),
    }[quality]
    assert (settings.steps, settings.guidance_scale, settings.audio_guidance_scale) == expected
    assert bool(settings.loras) == (quality != "final")


@pytest.mark.parametrize(("size", "shift"), [(None, 7.0), ("480p", 7.0), ("720p", 11.0)])
def test_shift_follows_the_size(size, shift):
    assert load_preset("final+48gb", size).shift == shift
    request = GenerationRequest("a.png", (Speaker("a.wav"),), preset="final+48gb", size=size)
    assert request.resolve().shift == shift and request.resolve().size == (size or "480p")
    own = GenerationRequest("a.png", (Speaker("a.wav"),), preset="final+48gb", size=size, shift=3)
    assert own.resolve().shift == 3, "who asks for a shift gets it"
    assert load_preset("fusionx-8+48gb", size).shift == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [("final+", "join one of final"), ("final+draft", "join one of"), ("final+48gb+draft", "join one of"),
     ("finest+48gb", "'finest\\+48gb'"), ("final", "There is no preset 'final'"), ("48gb", "join a quality")],
)  # fmt: skip
def test_unknown_combinations_say_what_there_is(name, words):
    with pytest.raises(PresetError, match=words):
        load_preset(name)


def test_a_size_without_a_shift_is_refused():
    with pytest.raises(PresetError, match="shift has no value for size '1080p'"):
        load_preset("final+48gb", "1080p")


def test_this_machine_can_be_described():
    here = this_machine()
    assert 0 < here.ram_free_mb <= here.ram_mb and here.cores >= 1
    assert "of memory" in here.describe()


@pytest.mark.parametrize("given", ["style.safetensors", [{"scale": 1}], [{"file": ""}], [{"file": "a", "scale": 0}],
                                   [{"file": "a", "scale": 11}], [3]])  # fmt: skip
def test_malformed_loras_are_refused(given):
    with pytest.raises(InputError):
        Lora.all_of(given, "loras")


def test_loras_make_the_round_trip():
    request = GenerationRequest("a.png", (Speaker("a.wav"),), loras=(Lora("a.safetensors", 0.7),))
    assert GenerationRequest.from_dict(request.to_dict()) == request
    assert request.resolve().loras == (Lora("a.safetensors", 0.7),)
