"""LoRA files: what is merged, what the official program passes over, and the network's output before and after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from infinitetalk.checkpoints.keys.transformer import to_official
from infinitetalk.checkpoints.lora import attach, match_adapter, merge_into, shapes_of
from infinitetalk.models.transformer import InfiniteTalkTransformer
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.handlers.infinitetalk_dit import build_transformer, window
from tests.parity.seeded_weights import read_case


@torch.inference_mode()
def run(folder: Path) -> None:
    case, weights, tensors = read_case(folder)
    official = next(iter(weights.values()))
    source = str(folder / "case.json")
    written = case["tolerance"]["float32"]
    merged_bound = bound_from_text(written.partition(";")[0], default=1e-6)
    output_bound = bound_from_text(written.partition(";")[2], default=1e-4)
    file = {
        name.removeprefix("lora/"): torch.from_numpy(value)
        for name, value in tensors.items() if name.startswith("lora/")
    }  # fmt: skip

    model = build_transformer(case["config"], official, source=source)
    assert_close("out.base", evaluate(model, case, tensors), require(tensors, "out.base"),
                 relative_to_absmax=output_bound)  # fmt: skip
    adapter = match_adapter(file, shapes_of(model), source=source, rules="official")
    recorded = case.get("recorded", {})
    if "ignored_lora_keys" in recorded:
        assert set(adapter.ignored) == set(recorded["ignored_lora_keys"])
    if "changed_parameters" in recorded:
        assert {to_official(name) for name in adapter.changes} == set(recorded["changed_parameters"])

    scale = case["run"]["scale"]
    merge_into(model, [(adapter, scale)])
    merged = {to_official(name): value for name, value in model.named_parameters()}
    for name, expected in tensors.items():
        if name.startswith("merged/"):
            key = name.removeprefix("merged/")
            assert_close(name, merged[key], expected, relative_to_absmax=merged_bound)
    assert_close("out.merged", evaluate(model, case, tensors), require(tensors, "out.merged"),
                 relative_to_absmax=output_bound)  # fmt: skip

    if any(change.diff is not None and change.diff.ndim == 2 for change in adapter.changes.values()):
        return  # full differences of linear layers can only be merged
    beside = build_transformer(case["config"], official, source=source)
    live = attach(beside, [(adapter, scale)], torch.float32, branch_all=True)
    assert len(live) > 0
    assert_close("out.merged, kept beside", evaluate(beside, case, tensors), require(tensors, "out.merged"),
                 relative_to_absmax=output_bound)  # fmt: skip


def evaluate(model: InfiniteTalkTransformer, case: dict, tensors: dict[str, np.ndarray]) -> torch.Tensor:
    """One evaluation at the case's time, [16, T, h, w]."""
    run = case["run"]
    num_frames = 1 + (run["latent"][0] - 1) * model.config.vae_scale
    audio = window(require(tensors, "audio_full.0"), 0, num_frames, model.config.audio_window)
    condition = model.encode_condition(
        text=torch.from_numpy(require(tensors, "context"))[None],
        image=torch.from_numpy(require(tensors, "clip_fea")),
        audio=torch.from_numpy(audio)[None],
        reference=torch.from_numpy(require(tensors, "y")),
    )
    return model(torch.from_numpy(require(tensors, "x"))[None], torch.tensor([run["t"]]), condition)[0]
