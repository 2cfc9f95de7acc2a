"""Step caches on a tiny network: exact where they must be, cheaper where they may, and each branch with its memory."""

from __future__ import annotations

import pytest
import torch

from infinitetalk.errors import InputError
from infinitetalk.models.transformer import InfiniteTalkTransformer
from infinitetalk.sampling.block_caches import FirstBlockCache, MagCache
from infinitetalk.sampling.cache import make_step_cache
from infinitetalk.sampling.denoise import denoise
from infinitetalk.sampling.guidance import branches_for, make_guidance
from infinitetalk.sampling.schedule import timesteps
from infinitetalk.sampling.teacache import TeaCache, TeaCacheConfig

STEPS = 12
KINDS = ("teacache", "first-block", "mag")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = InfiniteTalkTransformer(
        text_len=2, text_dim=8, dim=48, ffn_dim=64, freq_dim=32, num_heads=2, num_layers=3, audio_blocks=2,
        audio_channels=6, intermediate_dim=8, output_dim=8, context_tokens=2, image_dim=10,
    ).eval()  # fmt: skip
    with torch.no_grad():  # as in the recorded cases: random weights that hear the time as a trained network does
        network.condition_embedder.time_embedder.linear_1.weight.mul_(0.03)
    return network


def chunk(model, cache, *, text=5.0, audio=4.0, steps=STEPS, seed=0, context=1):
    torch.manual_seed(seed)
    words, other = torch.randn(1, 1, 8), torch.randn(1, 1, 8)
    inputs = {"image": torch.randn(1, 3, 10), "reference": torch.randn(1, 20, 4, 4, 4)}
    sound = torch.randn(1, 13, 5, 2, 6)
    conditions = {
        branch: model.encode_condition(
            **inputs, text=words if branch in ("cond", "drop_audio") else other,
            audio=sound * (branch in ("cond", "drop_text")),
        )
        for branch in branches_for(text, audio)
    }  # fmt: skip
    noise, known = torch.randn(1, 16, 4, 4, 4), torch.randn(1, 16, context, 4, 4)
    with torch.inference_mode(), cache.attached(model) as network:
        return denoise(
            network, conditions, noise, known, timesteps=timesteps(steps, 7.0), guidance=make_guidance(text, audio)
        )


@pytest.mark.parametrize("text", [5.0, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_zero_threshold_changes_nothing(model, kind, text):
    exact = chunk(model, make_step_cache("none", steps=STEPS), text=text)
    cache = make_step_cache(kind, steps=STEPS, threshold=0.0)
    assert torch.equal(chunk(model, cache, text=text), exact) and cache.skipped == 0
    # The caches themselves, too, where the shortcut for zero is not taken.
    barely = {
        "teacache": TeaCache(TeaCacheConfig((-1e9), (1.0, 0.0)), STEPS), "first-block": FirstBlockCache(0.0),
        "mag": MagCache(0.0, STEPS, ratios=[1.01] * STEPS),
    }[kind]  # fmt: skip
    torch.testing.assert_close(chunk(model, barely, text=text), exact, atol=1e-4, rtol=1e-4)
    assert barely.skipped == 0 and barely.evaluations == STEPS * (3 if text > 1 else 2)


@pytest.mark.parametrize("text", [5.0, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_a_threshold_skips_and_says_how_much(model, kind, text):
    branches = 3 if text > 1 else 2
    exact = chunk(model, make_step_cache("none", steps=STEPS), text=text)
    calls = []
    hook = model.blocks[-1].ffn.register_forward_hook(lambda *_: calls.append(1))
    cache = make_step_cache(kind, steps=STEPS, threshold=0.3)
    result = chunk(model, cache, text=text)
    if kind == "mag":  # its first chunk is measured, not shortened
        assert cache.skipped == 0 and len(cache.ratios) == STEPS
        torch.testing.assert_close(result, exact, atol=1e-4, rtol=1e-4)
        calls.clear()
        first, cache.evaluations = cache.evaluations, 0
        assert first == STEPS * branches
        result = chunk(model, cache, text=text)
    hook.remove()
    assert cache.evaluations == STEPS * branches
    assert 0 < cache.skipped < STEPS * branches
    assert len(calls) == cache.evaluations - cache.skipped, "what is reported is what was spared"
    error = float((result - exact).norm() / exact.norm())
    assert 0 < error < 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_stays_behind_and_chunks_do_not_leak(model, kind):
    before = chunk(model, make_step_cache("none", steps=STEPS))
    cache = make_step_cache(kind, steps=STEPS, threshold=0.3)
    chunk(model, cache, seed=1)  # mag measures here
    one = chunk(model, cache)
    chunk(model, cache, seed=2)
    assert torch.equal(chunk(model, cache), one)
    assert torch.equal(chunk(model, make_step_cache("none", steps=STEPS)), before)


def test_a_cancelled_chunk_leaves_the_network_clean(model):
    for kind in KINDS:
        cache = make_step_cache(kind, steps=STEPS)
        with pytest.raises(KeyboardInterrupt), cache.attached(model):
            raise KeyboardInterrupt
        assert not model.is_cache_enabled
        assert make_step_cache(kind, steps=STEPS).evaluations == 0


def test_branches_do_not_share_a_memory(model):
    """One branch alone ends as it does among three: TeaCache's decisions and residuals are its own."""
    alone, among = (TeaCache(TeaCacheConfig.published("480p", threshold=0.3), STEPS) for _ in range(2))
    torch.manual_seed(3)
    noise = torch.randn(1, 16, 4, 4, 4)
    conditions = {}
    for index, branch in enumerate(("cond", "drop_text", "uncond")):
        torch.manual_seed(index)
        conditions[branch] = model.encode_condition(
            text=torch.randn(1, 1, 8), image=torch.randn(1, 3, 10), audio=torch.randn(1, 13, 5, 2, 6),
            reference=torch.randn(1, 20, 4, 4, 4),
        )  # fmt: skip
    with torch.inference_mode(), alone.attached(model) as one, among.attached(model) as all_three:
        for now in timesteps(STEPS, 7.0)[:-1]:
            single = one(noise, now[None], {"uncond": conditions["uncond"]}, skip_frames=0)["uncond"]
            together = all_three(noise, now[None], conditions, skip_frames=0)["uncond"]
            torch.testing.assert_close(single, together)
    assert among.skipped == 3 * alone.skipped > 0


@pytest.mark.parametrize(("kind", "threshold"), [("teecache", None), ("teacache", -0.1)])
def test_impossible_caches_are_refused(kind, threshold):
    with pytest.raises(InputError, match="cache"):
        make_step_cache(kind, steps=4, threshold=threshold)
