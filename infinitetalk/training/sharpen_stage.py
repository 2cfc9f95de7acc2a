"""Stage `sharpen`: the decoder learns to show what the finished transformer makes, as sharp as pictures are.

A decoder that only ever saw encoded pictures shows generated latents, which lie a little off those of any picture,
as lips with soft edges.  Here the transformer, fixed, makes the mouths of training clips from their true shapes; the
decoder learns to turn these into the clips' own pictures.  A critic that sees a mouth and its reference says what
still separates the two: what it looks at has to agree (feature matching, Wang et al. 2018), and it has to be
deceived a little (hinge loss).  Every third step is the stage `decoder`'s own, so that eyes, flow and stillness remain.

Latents stay what they are: the encoder and the transformer do not learn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ..errors import InputError
from ..models.nano_vae import NanoVAE
from .batches import BatchMaker
from .decoded_crops import MOUTH_WEIGHT, CropLoss, DecodedCrop
from .loop import Draw, Every, LoopSettings, Precision, fit
from .networks import NanoNetworks
from .phases import Phase, TransformerTraining
from .transformer_stage import kept_scale
from .vae_pieces import PieceMaker
from .vae_stage import DECODER_TRAINING, VaeTraining, held_out_figures, piece_losses

if TYPE_CHECKING:
    from .batches import Batch
    from .clips import ClipSet
    from .latents import Features
    from .lip_reader import LipReader

_CRITIC_STRIDE = 8  # pixels of the picture per answer of the critic, along each side
_STEPS_PER_PIECE = 3


@dataclass(frozen=True)
class SharpenTraining:
    """Settings of the stage.

    picture_weight, lips_weight: of errors as in the stage `pictures`. matching_weight: of what the critic sees in the
        decoded picture but not in the true one, or the other way round. adversary_weight: of deceiving it.
    critic_rate: its learning rate, as a share of the decoder's.
    """

    seconds: float | None = 2700.0
    num_steps: int | None = None
    rate: float = 3e-4
    critic_rate: float = 1.5
    picture_weight: float = 1.0
    lips_weight: float = 0.3
    matching_weight: float = 2.0
    adversary_weight: float = 0.1
    phase: Phase = Phase("mouths", 1.0, 7, (8, 8), 12, 8.0, 2.0, 0.0, 1.0, moving_share=0.15)
    pieces: VaeTraining = field(default_factory=lambda: DECODER_TRAINING)
    precision: Precision = "no"
    seed: int = 8

    def batches(self) -> TransformerTraining:
        """How examples are drawn: with motion labels, and nothing withheld."""
        return TransformerTraining(
            picture_weight=1.0,
            motion_labels=True,
            audio_noise=0.1,
            audio_dropout=0.0,
            image_dropout=0.0,
            seed=self.seed,
        )


class Critic(nn.Module):
    """Mouths [N,3,s,s] and their references, to features of three sizes and one answer for every 8x8 pixels."""

    def __init__(self, dims: tuple[int, int, int] = (32, 64, 96)) -> None:
        super().__init__()
        sizes = pairwise((6, *dims))
        self.layers = nn.ModuleList(spectral_norm(nn.Conv2d(here, there, 4, 2, 1)) for here, there in sizes)
        self.answer = spectral_norm(nn.Conv2d(dims[-1], 1, 3, padding=1))

    def forward(self, frames: Tensor, reference: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features, and answers [N,1,s/8,s/8]: above 0 for true ones."""
        hidden, features = torch.cat([frames, reference], dim=1), []
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), 0.2)
            features.append(hidden)
        return features, self.answer(hidden)


