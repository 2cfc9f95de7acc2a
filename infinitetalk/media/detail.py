"""Fine detail for small generated pictures, taken from the reference they were generated from.

A small network draws at 128 pixels what the user's photograph shows at a thousand. Where a generated frame shows a
moved part of the reference, the reference's own detail can be moved along: optical flow finds where each generated
pixel came from, and the difference between the sharp reference and the autoencoder's rendering of it is added at
that place. Where the frame shows something the reference does not (an open mouth), nothing is added and the generated
picture stands alone. At low frequencies the result is always the generated picture.
"""

from __future__ import annotations

import cv2
import numpy as np

_STILL_PIXELS = 0.25  # flow below this is noise of the generated picture, not motion
_FLOW_BLUR_PIXELS = 1.5
_TOLERANCE = 14.0  # of 255: mean colour error beyond which a pixel is taken to be new, not moved


class DetailCarrier:
    """Carries one reference's detail.

    Args:
        reference: uint8 [H, W, 3], sharp, as large as the finished picture.
        rendering: uint8 [h, w, 3], the same picture after the autoencoder, as large as the generated ones.
    """

    def __init__(self, reference: np.ndarray, rendering: np.ndarray) -> None:
        self._reference = reference.astype(np.float32)
        self._rendering = rendering.astype(np.float32)
        self._gray = cv2.cvtColor(rendering, cv2.COLOR_RGB2GRAY)
        self._size = reference.shape[1], reference.shape[0]
        self._scale = reference.shape[1] / rendering.shape[1], reference.shape[0] / rendering.shape[0]
        self._missing = self._reference - self._enlarge(self._rendering)
        self._grid = _grid(*rendering.shape[:2])
        self._large_grid = _grid(*reference.shape[:2])
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def carry(self, frames: np.ndarray) -> np.ndarray:
        """Generated frames, uint8 [F, h, w, 3] -> uint8 [F, H, W, 3]."""
        finished = np.empty((len(frames), *self._reference.shape), np.uint8)
        for frame, target in zip(frames, finished, strict=True):
            np.clip(np.rint(self._carry_one(frame)), 0, 255, out=target, casting="unsafe")
        return finished

    def _carry_one(self, frame: np.ndarray) -> np.ndarray:
        flow = self._flow.calc(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), self._gray, None)
        flow = cv2.GaussianBlur(flow, (0, 0), _FLOW_BLUR_PIXELS)
        length = np.linalg.norm(flow, axis=2, keepdims=True)
        flow *= np.clip((length - _STILL_PIXELS) / _STILL_PIXELS, 0, 1)
        moved = cv2.remap(self._rendering, self._grid + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        error = cv2.GaussianBlur(np.abs(moved - frame).mean(axis=2), (0, 0), 1.0)
        trust = self._enlarge(np.exp(-np.square(error / _TOLERANCE)))
        # flow + position, enlarged, is the place in the large reference; a pixel's centre is at its middle.
        large_flow = self._enlarge(flow) * np.float32(self._scale)
        detail = cv2.remap(
            self._missing, self._large_grid + large_flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return self._enlarge(frame.astype(np.float32)) + trust[..., None] * detail

    def _enlarge(self, picture: np.ndarray) -> np.ndarray:
        return cv2.resize(picture, self._size, interpolation=cv2.INTER_CUBIC)


def _grid(height: int, width: int) -> np.ndarray:
    """float32 [height, width, 2]: each pixel's column and row."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).astype(np.float32)
