"""`python -m infinitetalk.training.synthetic --out DIR --clips N`: render labelled talking heads."""

from __future__ import annotations

import argparse
from pathlib import Path

from infinitetalk.training.synthetic.clips import DEFAULT_NUM_FRAMES, ClipSettings, make_clips


def main() -> None:
    """Read the arguments and render."""
    parser = argparse.ArgumentParser(prog="python -m infinitetalk.training.synthetic", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the clips; an unfinished one is continued")
    parser.add_argument("--clips", type=int, required=True, help="how many clips the folder holds in the end")
    parser.add_argument("--split", choices=("train", "heldout"), default="train", help="which heads and voices")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=DEFAULT_NUM_FRAMES, help="frames per clip at 25 fps")
    parser.add_argument("--size", type=int, default=128, help="pixels per side")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    settings = ClipSettings(arguments.clips, arguments.seed, arguments.split, arguments.frames, arguments.size)
    make_clips(arguments.out, settings, arguments.workers, report=lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
