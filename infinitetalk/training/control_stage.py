"""Stages `camera` and `pose`: the published networks that steer a transformer from beside it, in small, for nano.

`camera` trains Uni3C's network (`models/uni3c.py`) beside the finished transformer, which does not learn. `pose` trains
UniAnimate's (`models/control.py`) and its LoRA. Both learn as nano's last stages do: from pure noise in one evaluation,
by the error of the clean latents, mouths weighted. Their files have the published layouts, so films, `bench` and tests
read them as they read the published ones (`checkpoints/controls.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import InputError
from ..media.atomic import atomic_output
from ..models.control import Added, Control, Evaluation, PoseEmbedding
from ..models.image_encoder import encode_image
from ..models.uni3c import Uni3CControl
from .control_examples import ControlBatch, ControlExamples, Kind, PoseShown
from .loop import Draw, Every, LoopSettings, Precision, fit
from .lora.adapters import add_adapters, lora_weights
from .networks import NanoNetworks
from .phases import Phase, TransformerTraining
from .transformer_stage import weighted_error

if TYPE_CHECKING:
    from ..models.audio_encoder import SpeechEncoder
    from ..models.nano_vae import NanoVAE
    from .clips import ClipSet

NETWORKS: dict[Kind, str] = {"camera": "uni3c", "pose": "unianimate"}  # as `checkpoints.files.CONTROLS` names them
_ADAPTED = ("attn1", "attn2", "audio_attn", "ffn")
_MASK_CHANNELS, _LATENT_CHANNELS = 4, 16  # of `y`
_EMBEDDED = 2.0  # spread of what the camera's network makes of a rendering at first; tokens have one of 5 to 20
_FASTER = 4.0  # what is added starts at nothing and has to become as large as those
_SKELETON_GAIN = 2.5
_LONG_EVERY, _LONG_CHUNK = 3, 21  # steps between two with whole chunks, one at a time; latent frames of these
_REPORTED_BATCHES = 4


@dataclass(frozen=True)
class ControlTraining:
    """Settings of the stages.

    phase: `num_latent_frames`, `batch_size` and the weights of mouth and eyes.
    dim, num_layers: of the camera's network, whose heads have 64 channels. hidden: channels of the pose's. rank: of its
        LoRA. context_noise: added to context latents, which in films are generated ones.
    """

    seconds: float | None = 3600.0
    num_steps: int | None = None
    rate: float = 1.5e-3
    phase: Phase = Phase("pictures", 1.0, 7, None, 4, 16.0, 4.0, 0.0, 1.0)
    dim: int = 192
    num_layers: int = 4
    hidden: int = 16
    rank: int = 32
    context_noise: float = 0.06
    report_seconds: float = 240.0
    precision: Precision = "no"
    seed: int = 21


class SteeredNetworks(nn.Module):
    """Nano's networks, and the one that steers them."""

    def __init__(self, networks: NanoNetworks, kind: Kind, settings: ControlTraining) -> None:
        super().__init__()
        width = networks.transformer.config.dim
        self.networks = networks.requires_grad_(False)
        torch.manual_seed(settings.seed)
        if kind == "camera":
            self.steering = Uni3CControl(
                conv_out_dim=width, dim=settings.dim, ffn_dim=3 * settings.dim, num_heads=settings.dim // 64,
                num_layers=settings.num_layers, time_embed_dim=width, out_dim=width, mid_channels=32,
            )  # fmt: skip
            embedding = self.steering.controlnet_patch_embedding
            nn.init.normal_(embedding.weight, std=_EMBEDDED * (4 * _LATENT_CHANNELS) ** -0.5)
            nn.init.zeros_(embedding.weight[:, :-_LATENT_CHANNELS])  # of noise and mask nothing is to be learnt
            last = [self.steering.controlnet_mask_embedding.mask_zero_proj, *self.steering.controlnet["proj_out"]]
        else:
            add_adapters(
                networks.transformer, rank=settings.rank, alpha=settings.rank, layers=_ADAPTED, seed=settings.seed
            )
            self.steering = PoseEmbedding(width, settings.hidden)
            for layer in (*self.steering.dwpose_embedding, *self.steering.randomref_embedding_pose):
                if hasattr(layer, "weight"):  # thin lines would fade away in torch's own starting weights
                    nn.init.normal_(layer.weight, std=_SKELETON_GAIN * layer.weight[0].numel() ** -0.5)
            # A processor computes these in a third of the time.
            self.steering.dwpose_embedding.to(memory_format=torch.channels_last_3d)
            last = [self.steering.dwpose_embedding[-1], self.steering.randomref_embedding_pose[-1]]
        for layer in last:  # nothing is added at first
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, batch: ControlBatch, latents: Tensor, times: Tensor) -> Tensor:
        """As `NanoNetworks.forward`, steered by what the batch shows."""
        chunks, shown, networks = batch.chunks, batch.shown, self.networks
        y = chunks.conditioning
        if isinstance(shown, PoseShown):
            y = y + self.steering.reference(shown.reference)
            control = Control(tokens=self.steering.tokens(shown.skeletons))
        else:
            rays = self.steering.ray_tokens(shown.holes, shown.rays)

            def residuals(at: Evaluation):
                return self.steering(at.latents, y[:, :_MASK_CHANNELS], shown.rendering, rays, at.embedding)

            control = Control(added=(Added(residuals),))
        condition = networks.transformer.encode_condition(
            text=latents.new_zeros(1, 0, networks.transformer.config.text_dim),
            image=encode_image(networks.image_encoder, chunks.picture),
            audio=chunks.audio,
            reference=y,
        )
        return networks.transformer(latents, times * 1000, replace(condition, control=control))


