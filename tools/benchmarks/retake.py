"""What one chunk again costs in a film of twenty: `python -m tools.benchmarks.retake`."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from infinitetalk.benchmarks.film import speech_of
from infinitetalk.config.request import GenerationRequest, Speaker
from infinitetalk.events import ChunkFinished
from infinitetalk.jobs.retakes import TakeOverrides
from infinitetalk.paths import assets_dir
from infinitetalk.pipeline import generate, load_models, retake


def measure(num_chunks: int = 20, times: int = 3) -> dict[str, Any]:
    """Seconds of whole retakes of the middle chunk, and of the chunk's own stages within each; weights loaded."""
    with tempfile.TemporaryDirectory(prefix="infinitetalk-bench-") as folder:
        # The first chunk has 81 frames, each other one 72 new ones.
        speech = speech_of((81 + 72 * (num_chunks - 1)) / 25, Path(folder) / "speech.wav")
        request = GenerationRequest(str(assets_dir() / "portrait.png"), (Speaker(str(speech)),))
        models = load_models(request)
        made = [event for event in generate(request, models, Path(folder) / "job") if isinstance(event, ChunkFinished)]
        whole, own = [], []
        for number in range(times):
            started = time.perf_counter()
            for event in retake(Path(folder) / "job", len(made) // 2, TakeOverrides(seed=100 + number), models):
                if isinstance(event, ChunkFinished) and event.index == len(made) // 2:
                    own.append(round(sum(event.seconds.values()), 2))
            whole.append(round(time.perf_counter() - started, 2))
    return {"chunks": len(made), "retake_seconds": whole, "chunk_seconds": own}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=20)
    print(json.dumps(measure(parser.parse_args().chunks)))


if __name__ == "__main__":
    main()
