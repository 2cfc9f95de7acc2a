"""One chunk of a finished film once more, with another seed: `python examples/retake.py`."""

from __future__ import annotations

import argparse

from infinitetalk import Finished, GenerationRequest, Speaker, generate, load_models
from infinitetalk.jobs.retakes import TakeOverrides
from infinitetalk.pipeline import choose_take, retake


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job-dir", default="jobs/example-retake")
    parser.add_argument("--max-seconds", type=float, default=4.0)
    options = parser.parse_args()

    request = GenerationRequest(
        source="assets/portrait.png",
        speakers=[Speaker(audio="assets/speech.wav")],
        max_seconds=options.max_seconds,
    )
    models = load_models(request)
    list(generate(request, models, job_dir=options.job_dir))
    for event in retake(options.job_dir, 0, TakeOverrides(seed=11), models):
        if isinstance(event, Finished):
            print(f"with the new take: {event.output}")
    list(choose_take(options.job_dir, 0, 0, models))
    print("and back to the first; nothing was made twice")


if __name__ == "__main__":
    main()
