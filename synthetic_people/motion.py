"""How a person moves while talking. In calm clips everything follows from the sound near the moment.

A model that predicts a moment from the speech around it can learn only what the speech says, so calm clips obey rules:

  blink   the lids are shut 0.1 s after a pause of at least 0.18 s begins; again every 2.6 s of silence; in speech
          that goes on for more than 3.5 s at its next dip of loudness. Never two within 0.9 s.
  brows   rise on accents (louder and higher syllables), with their strength.
  nod     the chin goes down on accents, at most 2.5 degrees; in pauses the head comes up a little.
  yaw     turns with how loud the last half second is against the seconds around, at most 2 degrees.
  roll    leans with the melody of the last half second, at most 1.2 degrees.
  breath  shoulders rise in pauses and sink while speaking, about 3 mm.

Lively clips add slow wandering of +-8 degrees and shrugs; clips with a moving camera add its path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from infinitetalk.training.clips import LIVELY, MOVING_CAMERA

from .phones import Utterance
from .prosody import Prosody, prosody
from .visemes import closures

_BLINK_AFTER_PAUSE_SECONDS = 0.1
_SILENT_BLINK_SECONDS = 2.6
_LONG_PHRASE_SECONDS = 3.5
_BETWEEN_BLINKS_SECONDS = 0.9


@dataclass(frozen=True)
class Motion:
    """Per frame: pose [T, 3] head yaw, pitch, roll in degrees; gaze [T, 2] degrees right, up in the head; lids, brows,
    smile [T]; body [T, 3] metres the shoulders moved right, back, up; lean [T] degrees; shrug [T] metres;
    camera [T, 3] pan right, pan down, zoom; closures [T] bool.
    """

    pose: np.ndarray
    gaze: np.ndarray
    lids: np.ndarray
    brows: np.ndarray
    smile: np.ndarray
    body: np.ndarray
    lean: np.ndarray
    shrug: np.ndarray
    camera: np.ndarray
    closures: np.ndarray


def blink_frames(heard: Prosody, fps: float) -> list[int]:
    """Frames at whose middle the eyes are shut, by the rule at the module's head."""
    num_frames = len(heard.energy)
    onsets = {round((second + _BLINK_AFTER_PAUSE_SECONDS) * fps) for second in heard.pause_seconds}
    slow = gaussian_filter1d(heard.energy, 0.06 * fps, mode="nearest")
    blinks: list[int] = []
    since = 1.4 * fps  # as if the last one was a moment before the clip
    for frame in range(num_frames):
        since += 1
        silent = heard.speaking[frame] < 0.5
        dip = 0 < frame < num_frames - 1 and slow[frame - 1] >= slow[frame] < slow[frame + 1]
        due = frame in onsets
        due |= silent and since > _SILENT_BLINK_SECONDS * fps
        due |= not silent and dip and since > _LONG_PHRASE_SECONDS * fps
        if due and since > _BETWEEN_BLINKS_SECONDS * fps:
            blinks.append(frame)
            since = 0
    return blinks


