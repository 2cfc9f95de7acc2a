"""How camera and head follow, what they cost, what they do to lips: `python -m tools.benchmarks.movement`.

Nano's film of the bundled portrait and sentence without them, then with each, reprojected or made by nano's networks
beside it. A last figure is of reading poses.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from infinitetalk.checkpoints.loading import Models
from infinitetalk.config.camera import MOVEMENTS
from infinitetalk.config.request import Camera, CameraControl, Composite, GenerationRequest, Head, Pose, Speaker
from infinitetalk.events import ChunkFinished
from infinitetalk.generation.camera_targets import tracked_camera as measured
from infinitetalk.media.video import open_source
from infinitetalk.paths import assets_dir
from infinitetalk.pipeline import generate, load_models
from infinitetalk.vision.camera_path import preset_path
from infinitetalk.vision.head_pose import face_points, head_pose
from infinitetalk.vision.pose_edit import EASED_FRAMES
from infinitetalk.vision.pose_extract import read_pose
from infinitetalk.vision.tracking import head_tracking_score

_STAGES_AFTER = ("camera", "head", "layered_warp", "composite")  # what they change, after generating
_NETWORK_AMOUNT = 0.8  # as far as nano's camera network was made for
_UPPER_LIP, _LOWER_LIP = 13, 14  # points of the face mesh


def measure(seconds: float | None = None, movements: Sequence[str] = tuple(MOVEMENTS)) -> dict[str, Any]:
    """For each movement: scores of its chunks, seconds that it adds to a second of film, and how the lips' opening
    correlates with that of the film without; that one's own scores against each path stand under `without`.

    Under `network` stand films whose camera or pose nano's networks make; the pose is that of the film with a lively
    head, whose turns `head` compares (correlation).

    seconds: of the film; None for the whole sentence. movements: names of camera movements.
    """
    choices: dict[str, dict[str, Any]] = {"still": {}, "head lively": {"head": Head()}}
    choices["composite"] = {"composite": Composite()}
    choices |= {f"camera {name}": {"camera": Camera(path=name)} for name in movements}
    choices |= {f"network {name}": {"camera_control": CameraControl(name, _NETWORK_AMOUNT)} for name in movements}
    choices["network pose"] = {}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="infinitetalk-bench-") as folder:
        models, still, still_cost, loaded = None, None, 0.0, None
        for name, choice in choices.items():
            if name == "network pose":
                choice = {"pose": Pose(source=str(Path(folder) / "head-lively" / "output.mp4"))}
            request = GenerationRequest(
                str(assets_dir() / "portrait.png"), (Speaker(str(assets_dir() / "speech.wav")),), max_seconds=seconds,
                **choice,
            )  # fmt: skip
            if loaded != request.controls:
                models, loaded = load_models(request), request.controls
            scores, stage_cost, whole, points = _film(request, models, Path(folder) / name.replace(" ", "-"))
            opening = np.linalg.norm(points[:, _UPPER_LIP] - points[:, _LOWER_LIP], axis=1)
            if still is None:
                # The first film of a process also pays for imports and first calls; the second is what a film costs.
                _, _, still_cost, _ = _film(request, models, Path(folder) / "still-again")
                still, whole = opening, still_cost
            cost = whole - still_cost if request.controls else stage_cost
            if name == "network pose":
                lively = head_pose(_points(Path(folder) / "head-lively" / "output.mp4"))
                scores["head"] = round(
                    head_tracking_score(lively[EASED_FRAMES:], head_pose(points[EASED_FRAMES:])).value, 3
                )
            found[name] = scores | {
                "seconds_per_second": round(cost, 3),
                "lips": round(float(np.corrcoef(opening, still)[0, 1]), 3),
            }
        found["without"] = _without(Path(folder) / "still" / "output.mp4")
        started = time.perf_counter()
        read = read_pose(Path(folder) / "still" / "output.mp4").sequence
        found["pose_frames_per_second"] = round(len(read) / (time.perf_counter() - started), 1)
    return found


def _without(film: Path) -> dict[str, float]:
    """How a film whose camera rests would score against each path: what a score is worth."""
    with open_source(film) as source:
        frames = np.stack(list(source.frames(0.0, source.num_frames_25 or 1)))
    scores = {
        name: measured(frames, preset_path(name, 1.0, len(frames) / 25, 7).w2c(len(frames))) for name in MOVEMENTS
    }
    return {name: round(score.value, 3) for name, score in scores.items() if score is not None}


def _film(request: GenerationRequest, models: Models, folder: Path) -> tuple[dict[str, Any], float, float, np.ndarray]:
    """Its chunks' scores, what the stages after generating and what everything costs for a second of it, and the face's
    points.
    """
    scores: dict[str, list[float]] = {}
    stage_seconds = length = 0.0
    started = time.perf_counter()
    for event in generate(request, models, folder):
        if isinstance(event, ChunkFinished):
            stage_seconds += sum(event.seconds.get(name, 0.0) for name in _STAGES_AFTER)
            length = event.stop_seconds
            for name, one in event.tracking.items():
                scores.setdefault(name, []).append(round(one.value, 3))
    whole = time.perf_counter() - started
    return scores, stage_seconds / length, whole / length, _points(folder / "output.mp4")


def _points(film: Path) -> np.ndarray:
    with open_source(film) as source:
        return face_points(np.stack(list(source.frames(0.0, source.num_frames_25 or 1))))


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(json.dumps(measure(), indent=1))


if __name__ == "__main__":
    main()
