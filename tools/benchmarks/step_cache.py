"""What a step cache saves over a chunk, and what it does to it: `python -m tools.benchmarks.step_cache`.

The network of `bench --spec mid` (random weights that change slowly with the time, as trained ones do: `TIME_RESPONSE`
in `model.py`) denoises one chunk exactly and with the cache at its default threshold. The plain way, which computes
everything anew at every evaluation, is timed over two steps. Seconds are of processor time.
"""

from __future__ import annotations

import argparse
import json
import time

import torch

from infinitetalk.benchmarks.model import MID_CONFIG, MID_SIZE, build
from infinitetalk.benchmarks.transformer import PlainNetwork, Workload, encode, random_inputs
from infinitetalk.config.settings import Settings
from infinitetalk.runtime.memory import token_grid
from infinitetalk.sampling.cache import make_step_cache
from infinitetalk.sampling.denoise import denoise
from infinitetalk.sampling.guidance import make_guidance
from infinitetalk.sampling.schedule import timesteps


def compare(kinds: list[str], size: tuple[int, int] = MID_SIZE, steps: int | None = None) -> dict[str, object]:
    """Seconds of a chunk plainly, exactly and with each cache, evaluations skipped, and the distance between results.

    relative_error: L2 norm of the latents' difference over that of the exact ones. of_plain: seconds over the plain
    way's, whose every step costs the same.
    """
    settings = Settings(
        model="infinitetalk-14b-single", steps=steps or 40, shift=7.0, guidance_scale=5.0, audio_guidance_scale=4.0
    )
    torch.manual_seed(0)
    grid = token_grid(*size)
    workload = Workload(
        "mid", MID_CONFIG, latent_shape=(grid[0], size[0] // 8, size[1] // 8), image_tokens=257, text_tokens=77,
        steps=settings.steps, guidance_scale=settings.guidance_scale,
        audio_guidance_scale=settings.audio_guidance_scale,
    )  # fmt: skip
    found: dict[str, object] = {"steps": settings.steps, "tokens": grid[0] * grid[1] * grid[2]}
    with torch.inference_mode():
        model = build(MID_CONFIG, settings, torch.device("cpu"))
        generator = torch.Generator().manual_seed(0)
        inputs = random_inputs(workload, model, generator)
        noise = torch.randn((1, 16, *workload.latent_shape), generator=generator)
        times = timesteps(settings.steps, settings.shift)
        guidance = make_guidance(settings.guidance_scale, settings.audio_guidance_scale)
        laps = [time.process_time()]
        denoise(
            PlainNetwork(model), inputs, noise, noise[:, :, :3], timesteps=times[:3], guidance=guidance,
            on_step=lambda *_: laps.append(time.process_time()),
        )  # fmt: skip
        plain = settings.steps * min(after - before for before, after in zip(laps[:-1], laps[1:], strict=True))
        found["plain"] = {"seconds": plain}
        print(json.dumps({"plain": found["plain"]}), flush=True)
        exact = None
        for kind in ["none", *kinds]:
            start = time.process_time()
            conditions: dict = {}
            for branch, given in inputs.items():
                conditions[branch] = encode(model, given, tuple(conditions.values()))
            cache = make_step_cache(kind, steps=settings.steps, size=settings.size)
            with cache.attached(model) as network:
                result = denoise(network, conditions, noise, noise[:, :, :3], timesteps=times, guidance=guidance)
            seconds = time.process_time() - start
            exact = result if exact is None else exact
            found[kind] = {
                "seconds": seconds, "of_plain": seconds / plain, "evaluations": cache.evaluations,
                "skipped": cache.skipped, "relative_error": float((result - exact).norm() / exact.norm()),
            }  # fmt: skip
            print(json.dumps({kind: found[kind]}), flush=True)
    return found


def main() -> None:
    """Print one line of JSON per cache."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--caches", nargs="*", default=["teacache"], help="teacache, first-block, mag")
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    compare(arguments.caches, steps=arguments.steps)


if __name__ == "__main__":
    main()
