"""TeaCache: which evaluations are computed, every velocity, and the latents it ends with.

The reference finds its memories by counting evaluations modulo three. With three evaluations a step that names the
branches rightly, and ours, which names them, must agree in everything. With two it mixes them up and counts on into the
next chunk. Such a case is a record of a defect: it is reproduced by giving our cache the names that counting arrives
at, and then what ours does is held against it.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from infinitetalk.sampling.denoise import denoise
from infinitetalk.sampling.guidance import branches_for, make_guidance
from infinitetalk.sampling.schedule import euler_step, timesteps
from infinitetalk.sampling.teacache import TeaCache, TeaCacheConfig
from tests.parity.comparison import assert_close, bound_from_text, require
from tests.parity.handlers.infinitetalk_dit import build_transformer, window
from tests.parity.seeded_weights import read_case

SLOTS = 3


@torch.inference_mode()
def run(folder: Path) -> None:
    case, weights, tensors = read_case(folder)
    options = case["run"]
    model = build_transformer(case["config"], next(iter(weights.values())), source=str(folder / "case.json"))
    start = int((re.search(r"audio_start (\d+)", str(case.get("derived_inputs", ""))) or [0, 0])[1])
    bound = bound_from_text(case["tolerance"]["float32"], default=5e-4)
    # Without weight on the text there are two evaluations, whatever scale the description carries along.
    text_scale = options["text_scale"] if options["evaluations_per_step"] == 3 else 1.0
    branches = branches_for(text_scale, options["audio_scale"])
    assert len(branches) == options["evaluations_per_step"], branches

    num_frames = 1 + (options["latent"][0] - 1) * model.config.vae_scale
    heard = window(require(tensors, "audio_full.0"), start, num_frames, model.config.audio_window)
    audio = torch.from_numpy(heard)[None]
    conditions = {}
    for branch in branches:
        text = require(tensors, "context" if branch in ("cond", "drop_audio") else "context_null")
        conditions[branch] = model.encode_condition(
            text=torch.from_numpy(text)[None],
            image=torch.from_numpy(require(tensors, "clip_fea")),
            audio=audio * (branch in ("cond", "drop_text")),
            reference=torch.from_numpy(require(tensors, "y")).reshape(1, -1, *options["latent"]),
        )

    size = options["model_scale"].rsplit("-", 1)[-1] + "p"
    config = TeaCacheConfig.published(size, threshold=options["threshold"], retain=options["use_ret_steps"])
    times = timesteps(options["steps"], options["shift"])
    np.testing.assert_allclose(times.numpy(), case["recorded"]["timesteps"], rtol=1e-5, atol=1e-3)
    noise = torch.from_numpy(require(tensors, "x"))[None]

    counting = _Counting(model, config, options["steps"])
    for chunk in range(options.get("chunks", 1)):
        guidance, latents = make_guidance(text_scale, options["audio_scale"]), noise.clone()
        for step, (now, following) in enumerate(zip(times[:-1].tolist(), times[1:].tolist(), strict=True)):
            velocities = {b: counting(latents, torch.tensor([now]), b, conditions[b]) for b in branches}
            for branch, velocity in velocities.items():
                name = f"velocity.{chunk}.{step:02d}.{branch}"
                assert_close(name, velocity[0], require(tensors, name), relative_to_absmax=bound)
            latents = euler_step(latents, guidance(velocities), now, following)
        name = f"final_latent.{chunk}"
        assert_close(name, latents[0], require(tensors, name), relative_to_absmax=bound)
    recorded = case["recorded"]["evaluations"]
    assert counting.computed == [entry["computed"] for entry in recorded], "other evaluations are computed"
    np.testing.assert_allclose(counting.distances, [e["accumulated_after"] for e in recorded], atol=2e-3)

    # As the product runs it: all branches of a step side by side, a chunk beginning with nothing remembered.
    results, cache = [], TeaCache(config, options["steps"])
    for _ in range(options.get("chunks", 1)):
        with cache.attached(model) as network:
            results.append(
                denoise(
                    network,
                    conditions,
                    noise,
                    noise[:, :, :0],
                    timesteps=times,
                    guidance=make_guidance(text_scale, options["audio_scale"]),
                )
            )
        decisions = [(d.step, d.branch, d.computed) for d in cache.decisions]
        by_step = {step: {computed for s, _, computed in decisions if s == step} for step, *_ in decisions}
        assert all(len(agreed) == 1 for agreed in by_step.values()), "the branches of a step disagree"
        assert all(by_step[step] == {True} for step in range(min(config.first_steps, options["steps"])))
    if len(branches) == SLOTS:
        assert [d.computed for d in cache.decisions] == counting.computed
        assert_close("side by side", results[0][0], tensors["final_latent.0"], relative_to_absmax=bound)
        return
    # How ours differs: both chunks start alike, so they end alike; the recorded ones do not.
    for result in results:
        torch.testing.assert_close(result, results[0])
    exact = denoise(
        model,
        conditions,
        noise,
        noise[:, :, :0],
        timesteps=times,
        guidance=make_guidance(text_scale, options["audio_scale"]),
    )
    scale = float(exact.abs().max())
    ours = float((results[0] - exact).abs().max()) / scale
    for chunk in range(options.get("chunks", 1)):
        theirs = float((torch.from_numpy(tensors[f"final_latent.{chunk}"]) - exact[0]).abs().max()) / scale
        print(f"chunk {chunk}: from the exact result ours is {ours:.3g}, the recorded one {theirs:.3g} of its maximum")


class _Counting:
    """The published way to tell evaluations apart, put on our cache: names by counting, a new start every 3 * steps."""

    def __init__(self, model: torch.nn.Module, config: TeaCacheConfig, steps: int) -> None:
        self.model, self.config, self.steps = model, config, steps
        self.counter = 0
        self.computed: list[bool] = []
        self.distances: list[float] = []

    def __call__(self, latents: torch.Tensor, timestep: torch.Tensor, branch: str, condition) -> torch.Tensor:
        if self.counter == 0:
            self._context = (cache := TeaCache(self.config, self.steps)).attached(self.model)
            self._cache, self._network = cache, self._context.__enter__()
        slot = f"memory {self.counter % SLOTS}"
        output = self._network(latents, timestep, {slot: condition}, skip_frames=0)[slot]
        self.computed.append(self._cache.decisions[-1].computed)
        self.distances.append(self._cache.decisions[-1].distance)
        self.counter = (self.counter + 1) % (SLOTS * self.steps)
        return output
