"""Branches and their combination."""

from __future__ import annotations

import pytest
import torch

from infinitetalk.sampling.guidance import AdaptiveProjectedGuidance, branches_for, combine, make_guidance


def velocities(*branches: str, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {branch: torch.randn(1, 16, 3, 2, 2, generator=generator) for branch in branches}


ALL = ("cond", "drop_text", "uncond", "drop_audio")


@pytest.mark.parametrize(
    ("text", "audio", "branches"),
    [
        (5.0, 4.0, ("cond", "drop_text", "uncond")),
        (1.0, 4.0, ("cond", "drop_audio")),
        (5.0, 1.0, ("cond", "drop_text")),
        (1.0, 1.0, ("cond",)),
    ],
)
def test_only_branches_with_weight_are_asked_for(text, audio, branches):
    assert branches_for(text, audio) == branches
    given = velocities(*branches)
    combine(given, text, audio)
    AdaptiveProjectedGuidance(text, audio)(given)


def test_left_out_branches_would_not_have_mattered():
    given = velocities(*ALL)
    full = given["uncond"] + 5 * (given["cond"] - given["drop_text"]) + 1 * (given["drop_text"] - given["uncond"])
    torch.testing.assert_close(combine(given, 5.0, 1.0), full)
    torch.testing.assert_close(combine(given, 1.0, 1.0), given["cond"])


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("text", [1.0, 5.0])
def test_equal_branches_are_left_alone(adaptive, text):
    one = velocities("cond")["cond"]
    guided = make_guidance(text, 4.0, adaptive=adaptive)(dict.fromkeys(ALL, one))
    torch.testing.assert_close(guided, one)


def test_adaptive_change_is_orthogonal_and_bounded():
    given = {branch: 30 * value for branch, value in velocities(*ALL).items()}
    guided = AdaptiveProjectedGuidance(1.0, 3.0, momentum=0.0, norm_threshold=7.0)(given)
    change = (guided - given["cond"]).double()
    assert (change * given["cond"]).sum().abs() < 1e-3 * change.norm() * given["cond"].norm()
    assert 0 < change.norm() <= 2 * 7.0 + 1e-4


def test_adaptive_items_of_a_batch_are_independent():
    one, two = velocities("cond", "drop_audio", seed=1), velocities("cond", "drop_audio", seed=2)
    both = {branch: torch.cat([one[branch], two[branch]]) for branch in one}
    guided = AdaptiveProjectedGuidance(1.0, 3.0, norm_threshold=5)(both)
    torch.testing.assert_close(guided[1:], AdaptiveProjectedGuidance(1.0, 3.0, norm_threshold=5)(two))


def test_momentum_belongs_to_one_chunk():
    given = velocities(*ALL)
    used = make_guidance(5.0, 4.0, adaptive=True)
    first, second = used(given), used(given)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(make_guidance(5.0, 4.0, adaptive=True)(given), first)
