"""`python -m infinitetalk lock RESULT --source FILM --person X,Y`: keep the source's own pixels around one person."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..config.constants import FRAMES_PER_SECOND
from ..errors import InputError
from .arguments import CommandParser
from .motion import Meter, place, tell

_LARGEST_DIFFERENCE = 25.0  # of 255 outside the mask; beyond it the two films do not show the same frame


def lock_parser() -> argparse.ArgumentParser:
    """Options of `lock`."""
    parser = CommandParser(
        prog="infinitetalk lock",
        description="Put the source's own pixels around the person who speaks; the person stays as generated.",
    )
    parser.add_argument("result", help="a generated film that keeps the whole picture (framing: whole)")
    parser.add_argument("--source", required=True, metavar="FILE", help="the film or picture it was made from")
    parser.add_argument("--person", metavar="N|X,Y", help="whom, where several are seen: from the left, or a point")
    parser.add_argument("--output", metavar="FILE", help="the new film (default: RESULT-locked.mp4 here)")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser


def lock_main(argv: Sequence[str]) -> int:
    """Run `lock`; returns the exit code.

    Raises:
        UserError: in the user's words, for whatever cannot be read or written.
    """
    from ..media.atomic import check_output
    from ..media.framing import resize_and_crop
    from ..media.mux import mux_film
    from ..media.probe import probe
    from ..media.video import open_source
    from ..media.writer import SegmentWriter
    from ..vision.people import choose, find_people, parse_choice
    from ..vision.subject_mask import composite, feathered, follow_person, outside_difference

    options = lock_parser().parse_args(argv)
    result_path, choice = Path(options.result), parse_choice(options.person)
    output = place(options.output, f"{result_path.stem}-locked.mp4", ".mp4", result_path)
    check_output(output)
    before: list[float] = []
    lost = 0
    meter = Meter("locking", options.json)
    with open_source(result_path) as result, open_source(options.source) as source:
        if result.num_frames_25 is None:
            raise InputError(f"{result_path.name} is a picture; give the generated film.")
        info, size = probe(result_path), (result.height, result.width)
        rate = Fraction(info.fps or FRAMES_PER_SECOND).limit_denominator(1001)  # a film may have its source's own
        frames = max(1, round(result.duration_seconds * rate))

        def of_source(frame: int) -> np.ndarray:
            return resize_and_crop(source.frame_at(float(frame / rate)), size)

        first = of_source(0)
        if isinstance(choice, tuple):
            point = choice
        else:
            people = find_people(first)
            if not people:
                raise InputError(
                    f"No face was found in {Path(options.source).name}; say where the person is with --person 0.5,0.4."
                )
            person = choose(people, choice, Path(options.source).name)
            point = person.x, person.y

        def pictures() -> Iterator[np.ndarray]:
            nonlocal lost
            # The person may lean out of the source's mask in the result and the other way round: both are kept.
            there = follow_person((of_source(k) for k in range(frames)), point)
            here = follow_person((result.frame_at(float(k / rate)) for k in range(frames)), point)
            for index, (in_source, in_result) in enumerate(zip(there, here)):
                lost += not (in_source.followed and in_result.followed)
                alpha = feathered(np.maximum(in_source.alpha, in_result.alpha))
                shown, original = result.frame_at(float(index / rate)), of_source(index)
                before.append(outside_difference(shown, original, alpha))
                yield composite(shown, original, alpha)

        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".lock-") as folder:
            segment = Path(folder) / "pictures.mp4"
            SegmentWriter(size[1], size[0], rate=rate).write(segment, meter.watch(pictures(), frames))
            if info.has_audio:
                mux_film([segment], result_path, float(frames / rate), output, rate=rate)
            else:
                os.replace(segment, output)
    difference = float(np.mean(before))
    warnings = []
    if difference > _LARGEST_DIFFERENCE:
        warnings.append(
            f"Around the person the two films differ by {difference:.0f} of 255; were both made from the same picture, "
            "with the framing that keeps it whole?"
        )
    if lost:
        warnings.append(f"The person was lost in {lost} of {frames} frames; the last mask was kept there.")
    return tell(
        {"film": str(output), "frames": frames, "difference_before": round(difference, 3)}, warnings, options.json
    )
