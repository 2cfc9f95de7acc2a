"""A film is dubbed, and the finished pictures follow its own camera: `python examples/film.py`.

The film is made here from the portrait, over which the picture slowly moves.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image

from infinitetalk import Finished, GenerationRequest, Speaker, generate, load_models
from infinitetalk.config.camera import Camera

SIDE = 384


def write_film(path: Path, seconds: float) -> None:
    picture = np.asarray(Image.open("assets/portrait.png").convert("RGB"))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for index in range(round(25 * seconds)):
            left = min(40 + index // 2, picture.shape[1] - SIDE)
            frame = np.ascontiguousarray(picture[40 : 40 + SIDE, left : left + SIDE])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job-dir", default="jobs/example-film")
    parser.add_argument("--max-seconds", type=float, default=4.0)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        write_film(film, options.max_seconds)
        request = GenerationRequest(
            source=str(film),
            speakers=[Speaker(audio="assets/speech.wav")],
            camera=Camera(path="follow"),
            max_seconds=options.max_seconds,
        )
        for event in generate(request, load_models(request), job_dir=options.job_dir):
            if isinstance(event, Finished):
                print(f"done: {event.output}")


if __name__ == "__main__":
    main()
