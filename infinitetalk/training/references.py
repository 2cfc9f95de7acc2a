"""Where a training example takes its reference from: the choice that decides what the reference controls.

InfiniteTalk (arXiv 2508.14033, section 3.3) trains one network per answer and finds that the strength of control
follows from the reference's distance to the chunk.  With a reference from inside, the network learns to show it again
somewhere in the chunk; from far away, that it says little about the chunk; from next to the chunk, that it holds
person, place and camera while the sound decides the rest.

Everything here is integers: film frames, the half-open span [start, stop) of a chunk (its context frames belong to
it), and latent frames of context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ..errors import InputError

Strategy = Literal["M0", "M1", "M2", "M3", "any"]
Conditioning = Literal["sparse", "i2v", "fl2v", "two-reference"]

STRATEGIES: tuple[Strategy, ...] = ("M0", "M1", "M2", "M3")  # the paper's; "any" takes no side
CONDITIONINGS: tuple[Conditioning, ...] = get_args(Conditioning)

NEAR_FRAMES = 25  # one second: an adjacent reference is nearer than that, a far one is not
OPENING_SHARE = 0.3  # of the examples that are a film's first chunk, whose reference is its first frame
CONTEXT_CHOICES = (0, 1, 3)  # latent frames given clean
CONTEXT_SHARES = (0.1, 0.2, 0.7)  # generation gives three; fewer keep the network from leaning on them alone


@dataclass(frozen=True)
class Given:
    """What one training example is given.

    start: first frame of the chunk. reference: frame that guides it, also seen by the image encoder.
    second: frame at the end of the condition (`fl2v`, `two-reference`), not seen by the image encoder.
    num_context: latent frames given clean; with `opens` the one of them is the reference itself.
    """

    start: int
    reference: int
    num_context: int
    opens: bool
    second: int | None = None


def reference_frames(strategy: Strategy, start: int, stop: int, num_frames: int) -> np.ndarray:
    """The frames, ascending, that `strategy` may choose for the chunk [start, stop) of a film of `num_frames`.

    M0: any of the chunk. M1: its first or last. M2: at least one second away from it. M3: outside it, less than one
    second away. any: all of the film.

    Raises:
        InputError: if the strategy is unknown or the film has no such frame.
    """
    assert 0 <= start < stop <= num_frames, (start, stop, num_frames)
    frames = np.arange(num_frames)
    distance = np.maximum(np.maximum(start - frames, frames - (stop - 1)), 0)  # 0 inside
    if strategy == "M0":
        chosen = distance == 0
    elif strategy == "M1":
        chosen = (frames == start) | (frames == stop - 1)
    elif strategy == "M2":
        chosen = distance >= NEAR_FRAMES
    elif strategy == "M3":
        chosen = (distance > 0) & (distance < NEAR_FRAMES)
    elif strategy == "any":
        chosen = distance >= 0
    else:
        raise InputError(f"There is no reference strategy {strategy!r}; choose one of {', '.join(STRATEGIES)}.")
    if not chosen.any():
        raise InputError(
            f"A clip of {num_frames} frames has no reference of kind {strategy} for a chunk of {stop - start} frames; "
            "render longer clips or train on shorter chunks."
        )
    return frames[chosen]


def draw_given(
    conditioning: Conditioning,
    strategy: Strategy,
    num_chunk_frames: int,
    num_frames: int,
    rng: np.random.Generator,
    *,
    start_step: int = 1,
    opening_share: float = OPENING_SHARE,
) -> Given:
    """Draw a chunk of `num_chunk_frames` from a film of `num_frames`, and what is given with it.

    sparse: context and a reference by `strategy` (the published way); a film's first chunk starts from its reference.
    i2v: the last frame of the chunk before (the chunk's own first frame) and nothing else, as image-to-video models
        prolong a film. `strategy` has no effect.
    fl2v: the chunk's first and last frame. `strategy` has no effect.
    two-reference: sparse with one reference shortly before the chunk and one shortly after it.

    Args:
        start_step: chunks start at multiples of it.

    Raises:
        InputError: if the film is too short for that.
    """
    starts = np.arange(0, num_frames - num_chunk_frames + 1, start_step)
    if conditioning == "two-reference":
        starts = starts[(starts > 0) & (starts + num_chunk_frames < num_frames)]
    if len(starts) == 0:
        raise InputError(
            f"A clip of {num_frames} frames is too short for chunks of {num_chunk_frames} frames ({conditioning})."
        )
    start = int(rng.choice(starts))
    stop = start + num_chunk_frames
    if conditioning == "i2v":
        return Given(start, start, 1, opens=True)
    if conditioning == "fl2v":
        return Given(start, start, 1, opens=True, second=stop - 1)
    opens = bool(rng.random() < opening_share)
    num_context = 1 if opens else int(rng.choice(CONTEXT_CHOICES, p=CONTEXT_SHARES))
    if conditioning == "two-reference":
        adjacent = reference_frames("M3", start, stop, num_frames)
        first, second = (int(rng.choice(side)) for side in (adjacent[adjacent < start], adjacent[adjacent >= stop]))
        return Given(start, start if opens else first, num_context, opens, second)
    if conditioning != "sparse":
        raise InputError(f"There is no conditioning {conditioning!r}; choose one of {', '.join(CONDITIONINGS)}.")
    reference = start if opens else int(rng.choice(reference_frames(strategy, start, stop, num_frames)))
    return Given(start, reference, num_context, opens)
