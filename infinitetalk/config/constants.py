"""Numbers that the published networks fix, each written once (official `wan/configs`, `generate_infinitetalk`)."""

from __future__ import annotations

FRAMES_PER_SECOND = 25  # of the model; films are decoded to it by timestamps
VAE_TEMPORAL_STRIDE = 4  # video frames that share one latent frame, all but the first
VAE_SPATIAL_STRIDE = 8  # pixels of a generated picture along one side of a latent pixel
LATENT_CHANNELS = 16
NUM_MASK_CHANNELS = VAE_TEMPORAL_STRIDE  # of `y`: one for each video frame of a latent frame
