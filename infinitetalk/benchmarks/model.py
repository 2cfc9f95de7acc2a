"""Speed and memory of a model of any size with random weights: what a step, a chunk and each stage cost here.

`bench --spec 14b --random-weights` builds the network at its published size, directly where its preset wants it, and
denoises a few steps of one chunk as the product does: same conditions, same caches, same offloading. The plain way
for comparison recomputes everything in every step (`benchmarks/transformer.py`).
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..config.presets import load_preset
from ..config.settings import Settings
from ..errors import InputError, UserError
from ..media.buckets import BUCKETS
from ..runtime.memory import MIB, Shape, estimate, num_branches, token_grid

# dim 512, 6 layers and 21 x 16 x 16 tokens: a network that a laptop can still measure.
MID_CONFIG = {
    "text_len": 512, "text_dim": 512, "dim": 512, "ffn_dim": 2048, "freq_dim": 256, "num_heads": 8, "num_layers": 6,
    "audio_blocks": 12, "audio_channels": 768, "intermediate_dim": 256, "output_dim": 384, "context_tokens": 32,
    "image_dim": 640,
}  # fmt: skip
SPEC_CONFIGS: dict[str, dict[str, Any]] = {"14b": {}, "mid": MID_CONFIG}
MID_SIZE = (256, 256)


@dataclass(frozen=True)
class ModelBench:
    """What to measure. steps: measured ones, after one that is not; quality: preset whose guidance is used."""

    spec: str = "14b"
    size: str = "480p"
    quality: str = "final"
    quantization: str = "none"
    offload: str = "none"
    cache: str = "none"
    steps: int = 2
    plain: bool = False
    pictures: bool = True

    def settings(self, device: str) -> Settings:
        """
        Raises:
            UserError: a choice is unknown or cannot be had together with another.
        """
        if self.spec not in SPEC_CONFIGS:
            raise InputError(f"--spec is {self.spec!r}; choose one of {', '.join(SPEC_CONFIGS)}.")
        pictures = load_preset(f"{self.quality}+h100-bf16", self.size)
        return replace(
            pictures, device=device, dtype="bfloat16" if device == "cuda" else "float32", loras=(),
            quantization=self.quantization, offload=self.offload, cache=self.cache,
            pinned_gb=64.0 if self.offload == "block" else 0.0,
        )  # fmt: skip


def bench_model(options: ModelBench) -> dict[str, Any]:
    """Measure in a fresh process, because a peak of memory belongs to a process.

    Raises:
        UserError: options that exclude each other, raised before anything is built.
    """
    options.settings("cuda" if options.offload != "none" or options.quantization == "nf4" else "cpu")
    code = "import sys; from infinitetalk.benchmarks.model import _measure; _measure(sys.argv[1])"
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(asdict(options))], stdout=subprocess.PIPE, env=environment, check=False
    )
    if done.returncode:
        raise SystemExit(done.returncode)  # the child has said why
    return json.loads(done.stdout.splitlines()[-1])


def _measure(text: str) -> None:
    """Body of the measuring process."""
    try:
        print(json.dumps(measure(ModelBench(**json.loads(text)))))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def measure(options: ModelBench) -> dict[str, Any]:
    """Build, run and report; in this process.

    Returns:
        step_seconds: the quickest; stage_seconds: conditions, steps, encoding and decoding of pictures;
        tokens, branches; operations: of one step, by arithmetic; tflops: achieved; ceiling_tflops: of one large matrix
        product on this device; peak_vram_mb, peak_ram_mb and what was predicted for each.
    """
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = options.settings(device.type)
    height, width = _pixels(options)
    torch.manual_seed(0)
    memory = _Peaks(device)
    stages: dict[str, float] = {}
    with torch.inference_mode(), memory:
        with _timed("building", stages, device):
            model = build(SPEC_CONFIGS[options.spec], settings, device)
        memory.begin()
        result = _run(model, options, settings, height, width, stages, device)
        if options.pictures:
            del model
            _pictures(options, settings, height, width, stages, device)
    shape = Shape.of(SPEC_CONFIGS[options.spec])
    predicted = estimate(
        settings, height, width, shape=shape, encoders=False, vae_width=_vae_width(options) if options.pictures else 0
    )
    grid = token_grid(height, width)
    operations = shape.operations(grid, num_branches(settings))
    return {
        "options": asdict(options),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()} CPU",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "parameters": shape.parameters,
        "tokens": grid[0] * grid[1] * grid[2],
        "branches": num_branches(settings),
        **result,
        "stage_seconds": {name: round(seconds, 3) for name, seconds in stages.items()},
        "operations_per_step": operations,
        "tflops": operations / result["step_seconds"] / 1e12,
        "ceiling_tflops": ceiling_tflops(device),
        "peak_vram_mb": round(memory.vram_mb),
        "predicted_vram_mb": predicted.vram_mb,
        "peak_ram_mb": round(memory.ram_mb),
        "predicted_ram_mb": predicted.ram_mb,
    }


# Trained networks change slowly with the time, and step caches live on that; fully random ones change by 60 % a step,
# and no step could be skipped. So damped, the blocks' modulation moves by about 1 % a step of 40. TeaCache's published
# polynomial is 0.09 to 0.13 there, two or three of which make the published threshold of 0.2: the two to three times
# that its authors state for trained weights (SkyReels-V2's `--teacache_thresh`, same weights and polynomial).
TIME_RESPONSE = 0.002


def build(config: dict[str, Any], settings: Settings, device):
    """The transformer with random weights, made layer by layer where it is to be; no more than one is held twice."""
    import torch

    from ..checkpoints.quantized_files import fill
    from ..models.transformer import InfiniteTalkTransformer
    from ..runtime.fit import offload, set_attention

    with torch.device("meta"):
        model = InfiniteTalkTransformer(**config).eval().requires_grad_(False)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    home = torch.device("cpu") if settings.offload != "none" else device

    def weights() -> Iterator[tuple[str, torch.Tensor]]:
        for name, shape in shapes.items():
            if len(shape) <= 1:  # gains are one, biases small
                value = torch.empty(shape, device=device).uniform_(-0.05, 0.05) + name.endswith("weight")
            else:
                spread = (shape[1] if len(shape) == 2 else 64) ** -0.5
                if name.endswith("time_embedder.linear_1.weight"):
                    spread *= TIME_RESPONSE
                value = torch.empty(shape, device=device).normal_(0, spread)
            yield name, value

    dtype = getattr(torch, settings.dtype)
    fill(model, weights(), kind=settings.quantization, dtype=dtype, device=home, source="random weights")
    set_attention(model, settings.attention, device)
    if settings.offload != "none":
        offload(model, settings.offload, device, pinned_gb=settings.pinned_gb, resident_gb=settings.resident_gb)
    return model


def _run(model, options: ModelBench, settings: Settings, height: int, width: int, stages, device) -> dict[str, Any]:
    import torch

    from ..sampling.cache import make_step_cache
    from ..sampling.denoise import denoise
    from ..sampling.guidance import make_guidance
    from ..sampling.schedule import timesteps
    from .transformer import PlainNetwork, Workload, encode, random_inputs

    grid = token_grid(height, width)
    workload = Workload(
        options.spec, SPEC_CONFIGS[options.spec], latent_shape=(grid[0], height // 8, width // 8), image_tokens=257,
        text_tokens=77, steps=options.steps, guidance_scale=settings.guidance_scale,
        audio_guidance_scale=settings.audio_guidance_scale,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    inputs = random_inputs(workload, model, generator, device)
    noise = torch.randn((1, 16, *workload.latent_shape), generator=generator).to(device)
    times = timesteps(settings.steps, settings.shift)
    measured = times[: options.steps + 2] if settings.cache == "none" else times

    def chunk(network, conditions) -> list[float]:
        laps = [_now(device)]
        denoise(
            network, conditions, noise, noise[:, :, :3], timesteps=measured,
            guidance=make_guidance(settings.guidance_scale, settings.audio_guidance_scale),
            on_step=lambda *_: laps.append(_now(device)),
        )  # fmt: skip
        return [after - before for before, after in zip(laps[:-1], laps[1:], strict=True)]

    conditions: dict = {}
    with _timed("conditions", stages, device):
        for branch, given in inputs.items():
            conditions[branch] = encode(model, given, tuple(conditions.values()))
    cache = make_step_cache(settings.cache, steps=settings.steps, size=settings.size)
    with cache.attached(model) as network:
        steps = chunk(network, conditions)
    stages["steps"] = sum(steps)
    result: dict[str, Any] = {
        "step_seconds": min(steps[1:]) if settings.cache == "none" else sum(steps) / len(steps),
        "steps_measured": len(steps) - (settings.cache == "none"),
        "evaluations": cache.evaluations, "skipped": cache.skipped,
    }  # fmt: skip
    if options.plain:
        del conditions
        plain = chunk(PlainNetwork(model), inputs)
        result["plain_step_seconds"] = min(plain[1:])
        result["ratio"] = result["step_seconds"] / result["plain_step_seconds"]
    return result


def _pictures(options: ModelBench, settings: Settings, height: int, width: int, stages, device) -> None:
    """Encoding of the reference and decoding of a chunk, with Wan's autoencoder (narrow for the mid size)."""
    import torch

    from ..models.vae import decode_frames, encode_reference, wan_vae

    vae = wan_vae({"dim": _vae_width(options)}).to(device).eval()
    if settings.tile_vae:
        vae.enable_tiling()
    with _timed("encoding", stages, device):
        encode_reference(vae, torch.randn(1, 3, height, width, device=device).clamp(-1, 1), 81)
    with _timed("decoding", stages, device):
        for _ in decode_frames(vae, torch.randn(1, 16, 21, height // 8, width // 8, device=device)):
            pass


def ceiling_tflops(device) -> float:
    """Of one large product of square matrices, in the type that is computed in there."""
    import torch

    size, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (1024, torch.float32)
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        start = _now(device)
        torch.mm(one, other)
        best = min(best, _now(device) - start)
    return 2 * size**3 / best / 1e12


def table(results: list[dict[str, Any]]) -> str:
    """Rows for docs/performance.md."""
    rows = [
        "| network | tokens | weights | offload | cache | s per step | TFLOP/s (ceiling) | VRAM, predicted | memory, "
        "predicted |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for found in results:
        options = found["options"]
        weights = options["quantization"] if options["quantization"] != "none" else "full"
        rows.append(
            f"| {options['spec']} | {found['tokens']} | {weights} | {options['offload']} | {options['cache']} | "
            f"{found['step_seconds']:.3g} | {found['tflops']:.3g} ({found['ceiling_tflops']:.3g}) | "
            f"{found['peak_vram_mb']} MB, {found['predicted_vram_mb']} MB | {found['peak_ram_mb']} MB, "
            f"{found['predicted_ram_mb']} MB |"
        )
    return "\n".join(rows)


def _pixels(options: ModelBench) -> tuple[int, int]:
    if options.spec == "mid":
        return MID_SIZE
    if options.size not in BUCKETS:
        raise InputError(f"--size is {options.size!r}; choose one of {', '.join(BUCKETS)}.")
    sizes = BUCKETS[options.size].values()
    return max(sizes, key=lambda size: size[0] * size[1] * (size[0] < size[1]))


def _vae_width(options: ModelBench) -> int:
    return 16 if options.spec == "mid" else 96


def _now(device) -> float:
    """Seconds of the clock; on one thread of a CPU of this process, so that other programs disturb little."""
    import torch

    if device.type != "cuda":
        return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()
    torch.cuda.synchronize(device)
    return time.perf_counter()


@contextmanager
def _timed(name: str, stages: dict[str, float], device) -> Iterator[None]:
    start = _now(device)
    yield
    stages[name] = stages.get(name, 0.0) + _now(device) - start


class _Peaks:
    """Peaks of memory from `begin` on: resident memory is looked at a hundred times a second."""

    def __init__(self, device) -> None:
        self.device = device
        self.ram_mb = self.vram_mb = 0.0

    def __enter__(self) -> _Peaks:
        import psutil

        self._process = psutil.Process()
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def begin(self) -> None:
        """Forget what building took."""
        import torch

        self.ram_mb = 0.0
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def __exit__(self, *_) -> None:
        import torch

        self._done.set()
        self._watcher.join()
        if self.device.type == "cuda":
            self.vram_mb = torch.cuda.max_memory_reserved(self.device) / MIB

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.ram_mb = max(self.ram_mb, self._process.memory_info().rss / MIB)
