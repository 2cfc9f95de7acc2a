"""Body of each process of test_team.py: prints how far shared evaluations lie from the same ones alone.

Arguments: `heads,rows,cache` of each network to try.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import torch

from infinitetalk.config.presets import load_preset
from infinitetalk.errors import InputError
from infinitetalk.models.control import Added, Control
from infinitetalk.models.transformer import InfiniteTalkTransformer
from infinitetalk.runtime.process_group import process_group, share_tokens
from infinitetalk.sampling.teacache import TeaCache, TeaCacheConfig


def compare(num_heads: int, rows: int, cache: str) -> None:
    members = process_group()
    torch.manual_seed(0)
    network = InfiniteTalkTransformer(
        text_len=2, text_dim=8, dim=48, ffn_dim=64, freq_dim=16, num_heads=num_heads, num_layers=3, audio_blocks=2,
        audio_channels=6, intermediate_dim=8, output_dim=8, context_tokens=2, image_dim=10,
    ).eval().requires_grad_(False)  # fmt: skip
    text, image = torch.randn(1, 1, 8), torch.randn(1, 3, 10)
    reference, sound = torch.randn(1, 20, 3, rows, 4), torch.randn(1, 9, 5, 2, 6)
    conditions: dict = {}
    for branch, heard in (("cond", sound), ("drop_audio", 0 * sound)):
        conditions[branch] = network.encode_condition(
            text=text, image=image, audio=heard, reference=reference, reuse=tuple(conditions.values())
        )
    latents = torch.randn(1, 16, 3, rows, 4)
    residuals = [torch.randn(1, 3 * rows, 48) for _ in range(2)]
    steered = {name: replace(each, control=Control(added=(Added(residuals),))) for name, each in conditions.items()}

    def evaluate() -> list[torch.Tensor]:
        cache = TeaCache(TeaCacheConfig(0.5, (0.1,), first_steps=1), 2)
        with torch.inference_mode(), cache.attached(network) as cached:
            times = [torch.tensor([900.0]), torch.tensor([890.0])]
            plain = [network(latents, time, conditions, skip_frames=1) for time in times]
            pushed = [network(latents, time, steered, skip_frames=1) for time in times]
            assert float((pushed[0]["cond"] - plain[0]["cond"]).abs().max()) > 1e-3
            return [
                output
                for each in [*plain, *pushed, *(cached(latents, t, conditions, skip_frames=0) for t in times)]
                for output in each.values()
            ]

    alone = evaluate()
    try:
        share_tokens(network, replace(load_preset("nano"), cache=cache), torch.device("cpu"))
        together = evaluate()
    except InputError as error:
        say(f"process {members.rank} refuses: {error}")
        return
    assert members.any(members.leads) and not members.any(False)
    assert members.broadcast("said by the leader" if members.leads else "by another") == "said by the leader"
    difference = max(float((a - b).abs().max()) for a, b in zip(alone, together, strict=True))
    say(f"process {members.rank} differs by {difference:.3g}")


def say(line: str) -> None:
    """In one write, so that the other process cannot come between the line and its end."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        heads, rows, cache = argument.split(",")
        compare(int(heads), int(rows), cache)
