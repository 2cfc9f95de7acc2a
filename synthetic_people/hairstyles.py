"""Hair styles: how long, which way, how curly, and who is likely to wear them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Style:
    """A hair style.

    count: threads. top, side: lengths in metres on the crown and beside the ears. volume: metres between scalp and
    hair. comb: which way it is laid on the crown: "parted", "forward", "back", "up", "out", "tied". parting: metres
    from the middle. gravity: 0 stiff to 1 hanging. mess: radians of disorder. curl: metres of a curl's radius, and
    `turn` metres of length per curl. fringe: whether it hangs onto the forehead. bun: metres of a knot's radius.
    hairline: metres it has receded.
    """

    name: str
    count: int
    top: float
    side: float
    volume: float
    comb: str
    parting: float = 0.0
    gravity: float = 0.5
    mess: float = 0.12
    curl: float = 0.0
    turn: float = 0.05
    fringe: bool = False
    bun: float = 0.0
    hairline: float = 0.0
    width: float = 0.0013
    points: int = 9


NAMES_FEMALE = ("long", "bob", "wavy", "bun", "curls", "pixie", "afro", "fringe")
NAMES_MALE = ("short", "sidepart", "quiff", "buzz", "back", "crop", "curls-short", "bald", "receding", "mid")


def choose_style(rng: np.random.Generator, female: bool, age: float, african: float) -> Style:
    """A style that a person may well have; every number varies a little."""
    parting = float(rng.choice([-1, 1]) * rng.uniform(0.015, 0.04))
    curly = rng.random() < 0.15 + 0.6 * african
    vary = rng.uniform(0.85, 1.2)
    if female:
        odds = [2.2, 1.6, 1.8, 1.8, 1.0, 0.9, 0.2, 1.3] if not curly else [0.5, 0.5, 0.8, 1.6, 3.0, 0.5, 2.2, 0.3]
    else:
        odds = [2, 2, 1.6, 1.0, 1.2, 1.6, 0.4, 0.4, 0.7 * (age > 0.72), 0.7]
        if curly:
            odds = [1.0, 0.3, 0.6, 2.2, 0.2, 1.6, 2.4, 0.7, 0.5 * (age > 0.72), 0.1]
    name = str(rng.choice(NAMES_FEMALE if female else NAMES_MALE, p=np.asarray(odds) / np.sum(odds)))
    line = float(rng.uniform(-0.011, 0.001))
    styles = {
        "long": Style(name, 1500, 0.36, 0.36, 0.012, "parted", parting * rng.choice([0, 1]), 0.85, 0.06, points=14),
        "bob": Style(name, 1500, 0.22 * vary, 0.17 * vary, 0.014, "parted", parting, 0.85, 0.06, points=12),
        "wavy": Style(name, 1500, 0.33, 0.33, 0.016, "parted", parting, 0.8, 0.10, 0.008, 0.11, points=18,
                      width=0.0015),
        "fringe": Style(name, 1700, 0.30 * vary, 0.30, 0.012, "parted", 0.0, 0.85, 0.05, fringe=True, points=13),
        "bun": Style(name, 1500, 0.15, 0.13, 0.005, "tied", parting, 0.0, 0.04, bun=0.036 * vary, points=10),
        "curls": Style(name, 1300, 0.20 * vary, 0.19 * vary, 0.02, "parted", parting, 0.6, 0.3, 0.010, 0.040, points=26,
                       width=0.0020),
        "pixie": Style(name, 1900, 0.075, 0.035, 0.010, "parted", parting, 0.5, 0.14),
        "afro": Style(name, 2400, 0.065 * vary, 0.055 * vary, 0.0, "out", 0, 0.05, 0.5, 0.005, 0.016, points=14,
                      width=0.0016),
        "short": Style(name, 2300, 0.040 * vary, 0.014, 0.008, "forward", 0, 0.25, 0.28, points=7),
        "sidepart": Style(name, 2000, 0.075 * vary, 0.020, 0.010, "parted", parting, 0.30, 0.10),
        "quiff": Style(name, 2100, 0.060 * vary, 0.013, 0.018, "up", parting, 0.15, 0.16),
        "back": Style(name, 1900, 0.085 * vary, 0.035, 0.009, "back", 0, 0.2, 0.07),
        "crop": Style(name, 2500, 0.020 * vary, 0.008, 0.005, "forward", 0, 0.1, 0.35, points=5),
        "buzz": Style(name, 2600, 0.0055, 0.0045, 0.001, "forward", 0, 0.0, 0.4, points=3, width=0.0010),
        "curls-short": Style(name, 2000, 0.045 * vary, 0.018, 0.006, "out", 0, 0.15, 0.5, 0.005, 0.018, points=14),
        "mid": Style(name, 1700, 0.13 * vary, 0.09, 0.014, "parted", parting, 0.65, 0.10, 0.004, 0.10, points=12),
        "receding": Style(name, 1900, 0.03, 0.013, 0.005, "back", 0, 0.1, 0.2, hairline=0.030, points=6),
        "bald": Style(name, 700, 0.004, 0.0035, 0.0, "forward", 0, 0.0, 0.4, hairline=0.085, points=3, width=0.0008),
    }  # fmt: skip
    style = styles[name]
    return replace(style, hairline=style.hairline + line)
