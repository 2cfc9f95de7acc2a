"""`python -m synthetic_people --out DIR --clips N`: render labelled talking heads.

With `--portrait FILE` instead: one large still of a person no training clip shows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .clips import DEFAULT_NUM_FRAMES, DEFAULT_SIZE, ClipSettings, make_clips
from .heads import HELD_OUT_START
from .portrait import save_portrait


def main() -> None:
    """Read the arguments and render."""
    parser = argparse.ArgumentParser(prog="python -m synthetic_people", description=__doc__)
    parser.add_argument("--portrait", type=Path, help="write one still of a held-out head here and end")
    parser.add_argument("--head", type=int, default=0, help="with --portrait: which of the held-out heads, from 0")
    parser.add_argument("--take", type=int, default=0, help="with --portrait: which light and background")
    parser.add_argument("--out", type=Path, help="folder of the clips; an unfinished one is continued")
    parser.add_argument("--clips", type=int, help="how many clips the folder holds in the end")
    parser.add_argument("--split", choices=("train", "heldout"), default="train", help="which heads and voices")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=DEFAULT_NUM_FRAMES, help="frames per clip at 25 fps")
    parser.add_argument("--size", type=int, default=DEFAULT_SIZE, help="pixels per side")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.portrait:
        save_portrait(
            arguments.portrait, head_id=HELD_OUT_START + arguments.head, seed=arguments.seed, take=arguments.take
        )
        return
    if arguments.out is None or arguments.clips is None:
        parser.error("--out and --clips say where the clips go and how many there are to be")
    settings = ClipSettings(arguments.clips, arguments.seed, arguments.split, arguments.frames, arguments.size)
    make_clips(arguments.out, settings, arguments.workers, report=lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
