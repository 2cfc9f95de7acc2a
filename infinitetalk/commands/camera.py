"""`infinitetalk camera FILM|MOVEMENT`: a camera path, and a picture's scene rendered along it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.camera import MOST_AMOUNT, MOVEMENTS
from ..config.constants import FRAMES_PER_SECOND
from ..errors import InputError
from .arguments import CommandParser, command_parser, number_between
from .picture_sizes import MAX_SECONDS, MAX_SIDE, film_size, resized
from .terminal import Meter, output_beside, print_result

if TYPE_CHECKING:
    import numpy as np

    from ..vision.camera_path import CameraPath

_DEFAULT_SECONDS = 3.0
_FEW_FOLLOWED = 0.95  # share of frames; with fewer the path has gaps to speak of


def build_parser() -> CommandParser:
    parser = command_parser("camera", "Write a camera path, and a film of a picture's scene rendered along it.")
    parser.add_argument("movement", help=f"a film to follow, a path (.json), or one of: {', '.join(MOVEMENTS)}")
    parser.add_argument("--picture", metavar="FILE", help="what is filmed (default: the film's first frame)")
    parser.add_argument(
        "--amount",
        default="1",
        metavar="NUMBER",
        help=f"of a ready-made movement, {-MOST_AMOUNT:g} to {MOST_AMOUNT:g} (default: 1)",
    )
    parser.add_argument("--seconds", metavar="SECONDS", help="length (default: the film's, or 3)")
    parser.add_argument("--output", metavar="FILE", help="rendered film (default: NAME-camera.mp4 here)")
    parser.add_argument("--path", metavar="FILE", help="the path, to edit (default: next to the film, .json)")
    parser.add_argument("--accept-cuts", action="store_true", help="follow a film across changes of shot")
    parser.add_argument("--checkpoints-dir", metavar="DIR", help="where a depth network may lie (in depth/)")
    return parser


def main(argv: Sequence[str]) -> None:
    """Run the command. Raises UserError."""
    from ..media.images import load_image
    from ..media.video import first_frame
    from ..vision.camera_path import save_path
    from ..vision.depth import scene_depth

    options = build_parser().parse_args(argv)
    amount = number_between(options, "amount", -MOST_AMOUNT, MOST_AMOUNT)
    seconds = number_between(options, "seconds", 0.2, MAX_SECONDS)
    movement, given = options.movement.replace("-", " ").lower(), Path(options.movement)
    is_film = movement not in MOVEMENTS and given.suffix.lower() != ".json"
    if options.picture is None and not is_film:
        raise InputError("Nothing to film was given; add --picture portrait.png.")
    name = movement.replace(" ", "-") if movement in MOVEMENTS else given.stem
    output = output_beside(options.output, f"{name}-camera.mp4", ".mp4", given)
    kept = output_beside(options.path, str(output.with_suffix(".json")), ".json", given)
    path, warnings = _camera_path(movement, given, amount, seconds, options)
    picture = load_image(options.picture, MAX_SIDE) if options.picture else first_frame(given, MAX_SIDE)
    picture = resized(picture, *film_size(*picture.shape[:2]))
    scene = scene_depth(picture, options.checkpoints_dir)
    frames = max(1, round(FRAMES_PER_SECOND * (seconds or path.points[-1].seconds or _DEFAULT_SECONDS)))
    largest_hole = _write_rendering(picture, scene.depth, path, frames, output, options)
    save_path(path, kept)
    result = {
        "film": str(output),
        "path": str(kept),
        "frames": frames,
        "points": len(path.points),
        "largest_hole": round(largest_hole, 4),
    }
    print_result(result, [*warnings, scene.how], options.json)


def _camera_path(
    movement: str, given: Path, amount: float, seconds: float | None, options: argparse.Namespace
) -> tuple[CameraPath, list[str]]:
    """The requested path, and warnings."""
    from ..vision.camera_path import load_path, preset_path

    if movement in MOVEMENTS:
        return preset_path(movement, amount, seconds or _DEFAULT_SECONDS), []
    if given.suffix.lower() == ".json":
        return load_path(given), []
    if not given.is_file():
        raise InputError(
            f"{options.movement} is neither a film nor a camera movement; give a file or one of {', '.join(MOVEMENTS)}."
        )
    path, followed = _follow_film(given, seconds, options)
    if followed >= _FEW_FOLLOWED:
        return path, []
    return path, [f"The camera was followed in {100 * followed:.0f} % of the frames; it rests in the others."]


def _follow_film(film: Path, seconds: float | None, options: argparse.Namespace) -> tuple[CameraPath, float]:
    """The film's camera path, and the share of frames in which the camera was followed."""
    from ..media.cuts import find_cuts
    from ..media.video import open_source
    from ..vision.camera_motion import as_path, estimate_motion
    from ..vision.camera_path import film_print
    from ..vision.depth import person_mask

    with open_source(film, 512) as source:
        if source.kind == "image":
            raise InputError(f"{film.name} is a picture, whose camera rests; choose a film or a ready-made movement.")
        end = min(source.duration_seconds, seconds or source.duration_seconds)
        cuts = [cut for cut in find_cuts(film, until_seconds=end) if cut < end]
        if cuts and not options.accept_cuts:
            raise InputError(
                f"{film.name} cuts to another shot at {cuts[0]:.2f} s, where no camera moves on; use --seconds to end "
                "before it, or --accept-cuts."
            )
        frames = max(1, round(FRAMES_PER_SECOND * end))
        meter = Meter("following", options.json)
        motion = estimate_motion(
            source.frames(0.0, frames),
            ignore=lambda frame: person_mask(frame) > 0.3,
            report=lambda done: meter(done / frames),
        )
    return as_path(motion, f"followed from {film.name}", film_print(film)), motion.followed


def _write_rendering(
    picture: np.ndarray, depth: np.ndarray, path: CameraPath, frames: int, output: Path, options: argparse.Namespace
) -> float:
    """Write the picture [H, W, 3] as seen along the path; returns the largest share of a frame that is a hole."""
    from ..media.writer import SegmentWriter
    from ..vision.camera_path import intrinsics
    from ..vision.point_cloud import render_path

    height, width = picture.shape[:2]
    holes: list[float] = []

    def pictures() -> Iterator[np.ndarray]:
        for frame, hole in render_path(picture, depth, intrinsics(height, width), path.w2c(frames)):
            holes.append(float(hole.mean()))
            yield frame

    SegmentWriter(width, height).write(output, Meter("drawing", options.json).watch(pictures(), frames))
    return max(holes)