def train_sharpen(
    clips: ClipSet,
    features: Features,
    out: Path,
    settings: SharpenTraining,
    start_from: Path,
    reader: LipReader | None = None,
) -> dict[str, float]:
    """Train, export to `out/sharpen/vae`, return held-out figures.

    start_from: folder of the exported transformer, image encoder and autoencoder.

    Raises:
        InputError: no clip has features.
    """
    torch.manual_seed(settings.seed)
    train, held_out = (features.ready(clips.split(name)) for name in ("train", "test"))
    if not len(train) or not len(held_out):
        raise InputError(f"{len(train)} training and {len(held_out)} held-out clips have features; compute some first.")
    networks = NanoNetworks.from_folder(start_from).eval().requires_grad_(False)
    scale = kept_scale(out, clips, features, train, settings.seed, start_from)
    maker = BatchMaker(clips, features, scale, settings.batches())
    pieces = PieceMaker(clips, settings.pieces.pieces, [])
    vae = NanoVAE.from_pretrained(start_from / "vae")
    crop_loss = CropLoss(vae, scale, reader)
    vae.decoder.requires_grad_(True)
    vae.encoder.requires_grad_(False)
    model = nn.ModuleDict({"vae": vae, "critic": Critic()})

    def loss(draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        if draw.step % _STEPS_PER_PIECE == 0:
            losses = piece_losses(
                vae, pieces.draw(settings.pieces.batch_size, draw.rng).to(draw.device), settings.pieces
            )
            return sum(losses.values()), {"pieces": sum(losses.values()).detach()}
        networks.to(draw.device)
        crop_loss.to(draw.device)
        batch = maker.draw(maker.choose(train, settings.phase, draw.rng), settings.phase, draw.rng).to(draw.device)
        frames = crop_loss.decode(generated(networks, batch, draw.generator), batch)
        return sharpness_loss(model["critic"], frames, batch, crop_loss, settings)

    def report(step: int) -> dict[str, float]:
        return crop_figures(networks, crop_loss, maker, held_out, settings.phase) | {
            name: value for name, value in held_out_figures(vae, clips, held_out[:4], 17).items() if "psnr" in name
        }

    result = fit(
        model,
        loss,
        LoopSettings(
            num_steps=settings.num_steps, seconds=settings.seconds, rate=settings.rate, weight_decay=1e-3,
            betas=(0.6, 0.95), clip_norm=1.0, average_decay=0.995, log=Every(steps=25), report=Every(seconds=180.0),
            precision=settings.precision, seed=settings.seed,
        ),
        out / "stages" / "sharpen",
        report=report,
        rates=[("critic", settings.critic_rate)],
    )  # fmt: skip
    vae.to("cpu").save_pretrained(out / "sharpen" / "vae")
    return result.figures


@torch.no_grad()
def generated(networks: NanoNetworks, batch: Batch, generator: torch.Generator) -> Tensor:
    """Relative latents [B,16,T,h,w] that the transformer makes in one evaluation, from pure noise; given ones stay."""
    noise = torch.randn(batch.clean.shape, generator=generator).to(batch.clean.device)
    known = batch.known()
    times = torch.ones(len(noise), device=noise.device)
    made = networks(batch, known * batch.clean + (1 - known) * noise, times)
    return known * batch.clean + (1 - known) * made.to(batch.clean)


def sharpness_loss(
    critic: Critic, frames: Tensor, batch: Batch, crop_loss: CropLoss, settings: SharpenTraining
) -> tuple[Tensor, dict[str, Tensor]]:
    """Of decoded frames [B,4,3,s,s]: the decoder's loss and the critic's, which do not touch each other's weights."""
    seen = batch.crop
    errors = crop_loss.compare(frames, batch)
    reference = seen.reference.repeat_interleave(frames.shape[1], dim=0)
    shown, true = frames.flatten(0, 1).float(), seen.frames.flatten(0, 1)
    weight = _answers_weight(seen)

    features_true, answer_true = critic(true, reference)
    _, answer_shown = critic(shown.detach(), reference)
    judged = (F.relu(1 - answer_true) + F.relu(1 + answer_shown)) * weight
    critic.requires_grad_(False)
    features_shown, answer = critic(shown, reference)
    critic.requires_grad_(True)
    matching = sum(
        ((here - there.detach()).abs() * F.interpolate(weight, size=here.shape[2:])).mean()
        / (there.detach().abs().mean() + 1e-3)
        for here, there in zip(features_shown, features_true, strict=True)
    ) / len(features_true)
    deceived = -(answer * weight).mean()
    total = (
        settings.picture_weight * errors["seen"]
        + settings.lips_weight * errors.get("lips", 0.0)
        + settings.matching_weight * matching
        + settings.adversary_weight * deceived
        + judged.mean()
    )
    figures = {**errors, "matching": matching, "judged": judged.mean(), "deceived": deceived}
    return total, {name: value.detach() for name, value in figures.items()}


def _answers_weight(seen: DecodedCrop) -> Tensor:
    """[4B,1,s/8,s/8], of the critic's answers: mouths count most; mean 1."""
    weight = 1 + (MOUTH_WEIGHT - 1) * F.avg_pool2d(seen.mouth.flatten(0, 1), _CRITIC_STRIDE)
    weight = weight * seen.counts.repeat_interleave(seen.mouth.shape[1])[:, None, None, None]
    return weight / weight.mean().clamp(min=1e-6)


@torch.no_grad()
def crop_figures(
    networks: NanoNetworks, crop_loss: CropLoss, maker: BatchMaker, held_out: np.ndarray, phase: Phase
) -> dict[str, float]:
    """Of held-out clips' mouths: `seen` as in the loss, and `detail`, fine contrast as a share of the true one."""
    device = next(networks.parameters()).device
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    seen, detail = [], []
    for _ in range(3):
        batch = maker.draw(np.resize(held_out, phase.batch_size), phase, rng).to(device)
        frames = crop_loss.decode(generated(networks, batch, generator), batch)
        seen.append(crop_loss.compare(frames, batch)["seen"])
        mouth = batch.crop.mouth.flatten(0, 1)
        shares = [
            ((each - F.interpolate(F.avg_pool2d(each, 2), scale_factor=2)).abs() * mouth).sum()
            for each in (frames.flatten(0, 1).float(), batch.crop.frames.flatten(0, 1))
        ]
        detail.append(shares[0] / shares[1].clamp(min=1e-6))
    return {"seen": float(torch.stack(seen).mean()), "detail": float(torch.stack(detail).mean())}
