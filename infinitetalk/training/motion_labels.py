"""Labels of what a face does besides speaking, which the network gets in training along with the sound.

No sound says where a head is in half a second, and most of what a mouth's latents do is the head carrying it about.
A network without these labels draws the mean over all those places: lips without edges, an open mouth as a dark smear.
Here the movement since the reference is added to the speech features along fixed directions of their own.  When a film
is made nothing is added, which says that the head stays where the reference has it; so it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .latents import LATENT_CELLS

if TYPE_CHECKING:
    from .clips import ClipSet
    from .latents import Variation

# Yaw, pitch, roll (degrees); eyes' middle and nose, x and y, and the eyes' distance (latent positions); lids, brows:
# what each is divided by.
SPREADS = np.array([3.0, 3.0, 3.0, 0.4, 0.4, 0.4, 0.4, 0.2, 0.5, 0.5], np.float32)
STRENGTH = 4.0  # length of one spread in the features, whose own length is about 10
FARTHEST = 4.0  # spreads
_DIRECTIONS_SEED = 20
_PLACES = ("right_eye", "left_eye", "nose")


class MotionLabels:
    """Movements of clips as additions to their speech features [F,L,C]."""

    def __init__(self, clips: ClipSet, num_layers: int, num_channels: int) -> None:
        self._clips = clips
        known = set(_PLACES) <= set(clips.joints)  # folders of format 1 have no joints: the pose alone is given then
        self._places = [clips.joints.index(name) for name in _PLACES] if known else None
        rng = np.random.default_rng(_DIRECTIONS_SEED)
        directions, _ = np.linalg.qr(rng.standard_normal((num_layers * num_channels, len(SPREADS))))
        self._directions = (STRENGTH * directions.T).astype(np.float32).reshape(-1, num_layers, num_channels)

    def movement(self, clip: int, reference: int, variation: Variation) -> np.ndarray:
        """[F,10], in `SPREADS`: how far every frame is from the frame `reference`, in the pictures as changed."""
        clips = self._clips
        pose = np.array(clips.pose[clip], np.float32)
        if variation.mirrored:
            pose = pose * np.array([-1, 1, -1], np.float32)
        places = self._places_of(clip, variation)
        middle, apart = places[:, :2].mean(axis=1), np.abs(places[:, 0, 0] - places[:, 1, 0])
        labels = np.concatenate(
            [pose, middle, places[:, 2], apart[:, None], clips.lids[clip][:, None], clips.brows[clip][:, None]], axis=1
        )
        return np.clip((labels - labels[reference]) / SPREADS, -FARTHEST, FARTHEST).astype(np.float32)

    def _places_of(self, clip: int, variation: Variation) -> np.ndarray:
        """[F,3,2] x and y of both eyes and the nose, in latent positions."""
        if self._places is None:
            return np.zeros((self._clips.num_frames, len(_PLACES), 2), np.float32)
        size = self._clips.size
        places = np.asarray(self._clips.skeleton[clip][:, self._places, :2], np.float32) * size
        rows_first = variation.boxes(places[..., [1, 0, 1, 0]], size)
        return rows_first[..., [1, 0]] * (LATENT_CELLS / size)

    def additions(self, clip: int, reference: int, variation: Variation) -> np.ndarray:
        """[F,L,C], to be added to the clip's speech features."""
        return np.einsum("fk,klc->flc", self.movement(clip, reference, variation), self._directions)
