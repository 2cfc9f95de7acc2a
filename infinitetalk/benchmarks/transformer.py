"""What encoding a chunk's constants once saves: our way of denoising against one that recomputes them each time.

All walk the same `denoise` loop with the same weights in one process. The plain way is what a network without a memory
must do: at each step and for each branch it projects text, image, audio and reference anew, computes every block's keys
and values, rebuilds the rotary table, and evaluates one branch after the other from its first layer on. A third way
adds two habits of the published code: rotary tables assembled at each use, and the speaker attention map, computed
for one speaker too, who does not need it (its float64 rotation and slower map are not imitated).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from ..models.condition import Condition, ConditionInputs
from ..models.rotary import latent_table
from ..models.transformer import InfiniteTalkTransformer
from ..sampling.denoise import denoise
from ..sampling.guidance import Branch, branches_for, make_guidance
from ..sampling.schedule import timesteps

NANO_CONFIG = {
    "text_len": 1, "text_dim": 8, "dim": 192, "ffn_dim": 768, "freq_dim": 64, "num_heads": 6, "num_layers": 6,
    "audio_blocks": 4, "audio_channels": 96, "intermediate_dim": 128, "output_dim": 96, "context_tokens": 8,
    "image_dim": 64,
}  # fmt: skip
MEDIUM_CONFIG = {
    "text_len": 512, "text_dim": 512, "dim": 384, "ffn_dim": 1536, "freq_dim": 128, "num_heads": 6, "num_layers": 8,
    "audio_blocks": 12, "audio_channels": 768, "intermediate_dim": 256, "output_dim": 384, "context_tokens": 32,
    "image_dim": 640,
}  # fmt: skip

# torch counts the attention kernels of GPUs only.
CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: (
        lambda query, key, value, *_, out_shape=None, **__: sdpa_flop_count(query, key, value)
    )
}


@dataclass(frozen=True)
class Workload:
    """One chunk to denoise. latent_shape: (T, h, w); context_frames: latent frames given clean."""

    name: str
    config: Mapping[str, Any]
    latent_shape: tuple[int, int, int] = (21, 16, 16)
    image_tokens: int = 65
    text_tokens: int = 0
    steps: int = 4
    guidance_scale: float = 1.0
    audio_guidance_scale: float = 2.0
    context_frames: int = 3


NANO = Workload("nano", NANO_CONFIG)
MEDIUM = Workload(
    "medium", MEDIUM_CONFIG, latent_shape=(5, 24, 24), image_tokens=257, text_tokens=77, steps=2, guidance_scale=5.0,
    audio_guidance_scale=4.0,
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Seconds per chunk of each way, from the quickest encoding and the quickest step of all repeats.

    Seconds are of processor time on a CPU, so that other programs disturb them little, and of the clock on a GPU.
    ratio: ours divided by plain; published_ratio: by the plain way with the published code's habits;
    arithmetic_ratio: ours divided by plain in multiplications of matrices and attention, which no machine disturbs.
    largest_difference: between the results of both ways, as a fraction of their largest magnitude.
    """

    name: str
    ours_seconds: float
    plain_seconds: float
    published_seconds: float
    ratio: float
    published_ratio: float
    arithmetic_ratio: float
    largest_difference: float
    branches: int
    steps: int

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


class PlainNetwork:
    """The same network without a memory: every evaluation of every branch starts from the raw inputs."""

    def __init__(self, model: InfiniteTalkTransformer) -> None:
        self.model = model

    def __call__(
        self, latents: torch.Tensor, timestep: torch.Tensor, inputs: Mapping[Branch, ConditionInputs], **unused: Any
    ) -> dict[Branch, torch.Tensor]:
        outputs = {}
        for branch, given in inputs.items():
            self.model.rotary.clear()
            outputs[branch] = self.evaluate(latents, timestep, encode(self.model, given))
        return outputs

    def evaluate(self, latents: torch.Tensor, timestep: torch.Tensor, condition: Condition) -> torch.Tensor:
        """One branch at one time."""
        return self.model(latents, timestep, condition)


class PublishedHabits(PlainNetwork):
    """`PlainNetwork` that also assembles tables at each use and computes the speakers' map for a single speaker."""

    def evaluate(self, latents: torch.Tensor, timestep: torch.Tensor, condition: Condition) -> torch.Tensor:
        _, rows, columns = condition.shape
        everyone = torch.full((len(latents), 3, rows * columns), 1 / (rows * columns), device=latents.device)
        condition = replace(condition, speaker_tokens=everyone)

        def assemble(module: torch.nn.Module, arguments: tuple) -> None:
            for _ in ("query", "key"):
                latent_table(condition.shape, module.head_dim, latents.device)

        hooks = [block.attn1.register_forward_pre_hook(assemble) for block in self.model.blocks]
        try:
            return self.model(latents, timestep, condition)
        finally:
            for hook in hooks:
                hook.remove()


def encode(model: InfiniteTalkTransformer, given: ConditionInputs, reuse: tuple[Condition, ...] = ()) -> Condition:
    """`encode_condition` of gathered inputs."""
    return model.encode_condition(
        text=given.text, image=given.image, audio=given.audio, reference=given.reference,
        speaker_masks=given.speaker_masks, reuse=reuse,
    )  # fmt: skip