def train_control(
    clips: ClipSet, vae: NanoVAE, speech_encoder: SpeechEncoder, out: Path, kind: Kind, settings: ControlTraining,
    start_from: Path, scale: float,
) -> dict[str, float]:  # fmt: skip
    """Train, export to `out/control/<network>.safetensors`, return held-out figures.

    start_from: folder of the exported transformer and image encoder. scale: what their relative latents are divided by.

    Raises:
        InputError: clips of one split are missing, the speech encoder has no articulation, or no joints are known.
    """
    train, held_out = clips.split("train"), clips.split("test")
    if not len(train) or not len(held_out):
        raise InputError(f"There are {len(train)} training and {len(held_out)} held-out clips; render some of both.")
    if speech_encoder.articulation is None:
        raise InputError("The speech encoder has no articulation; train that stage first.")
    if kind == "pose" and not clips.joints:
        raise InputError("These clips tell no joints; render them anew.")
    model = SteeredNetworks(NanoNetworks.from_folder(start_from), kind, settings)
    examples = ControlExamples(clips, vae.eval(), speech_encoder.eval(), scale, kind)
    phase, size = settings.phase, settings.phase.batch_size

    def loss(draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        long = draw.step % _LONG_EVERY == 0
        chosen = examples.choose(train, max(1, size // 4) if long else size, draw.rng)
        batch = examples.draw(chosen, _LONG_CHUNK if long else phase.num_latent_frames, draw.rng).to(draw.device)
        error, chunks = steered_error(model, batch, draw.generator, settings.context_noise), batch.chunks
        return weighted_error(error, chunks, phase, TransformerTraining.closed_weight), shares(error, chunks)

    def report(step: int) -> dict[str, float]:
        return held_out_shares(model, examples, held_out, settings)

    result = fit(
        model,
        loss,
        LoopSettings(
            num_steps=settings.num_steps, seconds=settings.seconds, rate=settings.rate, warm_up_steps=100,
            average_decay=0.995, log=Every(steps=25), report=Every(seconds=settings.report_seconds),
            precision=settings.precision, seed=settings.seed,
        ),
        out / "stages" / kind,
        report=report,
        rates=[(name, _FASTER) for name in ("proj_out", "mask_zero_proj", "dwpose_embedding.12")],
    )  # fmt: skip
    export(model.to("cpu"), out / "control" / f"{NETWORKS[kind]}.safetensors")
    return result.figures | {"steps": float(result.step)}


def steered_error(
    model: SteeredNetworks, batch: ControlBatch, generator: torch.Generator, context_noise: float
) -> Tensor:
    """Squared error [B,1,T,h,w] of the clean latents that one evaluation makes from pure noise."""
    chunks = batch.chunks
    noise = torch.randn(chunks.clean.shape, generator=generator).to(chunks.clean)
    known = chunks.known()
    latents = known * chunks.context(context_noise, generator) + (1 - known) * noise
    made = model(batch, latents, torch.ones(len(latents), device=latents.device))
    return (made - chunks.clean).square().mean(dim=1, keepdim=True)


@torch.no_grad()
def shares(error: Tensor, chunks) -> dict[str, Tensor]:
    """Errors of what is to be made as shares of the variance: of the whole picture, and of mouths."""
    wanted = (1 - chunks.known()).expand_as(error)
    variance = chunks.clean.square().mean(dim=1, keepdim=True)
    places = {"whole": wanted, "mouth": wanted * chunks.mouth}
    return {
        name: (error.float() * weight).sum() / (variance * weight).sum().clamp(min=1e-6)
        for name, weight in places.items()
    }


@torch.no_grad()
def held_out_shares(
    model: SteeredNetworks, examples: ControlExamples, held_out: np.ndarray, settings: ControlTraining
) -> dict[str, float]:
    """`shares` of held-out clips; `whole_other` where another clip's movement is shown, which ought to be above 1."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    device = next(model.parameters()).device
    found: dict[str, list[float]] = {}
    for _ in range(_REPORTED_BATCHES):
        chosen = examples.choose(held_out, settings.phase.batch_size, rng)
        batch = examples.draw(chosen, settings.phase.num_latent_frames, rng, plain=True).to(device)
        rolled = {name: value.roll(1, 0) for name, value in vars(batch.shown).items()}
        other = ControlBatch(batch.chunks, replace(batch.shown, **rolled))
        for name, shown in (("", batch), ("_other", other)):
            for key, value in shares(steered_error(model, shown, generator, 0.0), batch.chunks).items():
                found.setdefault(key + name, []).append(float(value))
    return {name: float(np.mean(values)) for name, values in found.items()}


def export(model: SteeredNetworks, path: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write what steers in the published layout: the network's own names, and those of diffusers for a LoRA."""
    weights = dict(model.steering.state_dict())
    if isinstance(model.steering, PoseEmbedding):
        weights |= lora_weights(model.networks.transformer)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_output(path) as partial:
        save_file({key: tensor.to(dtype).contiguous() for key, tensor in weights.items()}, partial)