def make_motion(utterance: Utterance, num_frames: int, fps: float, kind: int, rng: np.random.Generator) -> Motion:
    """The motion of one clip; `kind` is CALM, LIVELY or MOVING_CAMERA of `training.clips`."""
    heard = prosody(utterance, num_frames, fps)
    half = gaussian_filter1d(heard.energy, 0.28 * fps, mode="nearest")
    wide = gaussian_filter1d(heard.energy, 0.8 * fps, mode="nearest")
    melody = gaussian_filter1d(heard.pitch, 0.2 * fps, mode="nearest")
    silence = gaussian_filter1d(1 - heard.speaking, 0.15 * fps, mode="nearest")

    frames = np.arange(num_frames)
    lids = np.zeros(num_frames)
    for blink in blink_frames(heard, fps):
        closing, opening = (frames - blink) / (0.055 * fps), (frames - blink) / (0.085 * fps)
        lids = np.maximum(lids, np.exp(-(np.where(frames < blink, closing, opening) ** 4) / 2))
    lids[lids < 0.02] = 0
    brows = np.clip(0.15 * heard.speaking + 0.85 * heard.accents, 0, 1)
    yaw = rng.normal(0, 2.0) + np.clip(5.0 * (half - wide), -2, 2)
    pitch = rng.normal(0, 1.2) - np.clip(2.5 * heard.accents, 0, 2.5) + 0.8 * silence
    roll = rng.normal(0, 0.8) + np.clip(4.0 * melody, -1.2, 1.2)
    breath = 0.003 * gaussian_filter1d(silence, 0.2 * fps, mode="nearest")
    body, lean = np.zeros((num_frames, 3)), np.zeros(num_frames)
    camera = np.zeros((num_frames, 3))
    camera[:, 2] = 1
    shrug = breath
    gaze = np.stack([np.zeros(num_frames), np.zeros(num_frames)], 1)
    if kind in (LIVELY, MOVING_CAMERA):
        size = 1.0 if kind == LIVELY else 0.35
        yaw = yaw + size * np.clip(_wander(num_frames, 0.55 * fps, 4.5, rng), -8, 8)
        pitch = pitch + size * np.clip(_wander(num_frames, 0.5 * fps, 3.2, rng), -6, 6)
        roll = roll + size * np.clip(_wander(num_frames, 0.6 * fps, 2.0, rng), -4, 4)
        body[:, 0] = size * _wander(num_frames, 0.8 * fps, 0.006, rng)
        body[:, 2] = size * _wander(num_frames, 0.8 * fps, 0.003, rng)
        lean = size * _wander(num_frames, 0.8 * fps, 1.2, rng)
        shrug = breath + size * np.clip(_wander(num_frames, 0.4 * fps, 0.008, rng), 0, 0.02)
        gaze = gaze + size * np.stack(
            [_wander(num_frames, 0.3 * fps, 2.0, rng), _wander(num_frames, 0.3 * fps, 1.2, rng)], 1
        )
    if kind == MOVING_CAMERA:
        camera = _camera_path(num_frames, fps, rng)
    pose = np.stack([yaw, pitch, roll], 1)
    # Eyes stay on the camera while the head turns.
    gaze = gaze - 0.9 * pose[:, :2]
    smile = np.full(num_frames, np.clip(rng.uniform(-0.05, 0.22), 0, 0.25))
    return Motion(
        pose.astype(np.float32), gaze.astype(np.float32), lids.astype(np.float32), brows.astype(np.float32), smile,
        body, lean, shrug, camera.astype(np.float32), closures(utterance, num_frames, fps),
    )  # fmt: skip


def _wander(num_frames: int, sigma: float, amplitude: float, rng: np.random.Generator) -> np.ndarray:
    """A slow random curve [num_frames] with standard deviation `amplitude`; `sigma` frames."""
    padding = int(4 * sigma) + 1
    curve = gaussian_filter1d(rng.standard_normal(num_frames + 2 * padding), sigma)[padding : padding + num_frames]
    # The filter shrinks white noise by this much; scaling by it keeps slow curves small when they happen to be.
    return amplitude * curve * np.sqrt(2 * np.sqrt(np.pi) * sigma)


def _camera_path(num_frames: int, fps: float, rng: np.random.Generator) -> np.ndarray:
    """[T, 3] pan right, pan down, zoom: a pan, a tilt, a zoom or a hand that shakes, or several."""
    share = np.linspace(0, 1, num_frames)
    ease = share * share * (3 - 2 * share)
    pan = np.zeros(num_frames)
    tilt, zoom = pan.copy(), pan.copy()
    if rng.random() < 0.6:
        pan = pan + rng.uniform(-0.12, 0.12) * (ease - rng.random())
    if rng.random() < 0.4:
        tilt = tilt + rng.uniform(-0.06, 0.06) * (ease - rng.random())
    if rng.random() < 0.6:
        zoom = zoom + rng.uniform(-0.25, 0.25) * ease
    shake = rng.uniform(0.3, 1.0)
    pan = (
        pan + _wander(num_frames, 0.35 * fps, 0.006 * shake, rng) + _wander(num_frames, 0.1 * fps, 0.0012 * shake, rng)
    )
    tilt = (
        tilt + _wander(num_frames, 0.35 * fps, 0.005 * shake, rng) + _wander(num_frames, 0.1 * fps, 0.0012 * shake, rng)
    )
    return np.stack([pan, tilt, np.exp(zoom)], 1)
