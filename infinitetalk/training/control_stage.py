"""Stage `steer`: a small control network of Uni3C's published kind for nano.

It learns on the finished transformer, which does not change. It gets the reference moved along, by a camera or by a
body's joints (`control_examples.py`), and learns residuals that say where the mouth has gone: as nano's last
stages do, from pure noise in one evaluation, by the error of the clean latents, mouths weighted. Its file has the
published layout, so films and tests read it as they read the published one (`checkpoints/controls.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..config.constants import LATENT_CHANNELS, NUM_MASK_CHANNELS
from ..errors import InputError
from ..media.atomic import atomic_output
from ..models.control import Added, Control, Evaluation
from ..models.image_encoder import encode_image
from ..models.uni3c import Uni3CControl
from .control_examples import ControlBatch, ControlExamples, Kind
from .loop import Draw, Every, LoopSettings, Precision, fit
from .networks import NanoNetworks
from .phases import Phase, TransformerTraining
from .transformer_stage import weighted_error

if TYPE_CHECKING:
    from ..models.audio_encoder import SpeechEncoder
    from ..models.nano_vae import NanoVAE
    from .clips import ClipSet

FILE = "uni3c.safetensors"
_KINDS: tuple[Kind, ...] = ("camera", "body")
_EMBEDDED = 2.0  # spread of what the network makes of a rendering at first; tokens have one of 5 to 20
_FASTER = 4.0  # what is added starts at nothing and has to become as large as those
_LONG_EVERY, _LONG_CHUNK = 3, 21  # steps between two with whole chunks, one at a time; latent frames of these
_REPORTED_BATCHES = 4


@dataclass(frozen=True)
class ControlTraining:
    """Settings of the stage.

    phase: `num_latent_frames`, `batch_size` and the weights of mouth and eyes.
    dim, num_layers: of the network, whose heads have 64 channels.
    context_noise: added to context latents, which in films are generated ones.
    """

    seconds: float | None = 3600.0
    num_steps: int | None = None
    rate: float = 1.5e-3
    phase: Phase = Phase("pictures", 1.0, 7, None, 4, 16.0, 4.0, 0.0, 1.0)
    dim: int = 192
    num_layers: int = 4
    context_noise: float = 0.06
    report_seconds: float = 240.0
    precision: Precision = "no"
    seed: int = 21


class SteeredNetworks(nn.Module):
    """Nano's networks, and the one that steers them."""

    def __init__(self, networks: NanoNetworks, settings: ControlTraining) -> None:
        super().__init__()
        width = networks.transformer.config.dim
        self.networks = networks.requires_grad_(False)
        torch.manual_seed(settings.seed)
        self.control = Uni3CControl(
            conv_out_dim=width, dim=settings.dim, ffn_dim=3 * settings.dim, num_heads=settings.dim // 64,
            num_layers=settings.num_layers, time_embed_dim=width, out_dim=width, mid_channels=32,
        )  # fmt: skip
        embedding = self.control.controlnet_patch_embedding
        nn.init.normal_(embedding.weight, std=_EMBEDDED * (4 * LATENT_CHANNELS) ** -0.5)
        nn.init.zeros_(embedding.weight[:, :-LATENT_CHANNELS])  # of noise and mask nothing is to be learnt
        for layer in (self.control.controlnet_mask_embedding.mask_zero_proj, *self.control.controlnet["proj_out"]):
            nn.init.zeros_(layer.weight)  # nothing is added at first
            nn.init.zeros_(layer.bias)

    def forward(self, batch: ControlBatch, latents: Tensor, times: Tensor) -> Tensor:
        """As `NanoNetworks.forward`, steered by what the batch shows."""
        chunks, shown, networks = batch.chunks, batch.shown, self.networks
        y, rays = chunks.conditioning, self.control.ray_tokens(shown.holes, shown.rays)

        def residuals(at: Evaluation):
            return self.control(at.latents, y[:, :NUM_MASK_CHANNELS], shown.rendering, rays, at.embedding)

        control = Control(added=(Added(residuals),))
        condition = networks.transformer.encode_condition(
            text=latents.new_zeros(1, 0, networks.transformer.config.text_dim),
            image=encode_image(networks.image_encoder, chunks.picture),
            audio=chunks.audio,
            reference=y,
        )
        return networks.transformer(latents, times * 1000, replace(condition, control=control))


def train_control(
    clips: ClipSet, vae: NanoVAE, speech_encoder: SpeechEncoder, out: Path, settings: ControlTraining,
    start_from: Path, scale: float,
) -> dict[str, float]:  # fmt: skip
    """Train, export to `out/control/uni3c.safetensors`, return held-out figures.

    start_from: folder of the exported transformer and image encoder. scale: what their relative latents are divided by.

    Raises:
        InputError: clips of one split are missing, the speech encoder has no articulation, or no joints are known.
    """
    train, held_out = clips.split("train"), clips.split("test")
    if not len(train) or not len(held_out):
        raise InputError(f"There are {len(train)} training and {len(held_out)} held-out clips; render some of both.")
    if speech_encoder.articulation is None:
        raise InputError("The speech encoder has no articulation; train that stage first.")
    if not clips.joints:
        raise InputError("These clips have no joints; render them anew.")
    model = SteeredNetworks(NanoNetworks.from_folder(start_from), settings)
    examples = ControlExamples(clips, vae.eval(), speech_encoder.eval(), scale)
    phase, size = settings.phase, settings.phase.batch_size

    def loss(draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        long, kind = draw.step % _LONG_EVERY == 0, _KINDS[int(draw.rng.integers(len(_KINDS)))]
        chosen = examples.choose(train, max(1, size // 4) if long else size, kind, draw.rng)
        batch = examples.draw(chosen, _LONG_CHUNK if long else phase.num_latent_frames, kind, draw.rng).to(draw.device)
        error, chunks = control_error(model, batch, draw.generator, settings.context_noise), batch.chunks
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
        out / "stages" / "steer",
        report=report,
        rates=[(name, _FASTER) for name in ("proj_out", "mask_zero_proj")],
    )  # fmt: skip
    export(model.to("cpu"), out / "control" / FILE)
    return result.figures | {"steps": float(result.step)}


def control_error(
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
    """`shares` of held-out clips; `mouth_other` with another clip's movement, which has to be worse."""
    rng = np.random.default_rng(0)
    device = next(model.parameters()).device
    found: dict[str, list[float]] = {}
    for number in range(_REPORTED_BATCHES):
        kind = _KINDS[number % len(_KINDS)]
        chosen = examples.choose(held_out, settings.phase.batch_size, kind, rng)
        batch = examples.draw(chosen, settings.phase.num_latent_frames, kind, rng, plain=True).to(device)
        rolled = {name: value.roll(1, 0) for name, value in vars(batch.shown).items()}
        other = ControlBatch(batch.chunks, replace(batch.shown, **rolled))
        for name, shown in (("", batch), ("_other", other)):
            error = control_error(model, shown, torch.Generator().manual_seed(number), 0.0)
            for key, value in shares(error, batch.chunks).items():
                found.setdefault(key + name, []).append(float(value))
    return {name: float(np.mean(values)) for name, values in found.items()}


def export(model: SteeredNetworks, path: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write what steers in the published layout."""
    weights = model.control.state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_output(path) as partial:
        save_file({key: tensor.to(dtype).contiguous() for key, tensor in weights.items()}, partial)
