"""Control residuals: what is added where, and that nothing added changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from infinitetalk.models.control import Added, Control, Evaluation, PoseEmbedding
from infinitetalk.models.transformer import InfiniteTalkTransformer
from infinitetalk.models.uni3c import Uni3CControl
from infinitetalk.runtime.fit import visit

DIM, LAYERS, FRAMES = 48, 3, 3


@pytest.fixture(scope="module")
def network() -> InfiniteTalkTransformer:
    torch.manual_seed(0)
    return InfiniteTalkTransformer(
        text_len=2, text_dim=8, dim=DIM, ffn_dim=64, freq_dim=16, num_heads=2, num_layers=LAYERS, audio_blocks=2,
        audio_channels=6, intermediate_dim=8, output_dim=8, context_tokens=2, image_dim=10,
    ).eval().requires_grad_(False)  # fmt: skip


@pytest.fixture(scope="module")
def given(network):
    torch.manual_seed(1)
    conditions = {
        branch: network.encode_condition(
            text=torch.randn(1, 1, 8), image=torch.randn(1, 3, 10), audio=torch.randn(1, 9, 5, 2, 6),
            reference=torch.randn(1, 20, FRAMES, 4, 4),
        )
        for branch in ("cond", "drop_audio")
    }  # fmt: skip
    return torch.randn(1, 16, FRAMES, 4, 4), torch.tensor([700.0]), conditions


def test_nothing_added_changes_nothing(network, given) -> None:
    latents, time, conditions = given
    plain = network(latents, time, conditions)
    zeros = [torch.zeros(1, 4 * FRAMES, DIM)] * LAYERS
    residuals = [torch.randn(1, 4 * FRAMES, DIM) for _ in range(LAYERS)]
    for control in (Control(), Control(zeros[0], (Added(zeros),)), Control(added=(Added(residuals, strength=0.0),))):
        steered = network(latents, time, conditions | {"cond": replace(conditions["cond"], control=control)})
        assert all(torch.equal(plain[branch], steered[branch]) for branch in conditions)


def test_each_branch_has_its_own_steering(network, given) -> None:
    latents, time, conditions = given
    control = Control(torch.randn(1, 4 * FRAMES, DIM), (Added([torch.randn(1, 4 * FRAMES, DIM)]),))
    plain = network(latents, time, conditions)
    own = replace(conditions["drop_audio"], control=control)
    steered = network(latents, time, conditions | {"drop_audio": own})
    assert torch.equal(plain["cond"], steered["cond"])
    alone = network(latents, time, own)
    torch.testing.assert_close(steered["drop_audio"], alone, atol=1e-5, rtol=1e-5)
    assert (alone - plain["drop_audio"]).abs().mean() > 0.01


def test_frames_that_nobody_reads_may_be_left_out_of_a_steered_evaluation(network, given) -> None:
    """The last block sees the last frames only; its residual is cut with them."""
    latents, time, conditions = given
    control = Control(added=(Added([torch.randn(1, 4 * FRAMES, DIM) for _ in range(LAYERS)], 0.7),))
    steered = replace(conditions["cond"], control=control)
    whole, part = network(latents, time, steered), network(latents, time, steered, skip_frames=1)
    torch.testing.assert_close(part[:, :, 1:], whole[:, :, 1:], atol=1e-5, rtol=1e-5)


def test_residuals_are_made_once_for_branches_that_share_them_and_only_at_their_times(network, given) -> None:
    latents, time, conditions = given
    evaluations, pattern = [], torch.randn(1, 4 * FRAMES, DIM)

    def made(seen: Evaluation) -> list[torch.Tensor]:
        evaluations.append(seen)
        return [0.5 * pattern] * LAYERS

    control = Control(added=(Added(made, between=(600.0, 800.0)),))
    steered = {name: replace(condition, control=control) for name, condition in conditions.items()}
    plain, now = network(latents, time, conditions), network(latents, time, steered)
    assert len(evaluations) == 1 and all((plain[name] - now[name]).abs().mean() > 0.01 for name in plain)
    later = torch.tensor([599.0])
    plain, now = network(latents, later, conditions), network(latents, later, steered)
    assert len(evaluations) == 1 and all(torch.equal(plain[name], now[name]) for name in plain)


@pytest.mark.parametrize("kind", ["first-block", "teacache"])
def test_a_step_that_a_cache_answers_makes_no_residuals(network, given, kind) -> None:
    """What the cache remembers holds the residuals already; adding them again would double them."""
    from infinitetalk.sampling.block_caches import FirstBlockCache
    from infinitetalk.sampling.teacache import TeaCache, TeaCacheConfig

    latents, time, conditions = given
    evaluations, blocks, pattern = [], [], torch.randn(1, 4 * FRAMES, DIM)

    def made(seen: Evaluation) -> list[torch.Tensor]:
        evaluations.append(seen)

        class Noted(list):
            def __getitem__(self, index):
                blocks.append(index)
                return super().__getitem__(index)

        return Noted([0.5 * pattern] * LAYERS)

    steered = {
        name: replace(condition, control=Control(added=(Added(made),))) for name, condition in conditions.items()
    }
    cache = {
        "first-block": FirstBlockCache(100.0),
        "teacache": TeaCache(TeaCacheConfig(100.0, (1.0, 0.0), first_steps=1), 4),
    }[kind]
    with cache.attached(network) as evaluate:
        outputs = [evaluate(latents, time, steered, skip_frames=0) for _ in range(4)]
    assert cache.skipped == 6
    per_evaluation = [blocks.count(index) for index in range(LAYERS)]
    walked = cache.evaluations - cache.skipped
    assert per_evaluation[1:] == [walked] * (LAYERS - 1), (per_evaluation, walked)
    for branch in conditions:
        torch.testing.assert_close(outputs[3][branch], outputs[0][branch], atol=1e-4, rtol=1e-4)


def test_sizes_of_both_networks_follow_the_pictures() -> None:
    poses = PoseEmbedding(dim=24, hidden=8).eval()
    film = torch.randint(0, 256, (1, 3, 9, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        assert poses.tokens(film).shape == (1, 3 * 4 * 6, 24)
        assert poses.reference(film[:, :, 0]).shape == (1, 20, 1, 8, 12)
        control = Uni3CControl(36, 16, 24, 32, 2, 2, 20, 20, 16, 7).eval()
        tokens = control.ray_tokens(torch.zeros(1, 1, 9, 64, 96), torch.randn(1, 6, 9, 64, 96))
        assert tokens.shape == (1, 3 * 4 * 6, 16)
        latents, mask = torch.randn(2, 1, 16, 3, 8, 12)[0], torch.ones(1, 4, 3, 8, 12)
        residuals = control(latents, mask, latents, tokens, torch.randn(1, 20))
        assert [residual.shape for residual in residuals] == [(1, 72, 20)] * 2
        with pytest.raises(AssertionError, match="in order"):
            residuals[0]


def test_control_networks_that_visit_a_device_compute_the_same() -> None:
    torch.manual_seed(2)
    camera, poses = Uni3CControl(36, 16, 24, 32, 2, 2, 20, 20, 16, 7).eval(), PoseEmbedding(dim=24, hidden=8).eval()
    film = torch.randint(0, 256, (1, 3, 9, 64, 96), dtype=torch.uint8)
    given = torch.randn(1, 16, 3, 8, 12), torch.ones(1, 4, 3, 8, 12), torch.randn(1, 16, 3, 8, 12)
    rays, time = torch.randn(1, 6, 9, 64, 96), torch.randn(1, 20)

    @torch.inference_mode()
    def computed() -> list[torch.Tensor]:
        tokens = camera.ray_tokens(torch.zeros(1, 1, 9, 64, 96), rays)
        return [*camera(*given, tokens, time), poses.tokens(film), poses.reference(film[:, :, 0])]

    at_home = computed()
    visit(camera, torch.device("cpu"))
    visit(poses, torch.device("cpu"))
    for one, other in zip(at_home, computed(), strict=True):
        assert torch.equal(one, other)
