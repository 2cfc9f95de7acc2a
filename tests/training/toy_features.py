"""A toy to train the transformer on: latents whose mouth is as open as the sound says, without an autoencoder."""

from __future__ import annotations

import numpy as np
import torch

from infinitetalk.training.clips import ClipSet, neutral_truth
from infinitetalk.training.latents import Features

NUM_CLIPS, NUM_FRAMES, SIZE, LAYERS, CHANNELS = 6, 113, 128, 2, 8
CELLS = SIZE // 8
MOUTH = (80, 48, 104, 80)  # rows 10 to 12, columns 6 to 9 of the latents
EYES = (48, 40, 64, 88)


def toy_clips(seed: int = 0, num_frames: int = NUM_FRAMES, size: int = SIZE) -> ClipSet:
    """Six clips, the last two held out, one of the others with a moving head. The pictures are grey."""
    rng = np.random.default_rng(seed)
    jaw = np.abs(np.sin(np.cumsum(rng.uniform(0.05, 0.2, (NUM_CLIPS, num_frames)), axis=1))).astype(np.float32)
    truth = neutral_truth(NUM_CLIPS, num_frames)
    truth["eye_boxes"][:] = np.array(EYES) * size / SIZE
    truth["lids"][:] = jaw > 0.9
    truth["motion"][1] = 1
    boxes = np.tile(np.array(MOUTH, np.float32) * size / SIZE, (NUM_CLIPS, num_frames, 1))
    video = [np.full((num_frames, size, size, 3), 90 + 10 * clip, np.uint8) for clip in range(NUM_CLIPS)]
    return ClipSet(
        video=video,
        audio=[rng.normal(0, 0.1, num_frames * 640).astype(np.float32) for _ in video],
        jaw=jaw,
        mouth_shapes=jaw[..., None] * 0.5,
        openness=jaw,
        pose=np.zeros((NUM_CLIPS, num_frames, 3), np.float32),
        mouth_boxes=boxes,
        head_ids=np.arange(NUM_CLIPS),
        voice_ids=np.arange(NUM_CLIPS),
        is_test=np.arange(NUM_CLIPS) >= NUM_CLIPS - 2,
        is_finished=np.ones(NUM_CLIPS, bool),
        **truth,
    )


def toy_features(clips: ClipSet, seed: int = 0) -> Features:
    """Latents: one code per clip everywhere, plus the jaw in the mouth's positions. Speech: the jaw in one channel."""
    rng = np.random.default_rng(seed)
    code = rng.normal(0, 1, (NUM_CLIPS, 1, 16, CELLS, CELLS))
    pattern = np.zeros((16, CELLS, CELLS))
    pattern[:, 10:13, 6:10] = rng.normal(0, 1, (16, 3, 4))
    lid = np.zeros((16, CELLS, CELLS))
    lid[:, 6:8, 5:11] = rng.normal(0, 1, (16, 2, 6))

    def picture(jaw: np.ndarray, lids: np.ndarray) -> np.ndarray:
        return code + jaw[..., None, None, None] * pattern + lids[..., None, None, None] * lid

    starts = np.arange(1, clips.num_frames - 3, 2)[:, None] + np.arange(4)
    speech = rng.normal(0, 0.1, (NUM_CLIPS, 1, clips.num_frames, LAYERS, CHANNELS))
    speech[:, 0, :, :, 0] += 3 * clips.jaw[..., None]
    single = picture(clips.jaw, clips.lids)[:, None]
    groups = picture(clips.jaw[:, starts].mean(axis=2), clips.lids[:, starts].mean(axis=2))[:, None]
    return Features(
        single=single.astype(np.float16),
        groups=groups.astype(np.float16),
        speech=speech.astype(np.float16),
        tail=torch.zeros(16, CELLS, CELLS),
        finished=np.ones(NUM_CLIPS, bool),
    )
