"""The audio frames in each video frame's window: its own and two on either side, all 25 a second.

Official file `wan/multitalk.py`: indices are clamped to the audio there is; the last chunk, which reaches past the end,
first gets the audio's last frames appended in reverse.
"""

from __future__ import annotations

import numpy as np

WINDOW_RADIUS = 2
WINDOW_SIZE = 2 * WINDOW_RADIUS + 1  # 5
_MIRROR_MARGIN = 3  # frames the official code appends beyond the chunk's end


def window_indices(start: int, stop: int, num_frames: int, *, mirror_tail: bool = False) -> np.ndarray:
    """Audio frames in the windows of video frames [start, stop) of a soundtrack of `num_frames`.

    Args:
        mirror_tail: the audio's last frames follow its end in reverse order, as far as the span reaches and three
            frames more (the rule for the last chunk). Otherwise, and past the mirrored part, the last frame is held.
    Returns:
        int64 [stop - start, 5], every value in [0, num_frames).
    """
    if not 0 <= start < stop:
        raise ValueError(f"Frames [{start}, {stop}) do not lie in the soundtrack; expected 0 <= start < stop.")
    if num_frames < 1:
        raise ValueError(f"The soundtrack has {num_frames} frames; expected at least one.")
    centre = np.arange(start, stop, dtype=np.int64)[:, None]
    frames = centre + np.arange(-WINDOW_RADIUS, WINDOW_RADIUS + 1, dtype=np.int64)
    num_mirrored = min(num_frames, stop - num_frames + _MIRROR_MARGIN) if mirror_tail and stop >= num_frames else 0
    frames = np.clip(frames, 0, num_frames + num_mirrored - 1)
    return np.where(frames < num_frames, frames, 2 * num_frames - 1 - frames)
