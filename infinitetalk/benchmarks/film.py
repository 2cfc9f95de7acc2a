"""What a film costs on this machine: time to load, to the first chunk, per second of film, and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ..config.request import GenerationRequest, Speaker
from ..errors import UserError
from ..events import ChunkFinished, Finished
from ..paths import assets_dir


def bench(preset: str, seconds: float, *, compare: bool = True) -> dict[str, Any]:
    """Make a film of `seconds` in a fresh process and report it; with `compare` also time the plain transformer.

    A process of its own, because peak memory is a process's and must not include the caller's.

    Returns:
        seconds_per_output_second: work per second of film, from the press to the finished file, weights loaded.
        seconds_to_first_chunk: from the press to the first playable segment, weights loaded.
        seconds_to_load: imports and weights. peak_rss_mb: of the whole process.
        stage_seconds: sums over all chunks. transformer_ratio: ours over the plain one.
    """
    code = "import sys; from infinitetalk.benchmarks.film import _measure; _measure(sys.argv[1], float(sys.argv[2]))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code, preset, str(seconds)], stdout=subprocess.PIPE, env=environment, check=False
    )
    if done.returncode:
        raise SystemExit(done.returncode)  # the child has said why
    result = json.loads(done.stdout)
    if compare:
        from .transformer import compare_with_plain

        result["transformer_ratio"] = compare_with_plain().ratio
    return result


def _measure(preset: str, seconds: float) -> None:
    """Body of the measuring process: prints the result as JSON."""
    started = time.perf_counter()
    from ..pipeline import generate, load_models

    def run() -> None:
        with tempfile.TemporaryDirectory(prefix="infinitetalk-bench-") as folder:
            speech = speech_of(seconds, Path(folder) / "speech.wav")
            request = GenerationRequest(str(assets_dir() / "portrait.png"), (Speaker(str(speech)),), preset=preset)
            models = load_models(request)
            loaded = time.perf_counter()
            first_chunk = 0.0
            stages: dict[str, float] = {}
            frames = 0
            for event in generate(request, models, Path(folder) / "job"):
                if isinstance(event, ChunkFinished):
                    first_chunk = first_chunk or time.perf_counter() - loaded
                    for stage, spent in event.seconds.items():
                        stages[stage] = stages.get(stage, 0.0) + spent
                elif isinstance(event, Finished):
                    frames = event.num_frames
            finished = time.perf_counter()
        print(
            json.dumps(
                {
                    "preset": preset,
                    "output_seconds": frames / 25,
                    "seconds_per_output_second": (finished - loaded) / (frames / 25),
                    "seconds_to_first_chunk": first_chunk,
                    "seconds_to_load": loaded - started,
                    "peak_rss_mb": peak_rss_mb(),
                    "stage_seconds": {name: round(spent, 3) for name, spent in stages.items()},
                }
            )
        )

    try:
        run()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def speech_of(seconds: float, path: Path) -> Path:
    """The bundled sentence, repeated and cut to `seconds`."""
    import numpy as np
    import soundfile

    samples, rate = soundfile.read(assets_dir() / "speech.wav", dtype="float32")
    wanted = max(1, round(seconds * rate))
    soundfile.write(path, np.tile(samples, -(-wanted // len(samples)))[:wanted], rate)
    return path


def peak_rss_mb() -> float:
    """Peak resident memory of this process so far, in MiB."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
