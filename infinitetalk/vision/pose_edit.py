"""Movements made usable: gaps filled, trembling smoothed, times changed, fitted to another person's body."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from .pose import BONES, LEFT_HAND, LEFT_WRIST, NECK, NOSE, RIGHT_HAND, RIGHT_WRIST, SEEN_FROM, PoseSequence

LONGEST_GAP = 25  # frames; what is unseen for longer stays unseen
EASED_FRAMES = 20
_SMOOTHING_FRAMES = 7  # 0.28 s: follows a quick nod (3 Hz), takes out frame-to-frame trembling
_MOST_UNLIKE = 1.8  # a bone is not made longer or shorter than the body as a whole by more than this


def fill_gaps(sequence: PoseSequence, longest: int = LONGEST_GAP) -> PoseSequence:
    """Joints unseen for up to `longest` frames move evenly from where they were to where they are next; marked."""
    joints, confidence, filled = sequence.joints.copy(), sequence.confidence.copy(), sequence.filled.copy()
    for joint in range(joints.shape[1]):
        known = np.flatnonzero(sequence.seen[:, joint])
        for before, after in zip(known[:-1], known[1:]):
            if 1 < after - before <= longest + 1:
                inside = np.arange(before + 1, after)
                share = ((inside - before) / (after - before))[:, None]
                joints[inside, joint] = (1 - share) * joints[before, joint] + share * joints[after, joint]
                confidence[inside, joint] = max(SEEN_FROM, min(confidence[before, joint], confidence[after, joint]))
                filled[inside, joint] = True
    return dataclasses.replace(sequence, joints=joints, confidence=confidence, filled=filled)


def smooth(sequence: PoseSequence, frames: int = _SMOOTHING_FRAMES) -> PoseSequence:
    """Each joint's path as local parabolas (Savitzky-Golay): no lag, peaks keep their height. `frames` is odd."""
    from scipy.signal import savgol_filter

    joints = sequence.joints.copy()
    for joint in range(joints.shape[1]):
        for start, stop in _runs(sequence.seen[:, joint]):
            if stop - start >= frames:
                joints[start:stop, joint] = savgol_filter(joints[start:stop, joint], frames, 2, axis=0)
    return dataclasses.replace(sequence, joints=joints)


def eased_in(sequence: PoseSequence, first: PoseSequence, start_frame: int, frames: int = EASED_FRAMES) -> PoseSequence:
    """A movement that comes out of the pose `first`, of one frame in the same picture, within a film's first `frames`.

    Args:
        start_frame: of the film, where the sequence starts.
    """
    share = np.clip((start_frame + np.arange(len(sequence))) / frames, 0, 1).astype(np.float32)[:, None, None]
    return as_far(sequence, first, share * share * (3 - 2 * share))


def as_far(sequence: PoseSequence, first: PoseSequence, share: float | np.ndarray) -> PoseSequence:
    """A movement that goes `share` (one, or [frames, 1, 1]) as far from the pose `first`, of one frame."""
    share = np.where((sequence.seen & first.seen)[..., None], share, 1).astype(np.float32)
    return dataclasses.replace(sequence, joints=first.joints + share * (sequence.joints - first.joints))


def retime(
    sequence: PoseSequence,
    num_frames: int,
    *,
    start_seconds: float = 0.0,
    speed: float = 1.0,
    ending: Literal["hold", "ping-pong"] = "hold",
) -> PoseSequence:
    """`num_frames` frames from `start_seconds` of the movement on, `speed` times as fast.

    Past its end the last pose is held, or the movement goes back and forth.
    """
    assert num_frames > 0 and speed > 0
    last = len(sequence) - 1
    wanted = 25 * start_seconds + speed * np.arange(num_frames)
    if ending == "ping-pong" and last > 0:
        wanted = last - np.abs(wanted % (2 * last) - last)
    wanted = np.clip(wanted, 0, last)
    before = np.floor(wanted).astype(int)
    after = np.minimum(before + 1, last)
    share = (wanted - before).astype(np.float32)[:, None]
    both = sequence.seen[before] & sequence.seen[after]
    nearest = np.where(share < 0.5, before[:, None], after[:, None])
    columns = np.arange(sequence.joints.shape[1])[None]
    between = sequence.joints[before] * (1 - share[..., None]) + sequence.joints[after] * share[..., None]
    joints = np.where(both[..., None], between, sequence.joints[nearest, columns])
    return dataclasses.replace(
        sequence,
        joints=joints.astype(np.float32),
        confidence=sequence.confidence[nearest, columns],
        filled=sequence.filled[nearest, columns],
    )


