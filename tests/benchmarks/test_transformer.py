"""The comparison with recomputation measures two ways to the same result."""

from __future__ import annotations

from dataclasses import replace

import torch

from infinitetalk.benchmarks.transformer import NANO, compare_with_plain


def test_both_ways_agree_and_are_timed():
    torch.manual_seed(0)
    tiny = {**NANO.config, "dim": 24, "ffn_dim": 32, "num_heads": 2, "num_layers": 2, "image_dim": 8}
    workload = replace(NANO, config=tiny, latent_shape=(4, 4, 4), image_tokens=5, steps=2)
    result = compare_with_plain(workload, repeats=1)
    assert result.largest_difference < 1e-5
    assert result.branches == 2 and result.steps == 2
    assert result.arithmetic_ratio < 0.95
    assert result.ours_seconds > 0 and result.ratio == result.ours_seconds / result.plain_seconds
    assert set(result.as_dict()) >= {"ratio", "ours_seconds", "plain_seconds"}
