"""What camera and pose networks add to the 14B model: `python -m tools.benchmarks.controls`.

Blocks of the published width with random weights, at as many latent frames of 480p as are asked for, one by one; a step
is then their sum. What is prepared for a chunk is made at its real size from the bundled portrait.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from infinitetalk.media.framing import resize_and_crop
from infinitetalk.media.images import load_image
from infinitetalk.models.control import Evaluation, PoseEmbedding
from infinitetalk.models.rotary import RotaryCache, latent_table
from infinitetalk.models.transformer import InfiniteTalkTransformer
from infinitetalk.models.uni3c import Uni3CControl
from infinitetalk.models.vace import VaceBranch
from infinitetalk.paths import assets_dir
from infinitetalk.runtime.memory import Shape, token_grid
from infinitetalk.vision.camera_path import intrinsics, preset_path
from infinitetalk.vision.control_images import camera_condition
from infinitetalk.vision.depth import scene_depth
from infinitetalk.vision.rays import ray_embedding

HEIGHT, WIDTH, FRAMES = 480, 832, 81


def _seconds(run: Callable[[], Any], times: int = 1) -> float:
    """Of the fastest of `times` runs after one that does not count."""
    run()
    taken = []
    for _ in range(times):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        begun = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    return min(taken)


@torch.inference_mode()
def steps(latent_frames: int, device: str, dtype: torch.dtype) -> dict[str, float]:
    """Seconds of a block of each network, and what Uni3C and VACE add to a step, as shares of it."""
    grid = (latent_frames, *token_grid(HEIGHT, WIDTH)[1:])
    tokens = grid[0] * grid[1] * grid[2]
    shape = Shape()
    network = InfiniteTalkTransformer(num_layers=1).eval().to(device, dtype)
    condition = network.encode_condition(
        text=torch.randn(1, 512, shape.text_dim, device=device, dtype=dtype),
        image=torch.randn(1, 257, shape.image_dim, device=device, dtype=dtype),
        audio=torch.randn(1, 1 + 4 * (grid[0] - 1), 5, 12, 768, device=device, dtype=dtype),
        reference=torch.randn(1, 20, grid[0], HEIGHT // 8, WIDTH // 8, device=device, dtype=dtype),
    )
    hidden = torch.randn(1, tokens, shape.dim, device=device, dtype=dtype)
    time_embedding = torch.randn(1, 6, shape.dim, device=device)
    rotary = RotaryCache(shape.dim // shape.num_heads).table(grid, hidden.device)

    def transformer() -> torch.Tensor:
        return network.blocks[0](hidden, [condition.blocks[0]], time_embedding, rotary, [None], grid[0], [1])

    block = _seconds(transformer)
    control = Uni3CControl(num_layers=1).eval().to(device, dtype)
    narrow = torch.randn(1, tokens, control.config.dim, device=device, dtype=dtype)
    embedding = torch.randn(1, shape.dim, device=device, dtype=dtype)
    table = latent_table(grid, control.config.dim // control.config.num_heads, hidden.device)

    def beside() -> torch.Tensor:
        walked = control.controlnet["controlnet_blocks"][0](narrow, embedding, table)
        return hidden + control.controlnet["proj_out"][0](walked)

    own = _seconds(beside)
    branch = VaceBranch(layers=(0,)).eval().to(device, dtype)
    text = torch.randn(1, 512, shape.dim, device=device, dtype=dtype)
    seen = Evaluation(hidden, embedding, time_embedding, hidden, text, grid)

    def side_branch() -> torch.Tensor:
        return hidden + branch(hidden, seen)[0]

    side = _seconds(side_branch)
    return {
        "tokens": tokens, "transformer_block": round(block, 4), "uni3c_block": round(own, 4),
        "vace_block": round(side, 4),
        "uni3c_adds_to_a_step_of_one_evaluation": round(20 * own / (40 * block), 4),
        "uni3c_adds_to_a_step_of_three": round(20 * own / (120 * block), 4),
        "vace_adds_to_a_step_of_one_evaluation": round(8 * side / (40 * block), 4),
        "vace_adds_to_a_step_of_three_with_two_texts": round(16 * side / (120 * block), 4),
    }  # fmt: skip


@torch.inference_mode()
def chunk(device: str, dtype: torch.dtype) -> dict[str, float]:
    """Seconds of what is made once for each chunk (depth: for each reference)."""
    picture = resize_and_crop(load_image(assets_dir() / "portrait.png"), (HEIGHT, WIDTH))
    w2c = preset_path("push in", 1.0, 3.24).w2c(FRAMES)
    depth = scene_depth(picture).depth
    found = {
        "depth": _seconds(lambda: scene_depth(picture)),
        "rendering": _seconds(lambda: camera_condition(picture, depth, w2c)),
        "rays": _seconds(lambda: ray_embedding(intrinsics(HEIGHT, WIDTH), w2c, HEIGHT, WIDTH)),
    }
    control = Uni3CControl(num_layers=1).eval().to(device, dtype)
    holes = torch.zeros(1, 1, FRAMES, HEIGHT, WIDTH, device=device, dtype=dtype)
    rays = torch.zeros(1, 6, FRAMES, HEIGHT, WIDTH, device=device, dtype=dtype)
    found["ray_tokens"] = _seconds(lambda: control.ray_tokens(holes, rays))
    pose = PoseEmbedding(hidden=16).eval().to(device, dtype)
    skeletons = torch.from_numpy(np.zeros((1, 3, FRAMES, HEIGHT, WIDTH), np.uint8)).to(device)
    found["pose_tokens"] = _seconds(lambda: pose.tokens(skeletons))
    return {name: round(seconds, 3) for name, seconds in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latent-frames", type=int, default=3, help="of 21 (default: 3)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    options = parser.parse_args()
    dtype = getattr(torch, options.dtype)
    found = {"step": steps(options.latent_frames, options.device, dtype), "chunk": chunk(options.device, dtype)}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
