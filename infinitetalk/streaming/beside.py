"""What the networks beside the model's make of a chunk's pictures: tokens and residuals for the transformer.

Uni3C steers every branch, as its official sampler does; UniAnimate the branch `cond` alone, as its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..control.rays import ray_embedding
from ..models.control import Control
from ..models.loading import Models
from ..models.vae import as_encoded, encode_video
from ..sampling.guidance import Branch
from .steered import Shown

_NUM_MASK_CHANNELS = 4  # of `y`


@dataclass(frozen=True)
class Beside:
    """Of one chunk. pose: tokens for `cond`. pose_y: [1, 20, 1, h, w], added to its `y`."""

    camera: Control | None = None
    pose: Control | None = None
    pose_y: Tensor | None = None

    def control(self, branch: Branch) -> Control | None:
        """What steers that branch."""
        camera, pose = self.camera, self.pose if branch == "cond" else None
        if camera is None or pose is None:
            return camera or pose
        return Control(pose.tokens, camera.residuals, camera.strength, pose.tokens_between, camera.residuals_between)

    def y(self, branch: Branch, y: Tensor) -> Tensor:
        """[1, 20, T, h, w] of that branch."""
        return y if self.pose_y is None or branch != "cond" else y + self.pose_y.to(y)


def beside(models: Models, shown: Shown, y: Tensor, times: Tensor) -> Beside:
    """Read what is shown, once for all steps.

    Args:
        y: of the chunk's reference, [1, 20, T, h, w]. times: of the chunk's steps, [steps + 1].
    """
    camera = pose = pose_y = None
    device, dtype = models.device, models.dtype
    if shown.camera is not None and shown.camera_strength:
        assert models.camera is not None, "a camera network was asked for and not loaded"
        network, seen = models.camera, shown.camera
        film = torch.from_numpy(seen.render).permute(3, 0, 1, 2)[None].float().div_(127.5).sub_(1)
        rendering = encode_video(models.vae, as_encoded(models.vae, film)).to(device, dtype)
        del film
        mask = y[:, :_NUM_MASK_CHANNELS].to(device, dtype)
        height, width = seen.holes.shape[1:]
        rays = torch.from_numpy(ray_embedding(seen.intrinsic, seen.w2c, height, width))[None].to(device, dtype)
        holes = torch.from_numpy(seen.holes.astype(np.float32))[None, None].to(device, dtype)
        ray_tokens = network.ray_tokens(holes, rays)
        del rays, holes

        def residuals(latents: Tensor, embedding: Tensor):
            return network(latents.to(dtype), mask, rendering, ray_tokens, embedding.to(dtype))

        between = steps_between(times, *shown.camera_steps)
        camera = Control(residuals=residuals, strength=shown.camera_strength, residuals_between=between)
    if shown.pose is not None and shown.pose_strength:
        assert models.pose is not None, "a pose network was asked for and not loaded"
        skeletons = torch.from_numpy(shown.pose.skeletons).permute(3, 0, 1, 2)[None].to(device)
        reference = torch.from_numpy(shown.pose.reference).permute(2, 0, 1)[None].to(device)
        tokens = models.pose.tokens(skeletons) * shown.pose_strength
        pose = Control(tokens=tokens, tokens_between=steps_between(times, *shown.pose_steps))
        pose_y = models.pose.reference(reference) * shown.pose_strength
    return Beside(camera, pose, pose_y)


def steps_between(times: Tensor, first: float, last: float) -> tuple[float, float] | None:
    """(low, high) of the times of those steps, given as shares of all; None for all of them; never none."""
    steps = len(times) - 1
    if (first <= 0 and last >= 1) or not steps:
        return None
    begin = min(math.floor(first * steps + 1e-6), steps - 1)
    end = max(math.ceil(last * steps - 1e-6), begin + 1)
    return float(times[end - 1]), float(times[begin])
