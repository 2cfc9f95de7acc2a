"""A portrait speaks: `python examples/portrait.py`."""

from __future__ import annotations

import argparse

from infinitetalk import ChunkFinished, Finished, GenerationRequest, Speaker, generate, load_models, plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job-dir", default="jobs/example-portrait")
    parser.add_argument("--max-seconds", type=float)
    options = parser.parse_args()

    request = GenerationRequest(
        source="assets/portrait.png",
        speakers=[Speaker(audio="assets/speech.wav")],
        preset="nano",
        max_seconds=options.max_seconds,
    )
    print(plan(request).describe())  # reads no weights
    for event in generate(request, load_models(request), job_dir=options.job_dir):
        if isinstance(event, ChunkFinished):
            print(f"chunk {event.index + 1} of {event.num_chunks} can be played: {event.segment}")
        elif isinstance(event, Finished):
            print(f"done: {event.output}")


if __name__ == "__main__":
    main()
