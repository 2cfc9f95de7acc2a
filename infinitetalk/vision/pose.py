"""A person's movement as joints per frame.

Joints are numbered as in OpenPose, which the published pose modules were trained on: 18 of the body, one toe for each
foot, then 21 for each hand as in mediapipe and DWPose (wrist first, thumb to little finger).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

BODY = (
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
    "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle", "right eye", "left eye",
    "right ear", "left ear", "left toe", "right toe",
)  # fmt: skip
NOSE, NECK, RIGHT_SHOULDER, RIGHT_WRIST, LEFT_SHOULDER, LEFT_WRIST = 0, 1, 2, 4, 5, 7
NUM_BODY, NUM_HAND = len(BODY), 21
LEFT_HAND = slice(NUM_BODY, NUM_BODY + NUM_HAND)
RIGHT_HAND = slice(NUM_BODY + NUM_HAND, NUM_BODY + 2 * NUM_HAND)
NUM_JOINTS = NUM_BODY + 2 * NUM_HAND

# Pairs of joints, from 0, in the order in which they are drawn and coloured.
BONES = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17), (13, 18), (10, 19),
)  # fmt: skip
HAND_BONES = tuple(
    (0 if joint % 4 == 1 else joint - 1, joint) for joint in range(1, NUM_HAND)
)  # wrist to each finger's root, then along the finger

SEEN_FROM = 0.3  # confidence below which a joint counts as not seen; that of the modules' own drawings


@dataclass(frozen=True)
class PoseSequence:
    """One person, 25 frames per second.

    joints: float32 [frames, 62, 2], (x, y) in pixels of a picture of `width` x `height`.
    confidence: float32 [frames, 62], 0 to 1; a joint below `SEEN_FROM` is not drawn.
    filled: bool [frames, 62], true where a joint was not seen but put between its neighbours in time.
    source: name of the film it was read from.
    """

    joints: np.ndarray
    confidence: np.ndarray
    filled: np.ndarray
    width: int
    height: int
    source: str = ""

    def __post_init__(self) -> None:
        frames = len(self.joints)
        assert self.joints.shape == (frames, NUM_JOINTS, 2), self.joints.shape
        assert self.confidence.shape == self.filled.shape == (frames, NUM_JOINTS)

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def seen(self) -> np.ndarray:
        """bool [frames, 62]: joints that are drawn, filled ones included."""
        return self.confidence >= SEEN_FROM

    @property
    def has_person(self) -> np.ndarray:
        """bool [frames]: enough of the body to call it a person."""
        return self.seen[:, [NOSE, NECK, RIGHT_SHOULDER, LEFT_SHOULDER]].any(axis=1)

    @property
    def seconds(self) -> float:
        return len(self) / 25

    def part(self, frames: slice) -> PoseSequence:
        """Those of its frames."""
        parts = {name: getattr(self, name)[frames] for name in ("joints", "confidence", "filled")}
        return dataclasses.replace(self, **parts)

    def resized(self, width: int, height: int) -> PoseSequence:
        """The same in a picture of another size, stretched if the shape differs."""
        scale = np.array([width / self.width, height / self.height], np.float32)
        return dataclasses.replace(self, joints=self.joints * scale, width=width, height=height)

    def framed(self, place: tuple[float, float, float, float], width: int, height: int) -> PoseSequence:
        """As seen in a part of the picture that is scaled to width x height.

        place: the part's top, left, height and width in pixels.
        """
        top, left, tall, wide = place
        joints = (self.joints - np.array([left, top], np.float32)) * np.array([width / wide, height / tall], np.float32)
        return dataclasses.replace(self, joints=joints, width=width, height=height)

    def cropped(self, left: float, top: float, width: int, height: int) -> PoseSequence:
        """As seen in a cut of the picture, in pixels; what lies outside stays known but is not drawn there."""
        joints = self.joints - np.array([left, top], np.float32)
        return dataclasses.replace(self, joints=joints, width=width, height=height)


def body_height(joints: np.ndarray, seen: np.ndarray) -> float:
    """Height of the whole body in pixels, judged from its longest visible stretch by usual proportions.

    joints: [62, 2] or [20, 2]; seen: bool of the same length. 0 where too little of the body is seen.
    """
    # Share of the standing height between two joints (Drillis and Contini's segment lengths, rounded).
    stretches = (((0, 10), 0.88), ((0, 13), 0.88), ((1, 10), 0.80), ((1, 13), 0.80), ((1, 8), 0.30), ((1, 11), 0.30),
                 ((2, 5), 0.22), ((0, 1), 0.11), ((16, 17), 0.09))  # fmt: skip
    heights = [
        float(np.linalg.norm(joints[a] - joints[b])) / share for (a, b), share in stretches if seen[a] and seen[b]
    ]
    # Seen from the side or bent, a stretch looks shorter, never longer.
    return max(heights, default=0.0)