def random_inputs(
    workload: Workload,
    model: InfiniteTalkTransformer,
    generator: torch.Generator,
    device: torch.device | None = None,
) -> dict[Branch, ConditionInputs]:
    """Inputs of every branch the workload's scales ask for, sharing tensors as a real chunk's branches do.

    device: of the inputs, where it is not the weights'.
    """
    config = model.config
    device, dtype = device or model.proj_out.weight.device, model.proj_out.weight.dtype

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    num_frames = 1 + (workload.latent_shape[0] - 1) * config.vae_scale
    text, negative = (normal(1, workload.text_tokens, config.text_dim) for _ in range(2))
    image = normal(1, workload.image_tokens, config.image_dim)
    audio = normal(1, num_frames, config.audio_window, config.audio_blocks, config.audio_channels)
    reference = normal(1, config.in_dim - config.out_dim, *workload.latent_shape)
    silence = torch.zeros_like(audio)
    return {
        branch: ConditionInputs(
            text=text if branch in ("cond", "drop_audio") else negative,
            image=image,
            audio=audio if branch in ("cond", "drop_text") else silence,
            reference=reference,
        )
        for branch in branches_for(workload.guidance_scale, workload.audio_guidance_scale)
    }


def compare_with_plain(
    workload: Workload = NANO,
    *,
    model: InfiniteTalkTransformer | None = None,
    repeats: int = 3,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Comparison:
    """Denoise one chunk both ways, alternating, `repeats` times after a warm-up.

    Args:
        model: measured instead of a network of random weights, e.g. the trained one; must fit the workload's inputs.

    Raises:
        AssertionError: if the two ways disagree by more than rounding: then the comparison means nothing.
    """
    generator = torch.Generator().manual_seed(0)
    if model is None:
        model = InfiniteTalkTransformer(**workload.config).to(device=device, dtype=dtype).eval()
    inputs = random_inputs(workload, model, generator)
    weight = model.proj_out.weight
    shape = (1, model.config.out_dim, *workload.latent_shape)
    noise = torch.randn(shape, generator=generator).to(weight.device)
    context = torch.randn(shape, generator=generator)[:, :, : workload.context_frames].to(weight.device)

    laps = _Laps(weight.device)

    def chunk(network: Callable[..., Any], conditions: Mapping[Branch, Any]) -> torch.Tensor:
        times = timesteps(workload.steps, 7.0)
        guidance = make_guidance(workload.guidance_scale, workload.audio_guidance_scale)
        laps.lap()
        return denoise(
            network, conditions, noise, context, timesteps=times, guidance=guidance, on_step=lambda *_: laps.lap()
        )

    def ours() -> torch.Tensor:
        conditions: dict[Branch, Condition] = {}
        for branch, given in inputs.items():
            conditions[branch] = encode(model, given, tuple(conditions.values()))
        return chunk(model, conditions)

    def plain() -> torch.Tensor:
        return chunk(PlainNetwork(model), inputs)

    def published() -> torch.Tensor:
        return chunk(PublishedHabits(model), inputs)

    ways = {"ours": ours, "plain": plain, "published": published}
    taken: dict[str, list[list[float]]] = {name: [] for name in ways}
    with torch.inference_mode():
        results, arithmetic = {}, {}
        for name, way in ways.items():
            with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
                results[name] = way()
            arithmetic[name] = counter.get_total_flops()
        scale = float(results["plain"].abs().max())
        difference = float((results["ours"] - results["plain"]).abs().max()) / scale
        assert difference < (1e-4 if weight.dtype == torch.float32 else 5e-2), f"results differ by {difference:.2g}"
        for _ in range(repeats):
            for name, way in ways.items():
                laps.start()
                way()
                taken[name].append(laps.seconds)
    # Every step is the same work, so the quickest one is what a step costs when nothing disturbs it.
    best = {
        name: min(lap[0] for lap in runs) + workload.steps * min(min(lap[1:]) for lap in runs)
        for name, runs in taken.items()
    }
    return Comparison(
        name=workload.name,
        ours_seconds=best["ours"],
        plain_seconds=best["plain"],
        published_seconds=best["published"],
        ratio=best["ours"] / best["plain"],
        published_ratio=best["ours"] / best["published"],
        arithmetic_ratio=arithmetic["ours"] / arithmetic["plain"],
        largest_difference=difference,
        branches=len(inputs),
        steps=workload.steps,
    )


class _Laps:
    """Seconds of encoding, then of each step."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.start()

    def start(self) -> None:
        self.seconds: list[float] = []
        self._last = self._now()

    def lap(self) -> None:
        now = self._now()
        self.seconds.append(now - self._last)
        self._last = now

    def _now(self) -> float:
        if self.device.type != "cuda":
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()


def main() -> None:
    """Print the comparison for the nano size and a medium one."""
    for workload in (NANO, MEDIUM):
        result = compare_with_plain(workload)
        print(
            f"{result.name}: {result.branches} branches, {result.steps} steps: ours {result.ours_seconds:.2f} s, "
            f"plain {result.plain_seconds:.2f} s, ratio {result.ratio:.3f}; with the published code's habits "
            f"{result.published_seconds:.2f} s, ratio {result.published_ratio:.3f}; "
            f"multiplications {result.arithmetic_ratio:.3f} "
            f"(results differ by {result.largest_difference:.1e})"
        )


if __name__ == "__main__":
    main()
