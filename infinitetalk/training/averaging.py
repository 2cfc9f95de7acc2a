"""`python -m infinitetalk.training.averaging OUT DIR=SHARE DIR=SHARE ...`: the weighted mean of networks' weights.

Networks tuned from one another lie in one valley: between a network and what tuning made of it there are some that keep
what the one knew and have learnt what the other did (arXiv 2109.01903), and the mean of two tunings from the same start
is like one with twice the batch (arXiv 2203.05482).
"""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ..errors import InputError

COMPONENTS = ("transformer", "image_encoder")


def average_networks(shares: Mapping[Path, float], out: Path) -> None:
    """Write the mean of `DIR/transformer` and `DIR/image_encoder` to `out`; shares of the folders sum to one.

    Configurations are the first folder's; nano's other networks are left to the caller.

    Raises:
        InputError: if shares do not sum to one, or the folders hold different networks.
    """
    total = sum(shares.values())
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        raise InputError(f"The shares sum to {total:g}; expected 1, such as tuned=0.65 before=0.35.")
    first = next(iter(shares))
    for component in COMPONENTS:
        files = sorted((first / component).glob("*.safetensors"))
        if not files:
            raise InputError(f"{first / component} holds no weights; give folders of exported networks.")
        (out / component).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(first / component / "config.json", out / component / "config.json")
        for file in files:
            save_file(_mean(shares, Path(component, file.name)), out / component / file.name, {"format": "pt"})


def _mean(shares: Mapping[Path, float], file: Path) -> dict[str, torch.Tensor]:
    tables = []
    for folder in shares:
        if not (folder / file).exists():
            raise InputError(f"{folder / file} does not exist; expected the same networks in every folder.")
        tables.append(load_file(folder / file))
    shapes = [{name: tensor.shape for name, tensor in table.items()} for table in tables]
    if any(shape != shapes[0] for shape in shapes):
        raise InputError(f"{file} differs in its layers between the folders; expected networks of one size.")
    return {
        name: sum(share * table[name].double() for share, table in zip(shares.values(), tables, strict=True)).to(
            tensor.dtype
        )
        for name, tensor in tables[0].items()
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infinitetalk.training.averaging", description="Average networks.")
    parser.add_argument("out", type=Path, help="folder for the result")
    parser.add_argument("shares", nargs="+", metavar="DIR=SHARE", help="folder of exported networks and its share")
    arguments = parser.parse_args(argv)
    shares = {}
    for text in arguments.shares:
        folder, _, share = text.rpartition("=")
        try:
            shares[Path(folder)] = float(share)
        except ValueError:
            parser.error(f"{text!r} is no folder with a share; expected something like OUT/lips=0.65")
    average_networks(shares, arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
