"""Run by test_memory.py: builds a network, denoises a step and prints what the process's memory rose to.

Wide and short: many megabytes for little arithmetic.
"""

from __future__ import annotations

import json
import sys
import threading

import psutil
import torch

from infinitetalk.benchmarks.transformer import Workload, encode, random_inputs
from infinitetalk.config.settings import Settings
from infinitetalk.models.transformer import InfiniteTalkTransformer
from infinitetalk.runtime.memory import IMPORTS_MB, MIB, Shape, estimate
from infinitetalk.sampling.denoise import denoise
from infinitetalk.sampling.guidance import make_guidance
from infinitetalk.sampling.schedule import timesteps

CONFIG = {
    "text_len": 64, "text_dim": 64, "dim": 512, "ffn_dim": 1024, "freq_dim": 64, "num_heads": 8, "num_layers": 2,
    "audio_blocks": 2, "audio_channels": 32, "intermediate_dim": 64, "output_dim": 64, "context_tokens": 4,
    "image_dim": 64,
}  # fmt: skip
HEIGHT, WIDTH, FRAMES = 256, 512, 17


def main() -> None:
    """Print measured and predicted MiB beyond the imports."""
    guidance_scale = float(sys.argv[1])
    process = psutil.Process()
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], process.memory_info().rss)

    # Kernels and their threads are not the network's.
    torch.nn.functional.scaled_dot_product_attention(*(torch.randn(1, 2, 64, 64) for _ in range(3)))
    torch.nn.functional.linear(torch.randn(64, 64), torch.randn(64, 64)).sigmoid_()
    before = process.memory_info().rss
    watcher = threading.Thread(target=watch)
    watcher.start()
    workload = Workload(
        "memory", CONFIG, latent_shape=(5, HEIGHT // 8, WIDTH // 8), image_tokens=257, text_tokens=8, steps=1,
        guidance_scale=guidance_scale, audio_guidance_scale=4.0,
    )  # fmt: skip
    with torch.inference_mode():
        model = InfiniteTalkTransformer(**CONFIG).eval()
        inputs = random_inputs(workload, model, torch.Generator().manual_seed(0))
        conditions: dict = {}
        for branch, given in inputs.items():
            conditions[branch] = encode(model, given, tuple(conditions.values()))
        noise = torch.randn(1, 16, *workload.latent_shape)
        denoise(
            model, conditions, noise, noise[:, :, :1], timesteps=timesteps(1, 7.0),
            guidance=make_guidance(guidance_scale, 4.0),
        )  # fmt: skip
    done.set()
    watcher.join()
    settings = Settings("memory", 1, 7.0, guidance_scale, 4.0)
    predicted = estimate(
        settings, HEIGHT, WIDTH, shape=Shape.of(CONFIG), encoders=False, vae_width=0, num_frames=FRAMES
    )
    print(json.dumps({"measured_mb": (peak[0] - before) / MIB, "predicted_mb": predicted.ram_mb - IMPORTS_MB,
                      "parts": predicted.parts}))  # fmt: skip


if __name__ == "__main__":
    main()
