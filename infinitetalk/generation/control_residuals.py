"""Control networks run on a chunk's control inputs: control residuals and tokens for the transformer.

Uni3C and VACE act on every guidance branch, as in their official samplers; UniAnimate on the branch `cond` alone, as in
its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.loading import Models
from ..config.constants import NUM_MASK_CHANNELS
from ..models.control import Added, Control, Evaluation
from ..models.latent_space import LatentSpace
from ..models.vace import STRIDE, VaceBranch, control_channels
from ..models.vae import encode_video
from ..sampling.guidance import Branch
from ..vision.rays import ray_embedding
from .control_inputs import ControlInputs


@dataclass(frozen=True)
class ControlResiduals:
    """Of one chunk. always: for every branch; cond: for that one alone; cond_y: [1, 20, 1, h, w], added to its `y`."""

    always: Control = Control()
    cond: Control | None = None
    cond_y: Tensor | None = None

    def control(self, branch: Branch) -> Control | None:
        """The control of that branch; None where there is none."""
        control = self.always.and_also(self.cond) if branch == "cond" else self.always
        return control if control.added or control.tokens is not None else None

    def y(self, branch: Branch, y: Tensor) -> Tensor:
        """[1, 20, T, h, w] of that branch."""
        return y if self.cond_y is None or branch != "cond" else y + self.cond_y.to(y)


def control_residuals(
    models: Models, inputs: ControlInputs, y: Tensor, times: Tensor, space: LatentSpace
) -> ControlResiduals:
    """Read the control inputs, once for all steps.

    Args:
        y: of the chunk's reference, [1, 20, T, h, w]. times: of the chunk's steps, [steps + 1].
        space: where the transformer works; renderings reach a camera network in it.
    """
    added: list[Added] = []
    cond = cond_y = None
    device, dtype = models.device, models.dtype
    if inputs.camera is not None and inputs.camera_strength:
        assert models.camera is not None, "the request has a camera control whose network is not loaded"
        camera_network, camera = models.camera, inputs.camera
        rendering = space.normalise(_latents(models, _film(camera.render)).to(y)).to(device, dtype)
        mask = y[:, :NUM_MASK_CHANNELS].to(device, dtype)
        height, width = camera.holes.shape[1:]
        rays = torch.from_numpy(ray_embedding(camera.intrinsic, camera.w2c, height, width))[None].to(device, dtype)
        holes = torch.from_numpy(camera.holes.astype(np.float32))[None, None].to(device, dtype)
        ray_tokens = camera_network.ray_tokens(holes, rays)
        del rays, holes

        def residuals(at: Evaluation):
            return camera_network(at.latents.to(dtype), mask, rendering, ray_tokens, at.embedding.to(dtype))

        added.append(Added(residuals, inputs.camera_strength, steps_between(times, *inputs.camera_steps)))
    if inputs.pose is not None and inputs.pose_strength:
        network = models.pose
        assert network is not None, "the request has a pose whose network is not loaded"
        between = steps_between(times, *inputs.pose_steps)
        if isinstance(network, VaceBranch):
            branch, embedded = network, _side_branch(models, network, inputs.pose.skeletons)
            added.append(Added(lambda at: branch(embedded, at), inputs.pose_strength, between, by_branch=True))
            return ControlResiduals(Control(added=tuple(added)))
        skeletons = torch.from_numpy(inputs.pose.skeletons).permute(3, 0, 1, 2)[None].to(device)
        assert inputs.pose.reference is not None, "UniAnimate's network reads the reference's pose"
        reference = torch.from_numpy(inputs.pose.reference).permute(2, 0, 1)[None].to(device)
        tokens = network.tokens(skeletons) * inputs.pose_strength
        cond = Control(tokens=tokens, tokens_between=between)
        cond_y = network.reference(reference) * inputs.pose_strength
    return ControlResiduals(Control(added=tuple(added)), cond, cond_y)


def _film(pictures: np.ndarray) -> Tensor:
    """uint8 [F, H, W, 3] as the autoencoder reads them, [1, 3, F, H, W] in [-1, 1]."""
    return torch.from_numpy(pictures).permute(3, 0, 1, 2)[None].float().div_(127.5).sub_(1)


def _latents(models: Models, film: Tensor) -> Tensor:
    """Normalised, [1, 16, T, h, w], of pictures as large as are generated."""
    return encode_video(models.vae, film).to(models.device, models.dtype)


def _side_branch(models: Models, branch: VaceBranch, skeletons: np.ndarray) -> Tensor:
    """What VACE reads of a chunk whose every pixel is to change: grey for what stays, the skeletons, a mask of ones."""
    film = _film(skeletons)
    reactive = _latents(models, film)
    if branch.grey is None or branch.grey.shape != reactive.shape:
        branch.grey = _latents(models, torch.zeros_like(film))
    mask = reactive.new_ones(1, 1, reactive.shape[2], *(STRIDE * side for side in reactive.shape[3:]))
    return branch.embed(control_channels(branch.grey, reactive, mask))


def steps_between(times: Tensor, first: float, last: float) -> tuple[float, float] | None:
    """(low, high) of the times of those steps, given as shares of all; None for all of them; never none."""
    steps = len(times) - 1
    if (first <= 0 and last >= 1) or not steps:
        return None
    begin = min(math.floor(first * steps + 1e-6), steps - 1)
    end = max(math.ceil(last * steps - 1e-6), begin + 1)
    return float(times[end - 1]), float(times[begin])