def retarget(sequence: PoseSequence, reference: PoseSequence) -> PoseSequence:
    """The movement of one person on the body of another.

    Every bone keeps its direction and takes the length it has on the reference person; the neck starts where the
    reference person's is and moves on in proportion. Where the reference does not show a bone, the size of the body
    as a whole decides.

    Args:
        reference: one frame, of the picture that the film starts from.

    Returns:
        In pixels of the reference picture. Joints that the reference picture cannot show stay in.
    """
    target, target_seen = reference.joints[0].astype(np.float64), reference.seen[0]
    source, seen = sequence.joints.astype(np.float64), sequence.seen
    ratios = {bone: _ratio(source, seen, target, target_seen, bone) for bone in BONES}
    known = [ratio for ratio in ratios.values() if ratio is not None]
    whole = float(np.median(known)) if known else reference.height / sequence.height
    moved = source * whole  # what hangs on nothing
    for parent, child in BONES:  # from the neck outwards: a parent is placed before its children
        ratio = ratios[_mirrored(parent, child)] if ratios[(parent, child)] is None else ratios[(parent, child)]
        ratio = whole if ratio is None else float(np.clip(ratio, whole / _MOST_UNLIKE, whole * _MOST_UNLIKE))
        placed = moved[:, parent] + ratio * (source[:, child] - source[:, parent])
        both = seen[:, parent] & seen[:, child]
        moved[both, child] = placed[both]
    for hand, wrist in ((LEFT_HAND, LEFT_WRIST), (RIGHT_HAND, RIGHT_WRIST)):
        on_arm = seen[:, wrist]
        shifted = moved[:, wrist, None] + whole * (source[:, hand] - source[:, wrist, None])
        moved[on_arm, hand] = shifted[on_arm]
    for anchor in (NECK, NOSE):  # a close portrait shows no shoulders, so no neck between them
        if target_seen[anchor] and seen[:, anchor].any():
            moved += target[anchor] - moved[np.flatnonzero(seen[:, anchor])[0], anchor]
            break
    return dataclasses.replace(
        sequence, joints=moved.astype(np.float32), width=reference.width, height=reference.height
    )


def _ratio(source: np.ndarray, seen: np.ndarray, target: np.ndarray, target_seen: np.ndarray, bone: tuple[int, int]):
    """Length of a bone on the target to that on the source; None where either is not known."""
    a, b = bone
    frames = seen[:, a] & seen[:, b]
    if not (frames.any() and target_seen[a] and target_seen[b]):
        return None
    # A bone pointing at the camera looks short: the long views of it show its length.
    length = np.quantile(np.linalg.norm(source[frames, a] - source[frames, b], axis=1), 0.8)
    return float(np.linalg.norm(target[a] - target[b]) / length) if length > 1e-6 else None


_OTHER_SIDE = {2: 5, 3: 6, 4: 7, 8: 11, 9: 12, 10: 13, 14: 15, 16: 17, 19: 18}


def _mirrored(parent: int, child: int) -> tuple[int, int]:
    """The same bone of the other side."""
    other = _OTHER_SIDE | {right: left for left, right in _OTHER_SIDE.items()}
    return other.get(parent, parent), other.get(child, child)


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """(start, stop) of each stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))
