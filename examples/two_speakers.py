"""Two voices, one after the other: `python examples/two_speakers.py`. Nano has one face, which both voices move."""

from __future__ import annotations

import argparse

from infinitetalk import Finished, GenerationRequest, Speaker, generate, load_models, plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job-dir", default="jobs/example-two-speakers")
    parser.add_argument("--max-seconds", type=float)
    options = parser.parse_args()

    request = GenerationRequest(
        source="assets/portrait.png",
        speakers=[Speaker(audio="assets/speech.wav"), Speaker(audio="assets/speech.wav")],
        arrangement="in-turn",
        max_seconds=options.max_seconds,
    )
    for note in plan(request).warnings:
        print(f"Note: {note}")
    for event in generate(request, load_models(request), job_dir=options.job_dir):
        if isinstance(event, Finished):
            print(f"done: {event.output}")


if __name__ == "__main__":
    main()
