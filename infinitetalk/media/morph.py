"""One stretch of film turning into another of the same moment, without ghosts: a cross-fade along optical flow."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np


def morph(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Frames that start as `before` and end as `after`; both show the same instants, uint8 [F, H, W, 3].

    Each pair is bent towards each other along the flow between them and then mixed, so that what stands in slightly
    different places moves over instead of showing twice. Frame i is (i + 1) / (F + 1) of the way.
    """
    assert before.shape == after.shape, (before.shape, after.shape)
    flows: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = before.shape[1:3]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).astype(np.float32)
    mixed = np.empty_like(before)
    for index, (first, second) in enumerate(zip(before, after, strict=True)):
        share = (index + 1) / (len(before) + 1)
        gray = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, second)]
        forth = flows.calc(gray[0], gray[1], None)
        back = flows.calc(gray[1], gray[0], None)
        bent = _bend(first, grid + share * back) * (1 - share) + _bend(second, grid + (1 - share) * forth) * share
        np.clip(np.rint(bent), 0, 255, out=mixed[index], casting="unsafe")
    return mixed


def _bend(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    return cv2.remap(
        picture.astype(np.float32), places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
